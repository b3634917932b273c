package adopt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// hashKeyFile keeps the hash key where signing keys are files.
const hashKeyFile = "legacy-token-hash.key"

// Keys adopts the keys of a Python installation: the one that it signed with, which
// keeps the constant key ID of the original, and the one under which its later versions
// hashed tokens. The hash key is derived from the file of the signing key once and kept
// where the signing keys are: adopted service tokens never expire and must outlive that
// key.
type Keys struct {
	Store     *store.Store
	Dir       string         // auth.data_dir
	Algorithm jose.Algorithm // auth.algorithm
	Sealed    bool           // the signing keys are in the database, under Master
	Master    *seal.Master   // nil: none
	Log       *slog.Logger   // nil: discard
}

// Decide records, once and at the first start after an adoption, which key the
// installation signed with, or that it had none. Call it before keyring.Open, which makes
// a key when there is none. The hash key is durable before the decision, so the step is
// repeated with the same result after a crash in between.
func (k Keys) Decide(ctx context.Context) error {
	adopted, err := k.adopted(ctx)
	if err != nil || !adopted.Pending || k.Sealed && k.Master == nil { // keyring.Open refuses that
		return err
	}
	files, err := k.files(ctx)
	if err != nil {
		return err
	}
	defer files.Writer.Close()
	if adopted, err = k.adopted(ctx); err != nil || !adopted.Pending { // decided by another process
		return err
	}
	pair, err := files.FirstPair(k.Algorithm)
	if err != nil {
		return err
	}
	thumbprint := ""
	if pair.Key != nil {
		thumbprint = pair.Key.Public().Thumbprint()
		if _, err := k.derive(ctx, files, pair); err != nil {
			return err
		}
	}
	if err := k.Store.SetAdoptedKey(ctx, thumbprint); err != nil {
		return fmt.Errorf("record which key was adopted: %w", err)
	}
	if pair.Key == nil {
		files.Log.Warn("the signing key of the adopted database is missing; tokens issued before the adoption are not valid", "folder", files.Path())
	} else {
		files.Log.Info("adopted the signing key", "kid", vault.AdoptedKID, "algorithm", pair.Key.Algorithm(), "thumbprint", thumbprint)
	}
	return nil
}

// HashKey returns the hash key; nil when there is none. A lost one is derived again while
// the private half of the adopted key is available; after that it is logged as lost.
func (k Keys) HashKey(ctx context.Context) ([]byte, error) {
	adopted, err := k.adopted(ctx)
	if err != nil || adopted.Thumbprint == "" {
		return nil, err
	}
	if k.Sealed {
		sealed, err := k.Store.LegacyHashKey(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the hash key of the adopted installation: %w", err)
		}
		if sealed != "" {
			return vault.Rows{Master: k.Master}.Open(vault.HashKeyPlace, sealed, "the hash key of the adopted installation")
		}
	}
	files, err := k.files(ctx)
	if err != nil {
		return nil, err
	}
	defer files.Writer.Close()
	key, err := files.ReadPrivate(hashKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k.recover(ctx, files, adopted)
	case err != nil:
		return nil, err
	case len(key) != sha256.Size:
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s has %d bytes and must have %d; restore it from a backup, or delete it to have it derived from the adopted key",
			files.Join(hashKeyFile), len(key), sha256.Size))
	case k.Sealed:
		return key, k.keep(ctx, files, key)
	}
	return key, nil
}

func (k Keys) adopted(ctx context.Context) (store.AdoptedKey, error) {
	adopted, err := k.Store.AdoptedKey(ctx)
	if err != nil {
		err = fmt.Errorf("read which key was adopted: %w", err)
	}
	return adopted, err
}

// files returns the files of the data folder, locked unless the keys are sealed.
func (k Keys) files(ctx context.Context) (f vault.Files, err error) {
	f.Log = k.Log
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	f.Folder = datadir.New(k.Dir, f.Log)
	if !k.Sealed {
		f.Writer, err = f.Lock(ctx)
	}
	return f, err
}

func (k Keys) recover(ctx context.Context, files vault.Files, adopted store.AdoptedKey) ([]byte, error) {
	set, err := k.Store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	var key vault.Key
	row := set.Key(vault.AdoptedKID)
	there := row != nil && row.Status != store.KeyRemoved
	if there {
		key, err = vault.Parse(*row, adopted.Thumbprint)
		there = err == nil // keyring goes on without a damaged row, and has said so
	}
	if there {
		secret, err := files.Load(key) // the hash key is derived from the file
		if err == nil {
			return k.derive(ctx, files, secret)
		}
		if f, known := errors.AsType[*fault.Error](err); !known || f.Code != "key_lost" {
			return nil, err
		}
	}
	files.Log.Warn("the hash key of the adopted installation is lost with its signing key; keyed refresh and service tokens from before the adoption are not valid",
		"file", files.Join(hashKeyFile))
	return nil, nil
}

func (k Keys) derive(ctx context.Context, files vault.Files, secret vault.Secret) ([]byte, error) {
	key := deriveHashKey(secret.Key.Algorithm(), secret.Raw)
	return key, k.keep(ctx, files, key)
}

// keep stores the hash key beside the signing keys.
func (k Keys) keep(ctx context.Context, files vault.Files, key []byte) error {
	if k.Sealed {
		if err := k.Store.SetLegacyHashKey(ctx, k.Master.Seal(vault.HashKeyPlace, key)); err != nil {
			return fmt.Errorf("store the hash key of the adopted installation: %w", err)
		}
		files.Log.Info("sealed the hash key of the adopted installation in the database")
		return nil
	}
	if err := files.Writer.WritePrivate(hashKeyFile, key); err != nil {
		return err
	}
	files.Log.Info("derived the hash key of the adopted installation", "file", files.Join(hashKeyFile))
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
