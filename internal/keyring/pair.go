package keyring

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// pairFiles names the two files of a pair.
type pairFiles struct {
	algorithm       jose.Algorithm
	private, public string
}

var rsaFiles = pairFiles{jose.RS256, "private.pem", "public.pem"}

// filesOf returns the files in which pairs of an algorithm are kept, for the
// algorithms that a server may sign with.
func filesOf(algorithm jose.Algorithm) (pairFiles, error) {
	switch algorithm {
	case jose.RS256:
		return rsaFiles, nil
	case jose.MLDSA65, jose.MLDSA87:
		return pairFiles{algorithm, "pqc_secret.bin", "pqc_public.bin"}, nil
	}
	return pairFiles{}, fault.New(fault.Invalid, "algorithm",
		fmt.Sprintf("auth.algorithm must be %s, %s or %s", jose.RS256, jose.MLDSA65, jose.MLDSA87))
}

func (f pairFiles) encode(key *jose.PrivateKey) (secret, public []byte, err error) {
	if f.algorithm != jose.RS256 {
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
	if f.algorithm == jose.RS256 {
		return jose.ParsePrivatePEM(f.algorithm, secret)
	}
	return jose.ParseExpandedMLDSA(f.algorithm, secret, nil)
}

// thumbprint reads a public file.
func (f pairFiles) thumbprint(public []byte) (string, error) {
	if f.algorithm == jose.RS256 {
		key, err := jose.ParsePublicPEM(f.algorithm, public)
		if err != nil {
			return "", err
		}
		return key.Thumbprint(), nil
	}
	key, err := jose.ParseExpandedPublic(f.algorithm, public)
	if err != nil {
		return "", err
	}
	return key.Thumbprint(), nil
}

// load reads a pair and checks that its halves belong together. A missing
// public file is derived; a missing private one is fs.ErrNotExist.
func (o *opener) load(files pairFiles) (*jose.PrivateKey, error) {
	secret, err := o.folder.readPrivate(files.private)
	if err != nil {
		return nil, err
	}
	path := o.folder.join(files.private)
	key, err := files.parse(secret)
	if err != nil {
		return nil, unusable(path, err, "restore it from a backup, or move the pair away to have a new one made")
	}
	public, err := o.folder.readPublic(files.public)
	if errors.Is(err, fs.ErrNotExist) {
		return key, o.derivePublic(files, key)
	}
	if err != nil {
		return nil, err
	}
	return key, o.compare(files, key, public)
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
