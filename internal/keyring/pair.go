package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// pairFiles names the two files of the active pair of an algorithm.
type pairFiles struct {
	algorithm       jose.Algorithm
	private, public string
}

var rsaFiles = pairFiles{jose.RS256, "private.pem", "public.pem"}

// filesOf returns the files in which the active pair of an algorithm is kept:
// those of the original server for what it knows, else named by the algorithm.
func filesOf(algorithm jose.Algorithm) (pairFiles, error) {
	if known, err := jose.ParseAlgorithm(string(algorithm)); err != nil || known != algorithm {
		return pairFiles{}, fault.New(fault.Invalid, "algorithm",
			fmt.Sprintf("auth.algorithm must be one of %s", algorithmNames()))
	}
	files := pairFiles{algorithm: algorithm}
	stem := strings.ToLower(string(algorithm))
	switch {
	case algorithm == jose.RS256:
		return rsaFiles, nil
	case algorithm == jose.MLDSA65 || algorithm == jose.MLDSA87:
		files.private, files.public = "pqc_secret.bin", "pqc_public.bin"
	case files.expanded():
		files.private, files.public = stem+"_secret.bin", stem+"_public.bin"
	default:
		files.private, files.public = stem+"_private.pem", stem+"_public.pem"
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

// expanded reports whether keys are written in the encoding of FIPS 204, as the
// original wrote them. All others are PEM.
func (f pairFiles) expanded() bool { return strings.HasPrefix(string(f.algorithm), "ML-DSA-") }

// own is the file of a key that is not the active one of its algorithm.
func (f pairFiles) own(kid string) string {
	if f.expanded() {
		return "key-" + kid + ".bin"
	}
	return "key-" + kid + ".pem"
}

func (f pairFiles) encode(key *jose.PrivateKey) (secret, public []byte, err error) {
	if f.expanded() {
		secret, public = key.MarshalExpanded()
		return secret, public, nil
	}
	if secret, err = key.MarshalPEM(); err != nil {
		return nil, nil, err
	}
	public, err = key.Public().MarshalPEM()
	return secret, public, err
}

func (f pairFiles) parse(secret []byte) (*jose.PrivateKey, error) {
	if f.expanded() {
		return jose.ParseExpandedMLDSA(f.algorithm, secret, nil)
	}
	return jose.ParsePrivatePEM(f.algorithm, secret)
}

// thumbprint reads a public file.
func (f pairFiles) thumbprint(public []byte) (string, error) {
	parse := jose.ParsePublicPEM
	if f.expanded() {
		parse = jose.ParseExpandedPublic
	}
	key, err := parse(f.algorithm, public)
	if err != nil {
		return "", err
	}
	return key.Thumbprint(), nil
}

// secretFile is a private file as it lies on the disk, and the key in it. It
// does not print.
type secretFile struct {
	name string
	raw  secretBytes
	key  *jose.PrivateKey
}

// Format hides the file from fmt, which does not ask what is inside.
func (secretFile) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, "[redacted]") }

// secretBytes do not print.
type secretBytes []byte

// Format hides the bytes from fmt, and so from most logs.
func (secretBytes) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, "[redacted]") }

// MarshalText hides the bytes from encoding/json and slog.
func (secretBytes) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// makeAnew is what to do about a broken private file that the database does not
// know.
const makeAnew = "restore it from a backup, or move the pair away to have a new one made"

// load reads a pair and checks that its halves belong together. A missing
// public file is derived; a missing private one is fs.ErrNotExist. remedy is what
// to do about a private file that is broken.
func (o *opener) load(files pairFiles, remedy string) (secretFile, error) {
	secret, err := o.loadSecret(files, files.private, remedy)
	if err != nil {
		return secretFile{}, err
	}
	if o.secretOnly {
		return secret, nil
	}
	public, err := o.folder.readPublic(files.public)
	if errors.Is(err, fs.ErrNotExist) {
		return secret, o.derivePublic(files, secret.key)
	}
	if err != nil {
		return secretFile{}, err
	}
	return secret, o.compare(files, secret.key, public)
}

func (o *opener) loadSecret(files pairFiles, name, remedy string) (secretFile, error) {
	raw, err := o.folder.readPrivate(name)
	if errors.Is(err, errEmpty) {
		return secretFile{}, unusable(o.folder.join(name), errEmpty, remedy)
	}
	if err != nil {
		return secretFile{}, err
	}
	key, err := files.parse(raw)
	if err != nil {
		return secretFile{}, unusable(o.folder.join(name), err, remedy)
	}
	return secretFile{name: name, raw: raw, key: key}, nil
}

func (o *opener) compare(files pairFiles, key *jose.PrivateKey, public []byte) error {
	path := o.folder.join(files.public)
	remedy := "delete it to have it derived from " + files.private
	thumbprint, err := files.thumbprint(public)
	if err != nil {
		return unusable(path, err, remedy)
	}
	if thumbprint != key.Public().Thumbprint() {
		return fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s and %s are halves of different keys; restore the right one from a backup, or, if %s is it, delete the public file to have it derived",
			o.folder.join(files.private), path, files.private))
	}
	return nil
}

func (o *opener) derivePublic(files pairFiles, key *jose.PrivateKey) error {
	if o.folder.readOnly {
		return nil
	}
	_, public, err := files.encode(key)
	if err != nil {
		return fmt.Errorf("encode the public key: %w", err)
	}
	if err := o.folder.write(files.public, public, publicMode); err != nil {
		return err
	}
	o.log.Info("derived a missing public key file", "file", o.folder.join(files.public))
	return nil
}

func unusable(path string, cause error, remedy string) error {
	return fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s cannot be used: %s; %s", path, cause, remedy))
}
