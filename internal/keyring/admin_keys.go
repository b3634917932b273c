package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/legacy"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Import publishes a private key of an algorithm, empty: the default one; it signs
// when that was long enough. It is in PEM, or for ML-DSA in the encoding of FIPS 204.
// A key that is or was one of ours is a Conflict, as is any while another waits.
func (a *Admin) Import(ctx context.Context, by identity.Actor, algorithm jose.Algorithm, secret []byte) (kid string, err error) {
	if algorithm, err = a.algorithm(algorithm); err != nil {
		return "", err
	}
	key, err := offered(algorithm, secret)
	if err != nil {
		return "", err
	}
	err = a.change(ctx, func(s *session, now *keys) error {
		if err := s.holds(now, ""); err != nil {
			return err
		}
		if pending := now.First(store.KeyPending, string(algorithm)); pending != nil {
			return fault.New(fault.Conflict, "key_status", fmt.Sprintf(
				"%s is pending already; withdraw it first: pico-auth key retire %s", pending.KID, Argument(pending.KID)))
		}
		for _, known := range now.known {
			// By its mathematics: RSA serves several algorithms with one key.
			if known.PublicKey.Thumbprint() == key.Public().Thumbprint() {
				return fault.New(fault.Conflict, "key_known", fmt.Sprintf("this key is known as %s, which is %s; a key serves once", known.KID, known.Status))
			}
		}
		row, err := s.asNew(now, s.policy.Make(algorithm).Key, key)
		if err == nil {
			err = s.home.Save(&row, key)
		}
		if err != nil {
			return err
		}
		kid = row.KID
		_, err = s.put(ctx, now, store.KeyChange{SigningKey: row, Act: store.Act{Action: identity.ActionKeyImport, By: by}})
		return err
	})
	return kid, err
}

// offered is a key that an operator brings.
func offered(algorithm jose.Algorithm, secret []byte) (*jose.PrivateKey, error) {
	files, err := vault.FilesOf(algorithm)
	if err != nil {
		return nil, err
	}
	key, err := files.Parse(secret)
	if err == nil {
		err = key.Check()
	}
	if err == nil {
		return key, nil
	}
	message := fmt.Sprintf("this is no private key for %s (auth.algorithm): %v", algorithm, err)
	if form, ok := errors.AsType[*jose.FormError](err); ok {
		message += "; " + form.Remedy
	}
	return nil, fault.New(fault.Invalid, "key_file", message)
}

// Exported is a private key on its way out. It does not print.
type Exported struct {
	Bytes vault.Bytes // PEM, or for ML-DSA the encoding of FIPS 204
	PEM   bool
}

// Export returns the private half of a key, and notes who has it.
func (a *Admin) Export(ctx context.Context, by identity.Actor, kid string) (out Exported, err error) {
	err = a.change(ctx, func(s *session, now *keys) error {
		row, err := now.row(kid)
		if err != nil {
			return err
		}
		if row.Status == store.KeyRemoved {
			return fault.New(fault.Conflict, "key_status", "the signing key is removed; its private half was erased")
		}
		key, err := now.sound(kid)
		if err != nil {
			return err
		}
		secret, err := s.secret(key)
		if err != nil {
			return err
		}
		files, err := vault.FilesOf(key.PublicKey.Algorithm())
		if err != nil {
			return err
		}
		out = Exported{Bytes: secret.Raw, PEM: !files.Expanded()}
		return s.store.NoteKey(ctx, store.Act{Action: identity.ActionKeyExport, By: by}, kid)
	})
	return out, err
}

// Public returns the public half of a key, also of a removed one, and its entry
// of the key set.
func (a *Admin) Public(ctx context.Context, kid string) (*jose.PublicKey, jose.JWK, error) {
	now, err := a.read(ctx)
	if err != nil {
		return nil, jose.JWK{}, err
	}
	key, err := now.sound(kid)
	if err != nil {
		return nil, jose.JWK{}, err
	}
	return key.PublicKey, key.JWK(), nil
}

// sound finds a key whose row is not refused.
func (s *keys) sound(kid string) (vault.Key, error) {
	if key, known := s.known[kid]; known {
		return key, nil
	}
	for _, r := range s.refused {
		if r.row.KID == kid {
			return vault.Key{}, r.cause
		}
	}
	return vault.Key{}, errNoSuchKey
}

// Reseal seals under the master key what was sealed under the former one, and
// authenticates all rows under it, all or nothing; it returns how many secrets that
// were. It may be repeated.
func (a *Admin) Reseal(ctx context.Context, by identity.Actor) (changed int, err error) {
	k := a.keeper
	if k.rows.Master == nil {
		return 0, fault.New(fault.Invalid, "master_key", "auth.master_key is not set; nothing can be sealed under it")
	}
	for attempt := 1; ; attempt++ {
		changed, err = a.reseal(ctx, by)
		if !errors.Is(err, store.ErrKeysChanged) || attempt == maxAttempts {
			return changed, err
		}
	}
}

func (a *Admin) reseal(ctx context.Context, by identity.Actor) (changed int, err error) {
	k := a.keeper
	now, err := a.read(ctx)
	if err != nil {
		return 0, err
	}
	for _, r := range now.refused {
		return 0, r.cause // what cannot be opened now can never be once the former master key is gone
	}
	again := 0 // rows to be authenticated
	var rows []store.SigningKey
	for _, row := range now.Keys {
		if row.Sealed != "" {
			secret, err := k.rows.Load(now.known[row.KID])
			if err != nil {
				return 0, err
			}
			if !k.rows.Master.Sealed(row.Sealed) {
				row.Sealed = k.rows.Seal(row.KID, secret.Raw)
				changed++
			}
		}
		if k.atRest == Sealed {
			if !k.rows.Master.Sealed(row.MAC) {
				again++
			}
			k.rows.Authenticate(&row, nil)
		}
		rows = append(rows, row)
	}
	hashKey, err := k.store.LegacyHashKey(ctx)
	if err != nil {
		return 0, err
	}
	if hashKey != "" {
		secret, err := k.rows.Open(legacy.HashKeyPlace, hashKey, "the hash key of the adopted installation")
		if err != nil {
			return 0, err
		}
		if !k.rows.Master.Sealed(hashKey) {
			hashKey = k.rows.Master.Seal(legacy.HashKeyPlace, secret)
			changed++
		}
	}
	if changed == 0 && again == 0 {
		return 0, nil
	}
	return changed, k.store.ResealSigningKeys(ctx, now.Version, store.Act{Action: identity.ActionKeyReseal, By: by}, hashKey, rows...)
}
