package legacy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// hashKeyFile keeps the hash key where signing keys are files.
const hashKeyFile = "legacy-token-hash.key"

// HashKeyPlace is where the sealed hash key is when signing keys are in the database.
var HashKeyPlace = seal.Place{Table: "settings", Column: "value", Row: "legacy_hash_key"}

// Installation is an adopted Python installation.
type Installation struct {
	Store *store.Store
	Files vault.Files // without a Writer: the signing keys are sealed in the database
	Rows  vault.Rows
	Log   *slog.Logger
}

// Decide records which key the installation signed with, or that it had none. It runs
// before a key is made, and the hash key is durable before the decision, so the step is
// repeated with the same result after a crash in between.
func (i Installation) Decide(ctx context.Context, found vault.Secret) (store.AdoptedKey, error) {
	var decided store.AdoptedKey
	if found.Key != nil {
		decided.Thumbprint = found.Key.Public().Thumbprint()
		if _, err := i.derive(ctx, found); err != nil {
			return decided, err
		}
	}
	if err := i.Store.SetAdoptedKey(ctx, decided.Thumbprint); err != nil {
		return decided, fmt.Errorf("record which key was adopted: %w", err)
	}
	if found.Key == nil {
		i.Log.Warn("the signing key of the adopted database is missing; tokens issued before the adoption are not valid",
			"folder", i.Files.Path())
	} else {
		i.Log.Info("adopted the signing key", "kid", vault.AdoptedKID, "algorithm", found.Key.Algorithm(), "thumbprint", decided.Thumbprint)
	}
	return decided, nil
}

// HashKey returns the hash key; nil when the installation had none. A lost one is
// derived again while the private half of the adopted key is available; after that it
// is logged as lost. adopted is nil when that key is removed.
func (i Installation) HashKey(ctx context.Context, adopted *vault.Key) ([]byte, error) {
	if i.Files.Writer == nil {
		sealed, err := i.Store.LegacyHashKey(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the hash key of the adopted installation: %w", err)
		}
		if sealed != "" {
			return i.Rows.Open(HashKeyPlace, sealed, "the hash key of the adopted installation")
		}
	}
	key, err := i.Files.ReadPrivate(hashKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return i.recover(ctx, adopted)
	case err != nil:
		return nil, err
	case len(key) != sha256.Size:
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s has %d bytes and must have %d; restore it from a backup, or delete it to have it derived from the adopted key",
			i.Files.Join(hashKeyFile), len(key), sha256.Size))
	case i.Files.Writer == nil:
		return key, i.keep(ctx, key)
	}
	return key, nil
}

func (i Installation) recover(ctx context.Context, adopted *vault.Key) ([]byte, error) {
	if adopted != nil {
		secret, err := i.Files.Load(*adopted) // the hash key is derived from the file
		if err == nil {
			return i.derive(ctx, secret)
		}
		if f, known := errors.AsType[*fault.Error](err); !known || f.Code != "key_lost" {
			return nil, err
		}
	}
	i.Log.Warn("the hash key of the adopted installation is lost with its signing key; keyed refresh and service tokens from before the adoption are not valid",
		"file", i.Files.Join(hashKeyFile))
	return nil, nil
}

func (i Installation) derive(ctx context.Context, secret vault.Secret) ([]byte, error) {
	key := deriveHashKey(secret.Key.Algorithm(), secret.Raw)
	return key, i.keep(ctx, key)
}

// keep stores the hash key beside the signing keys.
func (i Installation) keep(ctx context.Context, key []byte) error {
	if i.Files.Writer == nil {
		if err := i.Store.SetLegacyHashKey(ctx, i.Rows.Master.Seal(HashKeyPlace, key)); err != nil {
			return fmt.Errorf("store the hash key of the adopted installation: %w", err)
		}
		i.Log.Info("sealed the hash key of the adopted installation in the database")
		return nil
	}
	if err := i.Files.Writer.WritePrivate(hashKeyFile, key); err != nil {
		return err
	}
	i.Log.Info("derived the hash key of the adopted installation", "file", i.Files.Join(hashKeyFile))
	return nil
}

// deriveHashKey is the derivation of the original's later versions. They read a
// PEM file as text, in which Python converts line ends to newlines.
func deriveHashKey(algorithm jose.Algorithm, secret []byte) []byte {
	if algorithm == jose.RS256 {
		secret = bytes.ReplaceAll(secret, []byte("\r\n"), []byte("\n"))
		secret = bytes.ReplaceAll(secret, []byte("\r"), []byte("\n"))
	}
	sum := sha256.Sum256(append([]byte("pico-auth/token-hash-key/v1:"), secret...))
	return sum[:]
}
