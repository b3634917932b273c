package vault

import (
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// Files names the two files of the active pair of an algorithm.
type Files struct {
	Algorithm       jose.Algorithm
	Private, Public string
}

var rsaFiles = Files{jose.RS256, "private.pem", "public.pem"}

// FilesOf returns the files of the active pair of an algorithm: those of the original
// server for its algorithms, otherwise files named by the algorithm.
func FilesOf(algorithm jose.Algorithm) (Files, error) {
	if known, err := jose.ParseAlgorithm(string(algorithm)); err != nil || known != algorithm {
		return Files{}, fault.New(fault.Invalid, "algorithm",
			fmt.Sprintf("auth.algorithm must be one of %s", algorithmNames()))
	}
	files := Files{Algorithm: algorithm}
	stem := strings.ToLower(string(algorithm))
	switch {
	case algorithm == jose.RS256:
		return rsaFiles, nil
	case algorithm == jose.MLDSA65 || algorithm == jose.MLDSA87:
		files.Private, files.Public = "pqc_secret.bin", "pqc_public.bin"
	case files.Expanded():
		files.Private, files.Public = stem+"_secret.bin", stem+"_public.bin"
	default:
		files.Private, files.Public = stem+"_private.pem", stem+"_public.pem"
	}
	return files, nil
}

func algorithmNames() string {
	var names []string
	for _, a := range jose.Algorithms() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// Expanded reports whether keys are written in the encoding of FIPS 204, as the
// original wrote them. All others are PEM.
func (f Files) Expanded() bool { return strings.HasPrefix(string(f.Algorithm), "ML-DSA-") }

// own is the file of a key that is not the active one of its algorithm.
func (f Files) own(kid string) string {
	if f.Expanded() {
		return "key-" + kid + ".bin"
	}
	return "key-" + kid + ".pem"
}

// encode returns both halves in the format of the files.
func (f Files) encode(key *jose.PrivateKey) (secret, public []byte, err error) {
	if f.Expanded() {
		secret, public = key.MarshalExpanded()
		return secret, public, nil
	}
	if secret, err = key.MarshalPEM(); err != nil {
		return nil, nil, err
	}
	public, err = key.Public().MarshalPEM()
	return secret, public, err
}

// Parse reads a private half in the format of its file.
func (f Files) Parse(secret []byte) (*jose.PrivateKey, error) {
	if f.Expanded() {
		return jose.ParseExpandedMLDSA(f.Algorithm, secret, nil)
	}
	return jose.ParsePrivatePEM(f.Algorithm, secret)
}

// thumbprint reads a public file.
func (f Files) thumbprint(public []byte) (string, error) {
	parse := jose.ParsePublicPEM
	if f.Expanded() {
		parse = jose.ParseExpandedPublic
	}
	key, err := parse(f.Algorithm, public)
	if err != nil {
		return "", err
	}
	return key.Thumbprint(), nil
}
