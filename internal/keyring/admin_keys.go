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
	return a.keeper.change(ctx, by, func(s *session) (string, error) {
		if err := s.holds(s.keys, ""); err != nil {
			return "", err
		}
		if pending := s.keys.First(store.KeyPending, string(algorithm)); pending != nil {
			return "", fault.New(fault.Conflict, "key_status", fmt.Sprintf(
				"%s is pending already; withdraw it first: pico-auth key retire %s", pending.KID, vault.Argument(pending.KID)))
		}
		for _, known := range s.keys.Keys {
			// By thumbprint: one RSA key fits several algorithms.
			if s.keys.public[known.KID].Thumbprint() == key.Key.Public().Thumbprint() {
				return "", fault.New(fault.Conflict, "key_known", fmt.Sprintf("this key is known as %s, which is %s; a key cannot be imported again", known.KID, known.Status))
			}
		}
		change := s.policy.Make(algorithm)
		change.Act.Action = identity.ActionKeyImport
		return s.applyWith(ctx, key, change)
	})
}

// offered parses and checks a key of an operator.
func offered(algorithm jose.Algorithm, secret []byte) (vault.Secret, error) {
	key, err := jose.ParsePrivate(algorithm, secret)
	if err == nil {
		err = key.Check()
	}
	if err == nil {
		return vault.NewSecret(key)
	}
	message := fmt.Sprintf("this is not a private key for %s (auth.algorithm): %v", algorithm, err)
	if form, ok := errors.AsType[*jose.FormError](err); ok {
		message += "; " + form.Remedy
	}
	return vault.Secret{}, fault.New(fault.Invalid, "key_file", message)
}

// Export returns the private half of a key, PEM, or for ML-DSA the encoding of FIPS 204,
// and records that in the audit log.
func (a *Admin) Export(ctx context.Context, by identity.Actor, kid string) (vault.Bytes, error) {
	key, err := a.Find(ctx, kid)
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

// Find returns a recorded key, which may be removed.
func (a *Admin) Find(ctx context.Context, kid string) (vault.Key, error) {
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
	if a.keeper.Master == nil {
		return 0, fault.New(fault.Invalid, "master_key", "auth.master_key is not set; nothing can be sealed under it")
	}
	_, err = a.keeper.change(ctx, by, func(s *session) (_ string, err error) {
		changed, err = s.reseal(ctx)
		return "", err
	})
	return changed, err
}

func (s *session) reseal(ctx context.Context) (changed int, err error) {
	for _, cause := range s.keys.refused {
		return 0, cause // without the previous master key it could never be opened again
	}
	again := func(at seal.Place, sealed, what string) (string, error) {
		if sealed == "" {
			return "", nil
		}
		secret, err := s.rows.Open(at, sealed, what)
		if err != nil || s.Master.Sealed(sealed) {
			return sealed, err
		}
		changed++
		return s.Master.Seal(at, secret), nil
	}
	unchanged := true
	for i := range s.keys.Keys {
		row := &s.keys.Keys[i]
		if row.Sealed, err = again(vault.KeyPlace(row.KID), row.Sealed, "the signing key "+row.KID); err != nil {
			return 0, err
		}
		if s.Sealed() {
			unchanged = unchanged && s.Master.Sealed(row.MAC)
			s.rows.Authenticate(row, nil)
		}
	}
	hashKey, err := s.Store.LegacyHashKey(ctx)
	if err == nil {
		hashKey, err = again(vault.HashKeyPlace, hashKey, "the hash key of the adopted installation")
	}
	if err != nil || unchanged && changed == 0 {
		return 0, err
	}
	return changed, s.Store.ResealSigningKeys(ctx, s.keys.Version, store.Act{Action: identity.ActionKeyReseal, By: s.by}, hashKey, s.keys.Keys...)
}
