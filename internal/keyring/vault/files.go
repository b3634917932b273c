package vault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// Files names the pair of the first key of an algorithm, and the format of all keys of
// the algorithm.
type Files struct {
	Algorithm       jose.Algorithm
	Private, Public string
}

// FilesOf returns the files of the first key of an algorithm: those of the original
// server for its algorithms, otherwise files named by the algorithm.
func FilesOf(algorithm jose.Algorithm) Files {
	files, stem := Files{Algorithm: algorithm}, strings.ToLower(string(algorithm))
	switch {
	case algorithm == jose.RS256:
		files.Private, files.Public = "private.pem", "public.pem"
	case algorithm == jose.MLDSA65 || algorithm == jose.MLDSA87:
		files.Private, files.Public = "pqc_secret.bin", "pqc_public.bin"
	case files.expanded():
		files.Private, files.Public = stem+"_secret.bin", stem+"_public.bin"
	default:
		files.Private, files.Public = stem+"_private.pem", stem+"_public.pem"
	}
	return files
}

// expanded reports whether keys are written in the encoding of FIPS 204, as the
// original wrote them. All others are PEM.
func (f Files) expanded() bool { return strings.HasPrefix(string(f.Algorithm), "ML-DSA-") }

// own is the file of any later key.
func (f Files) own(kid string) string {
	if f.expanded() {
		return "key-" + kid + ".bin"
	}
	return "key-" + kid + ".pem"
}

// encode returns both halves in the format of the files.
func (f Files) encode(key *jose.PrivateKey) (secret, public []byte, err error) {
	if f.expanded() {
		secret, public = key.MarshalExpanded()
		return secret, public, nil
	}
	secret, err = key.MarshalPEM()
	if err == nil {
		public, err = key.Public().MarshalPEM()
	}
	if err != nil {
		err = fmt.Errorf("encode a signing key: %w", err)
	}
	return secret, public, err
}

var errEmpty = errors.New("it is empty")

// Parse reads a private half in the format of its file.
func (f Files) Parse(secret []byte) (*jose.PrivateKey, error) {
	switch {
	case len(secret) == 0:
		return nil, errEmpty
	case f.expanded():
		return jose.ParseExpandedMLDSA(f.Algorithm, secret, nil)
	}
	return jose.ParsePrivatePEM(f.Algorithm, secret)
}

// thumbprint reads a public file.
func (f Files) thumbprint(public []byte) (string, error) {
	if len(public) == 0 {
		return "", errEmpty
	}
	parse := jose.ParsePublicPEM
	if f.expanded() {
		parse = jose.ParseExpandedPublic
	}
	key, err := parse(f.Algorithm, public)
	if err != nil {
		return "", err
	}
	return key.Thumbprint(), nil
}
