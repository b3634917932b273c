package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// recorded reads what the database knows of the keys.
func (o *opener) recorded(ctx context.Context) (set store.KeySet, adopted store.AdoptedKey, err error) {
	if o.store == nil {
		return set, adopted, nil
	}
	if adopted, err = o.store.AdoptedKey(ctx); err != nil {
		return set, adopted, fmt.Errorf("read which key was adopted: %w", err)
	}
	if set, err = o.store.SigningKeys(ctx); err != nil {
		return set, adopted, fmt.Errorf("read the signing keys: %w", err)
	}
	return set, adopted, nil
}

// private returns the private half of a recorded key.
func (o *opener) private(row store.SigningKey) (*jose.PrivateKey, error) {
	public, _, err := publicHalf(row)
	if err != nil {
		return nil, err
	}
	files, err := filesOf(jose.Algorithm(row.Algorithm))
	if err != nil {
		return nil, unusableRow(row, err)
	}
	var key *jose.PrivateKey
	if row.Sealed != "" {
		key, err = o.unseal(row, files)
	} else {
		key, err = o.load(files)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, o.lost(row)
	case err != nil:
		return nil, err
	case key.Public().Thumbprint() == public.Thumbprint():
		return key, nil
	case row.Sealed != "":
		return nil, unusableRow(row, errors.New("its halves are of different keys"))
	}
	return nil, o.lost(row)
}

func (o *opener) unseal(row store.SigningKey, files pairFiles) (*jose.PrivateKey, error) {
	secret, err := o.openSealed(keyPlace(row.KID), row.Sealed, "the signing key "+row.KID)
	if err != nil {
		return nil, err
	}
	key, err := files.parse(secret)
	if err != nil {
		return nil, unusableRow(row, err)
	}
	return key, nil
}

// openSealed says in words why something sealed stays so.
func (o *opener) openSealed(at seal.Place, sealed, what string) ([]byte, error) {
	if o.master == nil {
		return nil, fault.New(fault.Invalid, "master_key", fmt.Sprintf(
			"%s is sealed in the database and auth.master_key is not set; set it (AUTH_MASTER_KEY or AUTH_MASTER_KEY_FILE) to the master key of this installation", what))
	}
	secret, err := o.master.Open(at, sealed)
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return nil, fault.New(fault.Invalid, "master_key", fmt.Sprintf(
			"auth.master_key is not the master key under which %s was sealed in the database; set the one that this installation had", what))
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, "sealed_key", fmt.Sprintf(
			"%s cannot be unsealed: its row in the database is damaged or was exchanged; restore the database from a backup", what), err)
	}
	return secret, nil
}

// lost refuses to go on without the active key: a new one would make every
// token invalid, and other replicas may be signing with it right now.
func (o *opener) lost(row store.SigningKey) error {
	argument := row.KID
	if strings.HasPrefix(argument, "-") {
		argument = "-- " + argument // else it is a flag
	}
	return fault.New(fault.Invalid, "key_lost", fmt.Sprintf(
		"the active signing key %s (%s) is not in auth.data_dir %s; restore its files from a backup, or point auth.data_dir at the folder that holds them, "+
			"which all replicas share; if it is lost for good, run `pico-auth key forget %s` to have a new one made",
		row.KID, row.Algorithm, o.folder.path, argument))
}

func unusableRow(row store.SigningKey, cause error) error {
	return fault.Wrap(fault.Invalid, "sealed_key",
		fmt.Sprintf("the signing key %s in the database cannot be used; restore the database from a backup", row.KID), cause)
}

func keyPlace(kid string) seal.Place {
	return seal.Place{Table: "signing_keys", Column: "sealed_key", Row: kid}
}

func publicHalf(row store.SigningKey) (*jose.PublicKey, jose.JWK, error) {
	var jwk jose.JWK
	if err := json.Unmarshal([]byte(row.Public), &jwk); err != nil {
		return nil, jwk, unusableRow(row, err)
	}
	key, err := jose.ParseJWK(jwk)
	if err != nil {
		return nil, jwk, unusableRow(row, err)
	}
	return key, jwk, nil
}

// record makes signing the active key of the set, in the database, too, unless
// it is that already. Where keys are kept in the database it goes there sealed.
func (o *opener) record(ctx context.Context, set store.KeySet, signing *jose.PrivateKey, adopted string) (store.KeySet, error) {
	former := set.Active()
	row, err := newRow(signing.Public(), store.KeyActive, adopted)
	if err != nil {
		return set, err
	}
	known := slices.IndexFunc(set.Keys, func(k store.SigningKey) bool { return k.KID == row.KID })
	if known >= 0 {
		row.Sealed, row.CreatedAt = set.Keys[known].Sealed, set.Keys[known].CreatedAt
	}
	imports := o.inDatabase() && row.Sealed == "" && !o.looking
	if former != nil && former.KID == row.KID && !imports {
		return set, nil
	}
	var changes []store.SigningKey
	if former != nil && former.KID != row.KID {
		retired := *former
		retired.Status = store.KeyRetiring
		changes = append(changes, retired)
	}
	if imports {
		if row.Sealed, err = o.sealed(row.KID, signing); err != nil {
			return set, err
		}
	}
	changes = append(changes, row)
	beside, err := o.beside(set, signing, adopted)
	if err != nil {
		return set, err
	}
	changes = append(changes, beside...)
	return o.put(ctx, set, changes)
}

// beside is, the first time that keys are recorded, the RSA pair which lies
// beside an active key of another algorithm: tokens signed before a change of
// auth.algorithm are still out there.
func (o *opener) beside(set store.KeySet, signing *jose.PrivateKey, adopted string) ([]store.SigningKey, error) {
	if len(set.Keys) > 0 || signing.Algorithm() == jose.RS256 {
		return nil, nil
	}
	former, err := o.load(rsaFiles)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	row, err := newRow(former.Public(), store.KeyRetiring, adopted)
	return []store.SigningKey{row}, err
}

func (o *opener) put(ctx context.Context, set store.KeySet, changes []store.SigningKey) (store.KeySet, error) {
	if o.store != nil && !o.looking {
		var wanted []store.KeyChange
		for _, row := range changes {
			wanted = append(wanted, store.KeyChange{SigningKey: row})
		}
		if err := o.store.PutSigningKeys(ctx, set.Version, wanted...); err != nil {
			return set, fmt.Errorf("record the signing keys: %w", err)
		}
		set.Version++
		for _, row := range changes {
			o.log.Info("recorded a signing key", "kid", row.KID, "algorithm", row.Algorithm, "status", row.Status, "sealed", row.Sealed != "")
		}
	}
	keys := slices.Clone(set.Keys)
	for _, row := range changes {
		if i := slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.KID == row.KID }); i >= 0 {
			keys[i] = row
		} else {
			keys = append(keys, row)
		}
	}
	return store.KeySet{Version: set.Version, Keys: keys}, nil
}

func (o *opener) sealed(kid string, key *jose.PrivateKey) (string, error) {
	files, err := filesOf(key.Algorithm())
	if err != nil {
		return "", err
	}
	secret, _, err := files.encode(key)
	if err != nil {
		return "", fmt.Errorf("encode a signing key: %w", err)
	}
	if o.folder.exists(files.private) {
		o.log.Info("moved the signing key into the database, sealed under auth.master_key; its files are not used any more",
			"kid", kid, "file", o.folder.join(files.private))
	}
	return o.master.Seal(keyPlace(kid), secret), nil
}

// newRow describes a key that is to be recorded. Its id is the thumbprint, but
// for the key that was adopted.
func newRow(key *jose.PublicKey, status store.KeyStatus, adopted string) (store.SigningKey, error) {
	kid := key.Thumbprint()
	if kid == adopted {
		kid = AdoptedKID
	}
	public, err := json.Marshal(key.JWK(kid))
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("encode a public key: %w", err)
	}
	return store.SigningKey{KID: kid, Algorithm: string(key.Algorithm()), Status: status, Public: string(public)}, nil
}
