package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// legacyFile keeps the derived HMAC key: adopted service tokens never expire
// and must outlive the signing key that it was derived from.
const legacyFile = "legacy-token-hash.key"

// legacyPlace is where it is kept instead, sealed, when keys are in the database.
var legacyPlace = seal.Place{Table: "settings", Column: "value", Row: "legacy_hash_key"}

// decide settles which key the adopted installation was signing with: the one
// of the configured algorithm that was found; or else the one of another, since
// the algorithm may have been changed with the move; or none. It runs before a
// key is made, and the hash key is durable before the decision is, so a crash
// in between repeats the step with the same result.
func (o *opener) decide(ctx context.Context, adopted store.AdoptedKey, found *jose.PrivateKey) (store.AdoptedKey, error) {
	if !adopted.Pending {
		return adopted, nil
	}
	files := o.files
	if found == nil {
		other, theirs, err := o.findOther()
		if err != nil {
			return store.AdoptedKey{}, err
		}
		found, files = other.key, theirs
	}
	var thumbprint string
	if found != nil {
		thumbprint = found.Public().Thumbprint()
	}
	if o.looking {
		return store.AdoptedKey{Thumbprint: thumbprint}, nil // what Open will decide
	}
	if found != nil {
		secret, err := o.folder.readPrivate(files.private)
		if err != nil {
			return store.AdoptedKey{}, err
		}
		if _, err := o.deriveHashKey(ctx, files, secret); err != nil {
			return store.AdoptedKey{}, err
		}
	}
	if err := o.store.SetAdoptedKey(ctx, thumbprint); err != nil {
		return store.AdoptedKey{}, fmt.Errorf("record which key was adopted: %w", err)
	}
	if found == nil {
		o.log.Warn("the adopted database came without its signing key; tokens issued before the move are not valid",
			"folder", o.folder.path)
	} else {
		o.log.Info("adopted the signing key", "kid", AdoptedKID, "algorithm", found.Algorithm(), "thumbprint", thumbprint)
	}
	return store.AdoptedKey{Thumbprint: thumbprint}, nil
}

// findOther looks in the folder for a pair of another algorithm than the
// configured one, of those that the original knew. Without one there is no key.
func (o *opener) findOther() (secretFile, pairFiles, error) {
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.MLDSA65, jose.MLDSA87} {
		files, err := filesOf(algorithm)
		if err != nil {
			return secretFile{}, pairFiles{}, err
		}
		if files.private == o.files.private {
			continue // looked for already, and not there
		}
		pair, err := o.load(files, makeAnew)
		switch {
		case err == nil:
			return pair, files, nil
		case algorithm == jose.MLDSA65 && !errors.Is(err, fs.ErrNotExist):
			continue // it may be one of ML-DSA-87, which has the same name
		case !errors.Is(err, fs.ErrNotExist):
			return secretFile{}, pairFiles{}, err
		}
	}
	return secretFile{}, o.files, nil
}

// legacyHashKey loads the hash key of an adopted installation, nil when there
// was none. A lost one is derived again while the adopted pair is in the
// folder; after that it is gone for good, and only said.
func (o *opener) legacyHashKey(ctx context.Context, adopted string, set store.KeySet) ([]byte, error) {
	if adopted == "" || o.looking {
		return nil, nil
	}
	if o.inDatabase() {
		sealed, err := o.store.LegacyHashKey(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the hash key of the adopted installation: %w", err)
		}
		if sealed != "" {
			return o.openSealed(legacyPlace, sealed, "the hash key of the adopted installation")
		}
	}
	key, err := o.folder.readPrivate(legacyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return o.recoverHashKey(ctx, adopted, set)
	case err != nil:
		return nil, err
	case len(key) != sha256.Size:
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s has %d bytes and must have %d; restore it from a backup, or delete it to have it derived from the adopted key",
			o.folder.join(legacyFile), len(key), sha256.Size))
	case o.inDatabase():
		return key, o.keepHashKey(ctx, key)
	}
	return key, nil
}

func (o *opener) recoverHashKey(ctx context.Context, adopted string, set store.KeySet) ([]byte, error) {
	for _, row := range set.Keys {
		public, _, err := o.publicHalf(row)
		if err != nil || public.Thumbprint() != adopted || row.Status == store.KeyRemoved {
			continue
		}
		files, err := filesOf(public.Algorithm())
		if err != nil {
			return nil, err
		}
		secret, err := o.fromFiles(row, files, adopted)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		return o.deriveHashKey(ctx, files, secret.raw)
	}
	o.log.Warn("the hash key of the adopted installation is lost with its signing key; keyed refresh and service tokens from before the move are not valid",
		"file", o.folder.join(legacyFile))
	return nil, nil
}

func (o *opener) deriveHashKey(ctx context.Context, files pairFiles, secret []byte) ([]byte, error) {
	key := deriveLegacyHashKey(files, secret)
	return key, o.keepHashKey(ctx, key)
}

// keepHashKey stores the hash key where the signing keys are.
func (o *opener) keepHashKey(ctx context.Context, key []byte) error {
	if o.inDatabase() {
		if err := o.store.SetLegacyHashKey(ctx, o.master.Seal(legacyPlace, key)); err != nil {
			return fmt.Errorf("store the hash key of the adopted installation: %w", err)
		}
		o.log.Info("sealed the hash key of the adopted installation in the database")
		return nil
	}
	if err := o.folder.write(legacyFile, key, privateMode); err != nil {
		return err
	}
	o.log.Info("derived the hash key of the adopted installation", "file", o.folder.join(legacyFile))
	return nil
}

// deriveLegacyHashKey is the derivation of the original's later versions. They
// read a PEM file as text, whose line ends Python makes newlines.
func deriveLegacyHashKey(files pairFiles, secret []byte) []byte {
	if files.algorithm == jose.RS256 {
		secret = bytes.ReplaceAll(secret, []byte("\r\n"), []byte("\n"))
		secret = bytes.ReplaceAll(secret, []byte("\r"), []byte("\n"))
	}
	sum := sha256.Sum256(append([]byte("pico-auth/token-hash-key/v1:"), secret...))
	return sum[:]
}
