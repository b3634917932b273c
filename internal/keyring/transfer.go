package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Import publishes a private key of the configured algorithm, which signs when
// that was long enough. It is in PEM, or for ML-DSA in the encoding of FIPS 204.
// A key that is or was one of ours is a Conflict, as is any while another waits.
func (d *Desk) Import(ctx context.Context, by identity.Actor, secret []byte) (kid string, err error) {
	key, err := d.o.files.offered(secret)
	if err != nil {
		return "", err
	}
	err = d.change(ctx, func(o *opener, set store.KeySet, adopted string) error {
		if err := o.holds(set); err != nil {
			return err
		}
		if next := set.Next(); next != nil {
			return fault.New(fault.Conflict, "key_status", fmt.Sprintf(
				"%s is next already; withdraw it first: pico-auth key retire %s", next.KID, Argument(next.KID)))
		}
		for _, row := range set.Keys {
			// By its mathematics: RSA serves several algorithms with one key.
			if public, _, err := o.publicHalf(row); err == nil && public.Thumbprint() == key.Public().Thumbprint() {
				return fault.New(fault.Conflict, "key_known", fmt.Sprintf("this key is known as %s, which is %s; a key serves once", row.KID, row.Status))
			}
		}
		change, err := o.asNext(key, adopted, store.Act{Action: identity.ActionKeyImport, By: by})
		if err != nil {
			return err
		}
		kid = change.KID
		_, err = o.put(ctx, set, change)
		return err
	})
	return kid, err
}

// offered is a key that somebody brings.
func (f pairFiles) offered(secret []byte) (*jose.PrivateKey, error) {
	key, err := f.parse(secret)
	if err == nil {
		err = key.Check()
	}
	if err == nil {
		return key, nil
	}
	message := fmt.Sprintf("this is no private key for %s (auth.algorithm): %v", f.algorithm, err)
	if form, ok := errors.AsType[*jose.FormError](err); ok {
		message += "; " + form.Remedy
	}
	return nil, fault.New(fault.Invalid, "key_file", message)
}

// Exported is a private key on its way out. It does not print.
type Exported struct {
	Bytes secretBytes // PEM, or for ML-DSA the encoding of FIPS 204
	PEM   bool
}

// Export returns the private half of a key, and notes who has it.
func (d *Desk) Export(ctx context.Context, by identity.Actor, kid string) (out Exported, err error) {
	err = d.change(ctx, func(o *opener, set store.KeySet, _ string) error {
		row, err := known(set, kid)
		if err != nil {
			return err
		}
		if row.Status == store.KeyRemoved {
			return fault.New(fault.Conflict, "key_status", "the signing key is removed; its private half was erased")
		}
		secret, err := o.secret(row)
		if err != nil {
			return err
		}
		files, err := filesOf(jose.Algorithm(row.Algorithm))
		if err != nil {
			return err
		}
		out = Exported{Bytes: secret.raw, PEM: !files.expanded()}
		return o.store.NoteKey(ctx, store.Act{Action: identity.ActionKeyExport, By: by}, kid)
	})
	return out, err
}
