package vault

import (
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// macLabel is the purpose of the key under which rows are authenticated.
const macLabel = "pico-auth/signing-key-row/v1"

// Rows keeps private halves in the rows of the keys.
type Rows struct {
	Master *seal.Master // nil: nothing can be sealed or opened
}

// Load unseals the private half in the row of a key.
func (r Rows) Load(k Key) (Secret, error) {
	raw, err := r.Open(KeyPlace(k.KID), k.Sealed, "the signing key "+k.KID)
	if err != nil {
		return Secret{}, err
	}
	key, err := jose.ParsePrivate(k.PublicKey.Algorithm(), raw)
	if err != nil {
		return Secret{}, Unusable(k.SigningKey, err)
	}
	if !key.Public().Equal(k.PublicKey) {
		return Secret{}, Unusable(k.SigningKey, errors.New("its halves are of different keys"))
	}
	return Secret{Raw: raw, Key: key}, nil
}

// Open unseals a value. Its errors name what and tell the operator what to do.
func (r Rows) Open(at seal.Place, sealed, what string) (Bytes, error) {
	if r.Master == nil {
		return nil, fault.New(fault.Invalid, "master_key", fmt.Sprintf(
			"%s is sealed in the database and auth.master_key is not set; set it (AUTH_MASTER_KEY or AUTH_MASTER_KEY_FILE) to the master key of this installation", what))
	}
	secret, err := r.Master.Open(at, sealed)
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return nil, otherMaster(what, "")
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, "sealed_key", fmt.Sprintf(
			"%s cannot be unsealed: its row in the database is damaged or was replaced; restore the database from a backup", what), err)
	}
	return secret, nil
}

// KeyPlace is where the sealed private half of a key is.
func KeyPlace(kid string) seal.Place {
	return seal.Place{Table: "signing_keys", Column: "sealed_key", Row: kid}
}

// Authenticate sets the MAC of a row. While the master key is being replaced, it uses
// the previous one if one of the present rows does, so that servers which have only
// that one still accept the rows.
func (r Rows) Authenticate(row *store.SigningKey, present []store.SigningKey) {
	master := r.Master
	if former := master.Former(); former != nil {
		for _, k := range present {
			if former.Sealed(k.MAC) {
				master = former
			}
		}
	}
	row.MAC = master.MAC(macLabel, parts(*row)...)
}

// Verify refuses a row without the MAC that Authenticate set.
func (r Rows) Verify(k Key) error {
	err := r.Master.Verify(k.MAC, macLabel, parts(k.SigningKey)...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrOtherKey):
		return otherMaster("the signing key "+k.KID, "; if that is lost, revoke the key or run `pico-auth key accept "+Argument(k.KID)+"`")
	}
	return fault.New(fault.Invalid, "key_row", fmt.Sprintf(
		"the %s signing key %s (%s) in the database is not trusted: its row was not written by this server: the MAC is missing or wrong; find the cause of the change, and to use the key as it is run `pico-auth key accept %s`",
		k.Status, k.KID, k.Algorithm, Argument(k.KID)))
}

func otherMaster(what, remedy string) error {
	return fault.New(fault.Invalid, "master_key", fmt.Sprintf(
		"auth.master_key is not the master key under which %s was sealed in the database; set auth.master_key to the previous master key, or set that as auth.former_master_key%s",
		what, remedy))
}

// parts is what the MAC of a row is computed from.
func parts(row store.SigningKey) []string {
	all := []string{row.KID, row.Algorithm, row.Public, string(row.Status), fmt.Sprint(row.API)}
	for _, at := range []time.Time{row.CreatedAt, row.ActivatedAt, row.RetiredAt, row.RemovedAt} {
		text := ""
		if !at.IsZero() {
			text = at.UTC().Format(time.RFC3339Nano)
		}
		all = append(all, text)
	}
	return all
}
