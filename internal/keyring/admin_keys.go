package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Import publishes a private key of an algorithm (empty: the default one); it signs
// after PublishAhead. secret is PEM, or for ML-DSA the encoding of FIPS 204. The error
// is a Conflict for a key that is known already, and while another one is pending.
func (a *Admin) Import(ctx context.Context, by identity.Actor, algorithm jose.Algorithm, secret []byte) (kid string, err error) {
	if algorithm, err = a.algorithm(algorithm); err != nil {
		return "", err
	}
	key, err := offered(algorithm, secret)
	if err != nil {
		return "", err
	}
	return a.change(ctx, func(s *session, now *keys) (string, error) {
		if err := s.holds(now, ""); err != nil {
			return "", err
		}
		if pending := now.First(store.KeyPending, string(algorithm)); pending != nil {
			return "", fault.New(fault.Conflict, "key_status", fmt.Sprintf(
				"%s is pending already; withdraw it first: pico-auth key retire %s", pending.KID, vault.Argument(pending.KID)))
		}
		for _, known := range now.Keys {
			// By thumbprint: one RSA key fits several algorithms.
			if now.public[known.KID].Thumbprint() == key.Public().Thumbprint() {
				return "", fault.New(fault.Conflict, "key_known", fmt.Sprintf("this key is known as %s, which is %s; a key cannot be imported again", known.KID, known.Status))
			}
		}
		row, err := s.make(now, s.policy.Make(algorithm).Key, vault.Secret{Key: key})
		if err != nil {
			return "", err
		}
		_, err = s.put(ctx, now, store.KeyChange{SigningKey: row, Act: store.Act{Action: identity.ActionKeyImport, By: by}})
		return row.KID, err
	})
}

// offered parses and checks a key of an operator.
func offered(algorithm jose.Algorithm, secret []byte) (*jose.PrivateKey, error) {
	key, err := jose.ParsePrivate(algorithm, secret)
	if err == nil {
		err = key.Check()
	}
	if err == nil {
		return key, nil
	}
	message := fmt.Sprintf("this is not a private key for %s (auth.algorithm): %v", algorithm, err)
	if form, ok := errors.AsType[*jose.FormError](err); ok {
		message += "; " + form.Remedy
	}
	return nil, fault.New(fault.Invalid, "key_file", message)
}

// Export returns the private half of a key, PEM, or for ML-DSA the encoding of FIPS 204,
// and records that in the audit log.
func (a *Admin) Export(ctx context.Context, by identity.Actor, kid string) (vault.Bytes, error) {
	key, err := a.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	if key.Status == store.KeyRemoved {
		return nil, fault.New(fault.Conflict, "key_status", "the signing key is removed; its private half was erased")
	}
	secret, err := a.keeper.secret(key)
	if err != nil {
		return nil, err
	}
	return secret.Raw, a.keeper.Store.NoteKey(ctx, store.Act{Action: identity.ActionKeyExport, By: by}, kid)
}

// Public returns the public half of a key, which may be removed, and its entry in the
// key set.
func (a *Admin) Public(ctx context.Context, kid string) (*jose.PublicKey, jose.JWK, error) {
	key, err := a.find(ctx, kid)
	if err != nil {
		return nil, jose.JWK{}, err
	}
	return key.PublicKey, key.JWK(), nil
}

func (a *Admin) find(ctx context.Context, kid string) (vault.Key, error) {
	now, err := a.keeper.load(ctx, false)
	if err != nil {
		return vault.Key{}, err
	}
	return now.key(kid)
}

// Reseal seals under the master key all secrets that are sealed under the previous one,
// and authenticates all rows under it, all or nothing. It returns the number of these
// secrets and may be repeated.
func (a *Admin) Reseal(ctx context.Context, by identity.Actor) (changed int, err error) {
	k := a.keeper
	if k.rows.Master == nil {
		return 0, fault.New(fault.Invalid, "master_key", "auth.master_key is not set; nothing can be sealed under it")
	}
	err = retried(func() (err error) {
		changed, err = a.reseal(ctx, by)
		return err
	})
	return changed, err
}

func (a *Admin) reseal(ctx context.Context, by identity.Actor) (changed int, err error) {
	k := a.keeper
	now, err := k.load(ctx, false)
	if err != nil {
		return 0, err
	}
	for _, cause := range now.refused {
		return 0, cause // without the previous master key it could never be opened again
	}
	again := func(at seal.Place, sealed, what string) (string, error) {
		if sealed == "" {
			return "", nil
		}
		secret, err := k.rows.Open(at, sealed, what)
		if err != nil || k.rows.Master.Sealed(sealed) {
			return sealed, err
		}
		changed++
		return k.rows.Master.Seal(at, secret), nil
	}
	unchanged := true
	for i := range now.Keys {
		row := &now.Keys[i]
		if row.Sealed, err = again(vault.KeyPlace(row.KID), row.Sealed, "the signing key "+row.KID); err != nil {
			return 0, err
		}
		if k.Sealed() {
			unchanged = unchanged && k.rows.Master.Sealed(row.MAC)
			k.rows.Authenticate(row, nil)
		}
	}
	hashKey, err := k.Store.LegacyHashKey(ctx)
	if err == nil {
		hashKey, err = again(vault.HashKeyPlace, hashKey, "the hash key of the adopted installation")
	}
	if err != nil || unchanged && changed == 0 {
		return 0, err
	}
	return changed, k.Store.ResealSigningKeys(ctx, now.Version, store.Act{Action: identity.ActionKeyReseal, By: by}, hashKey, now.Keys...)
}
