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
	"github.com/pico-auth/pico-auth/internal/store"
)

// legacyFile keeps the derived HMAC key: adopted service tokens never expire
// and must outlive the signing key that it was derived from.
const legacyFile = "legacy-token-hash.key"

// decideAdoption settles which key the adopted installation was signing with:
// the pair of the configured algorithm that is already in the folder, or none.
// It runs before a pair is created, and the hash key is durable before the
// decision is, so a crash in between repeats the step with the same result.
func (o *opener) decideAdoption(ctx context.Context, key *jose.PrivateKey) (store.AdoptedKey, error) {
	var thumbprint string
	if key != nil {
		thumbprint = key.Public().Thumbprint()
		if _, err := o.writeLegacyHashKey(o.files); err != nil {
			return store.AdoptedKey{}, err
		}
	}
	if err := o.adopted.SetAdoptedKey(ctx, thumbprint); err != nil {
		return store.AdoptedKey{}, fmt.Errorf("record which key was adopted: %w", err)
	}
	if key == nil {
		o.log.Warn("the adopted database came without its signing key; tokens issued before the move are not valid",
			"folder", o.folder.path)
	} else {
		o.log.Info("adopted the signing key", "kid", AdoptedKID, "algorithm", key.Algorithm(), "thumbprint", thumbprint)
	}
	return store.AdoptedKey{Thumbprint: thumbprint}, nil
}

// legacyHashKey loads the hash key of an adopted installation, nil when there
// was none. A lost file is derived again while the adopted pair is in the
// folder; after that it is gone for good, and only said.
func (o *opener) legacyHashKey(adopted string, keys []KeyInfo) ([]byte, error) {
	if adopted == "" {
		return nil, nil
	}
	key, err := o.folder.readPrivate(legacyFile)
	if err == nil && len(key) != sha256.Size {
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s has %d bytes and must have %d; restore it from a backup, or delete it to have it derived from the adopted key",
			o.folder.join(legacyFile), len(key), sha256.Size))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	for _, info := range keys {
		if info.Thumbprint == adopted {
			files, err := filesOf(info.Algorithm)
			if err != nil {
				return nil, err
			}
			return o.writeLegacyHashKey(files)
		}
	}
	o.log.Warn("the hash key of the adopted installation is lost with its signing key; keyed refresh and service tokens from before the move are not valid",
		"file", o.folder.join(legacyFile))
	return nil, nil
}

func (o *opener) writeLegacyHashKey(files pairFiles) ([]byte, error) {
	secret, err := o.folder.readPrivate(files.private)
	if err != nil {
		return nil, err
	}
	key := deriveLegacyHashKey(files, secret)
	if err := o.folder.write(legacyFile, key, privateMode); err != nil {
		return nil, err
	}
	o.log.Info("derived the hash key of the adopted installation", "file", o.folder.join(legacyFile))
	return key, nil
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
