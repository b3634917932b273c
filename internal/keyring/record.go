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
	"github.com/pico-auth/pico-auth/internal/identity"
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
	o.adopted = adopted.Thumbprint
	if set, err = o.store.SigningKeys(ctx); err != nil {
		return set, adopted, fmt.Errorf("read the signing keys: %w", err)
	}
	for _, row := range set.Keys {
		switch row.Status {
		case store.KeyNext, store.KeyActive, store.KeyRetiring, store.KeyRemoved:
		default: // else an active key whose status was edited would be replaced in silence
			return set, adopted, unusableRow(row, fmt.Errorf("its status is %q", row.Status))
		}
	}
	return set, adopted, nil
}

// private returns the private half of a recorded key.
func (o *opener) private(row store.SigningKey) (*jose.PrivateKey, error) {
	secret, err := o.secret(row)
	return secret.key, err
}

// secret returns the private half of a recorded key as it is kept.
func (o *opener) secret(row store.SigningKey) (secretFile, error) {
	public, _, err := o.publicHalf(row)
	if err != nil {
		return secretFile{}, err
	}
	files, err := filesOf(jose.Algorithm(row.Algorithm))
	if err != nil {
		return secretFile{}, unusableRow(row, err)
	}
	if row.Sealed == "" {
		secret, err := o.fromFiles(row, files, public.Thumbprint())
		if errors.Is(err, fs.ErrNotExist) {
			err = o.lost(row)
		}
		return secret, err
	}
	secret, err := o.unseal(row, files)
	if err == nil && secret.key.Public().Thumbprint() != public.Thumbprint() {
		err = unusableRow(row, errors.New("its halves are of different keys"))
	}
	return secret, err
}

func (o *opener) unseal(row store.SigningKey, files pairFiles) (secretFile, error) {
	raw, err := o.openSealed(keyPlace(row.KID), row.Sealed, "the signing key "+row.KID)
	if err != nil {
		return secretFile{}, err
	}
	key, err := files.parse(raw)
	if err != nil {
		return secretFile{}, unusableRow(row, err)
	}
	return secretFile{raw: raw, key: key}, nil
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
			"auth.master_key is not the master key under which %s was sealed in the database; set the one that this installation had, or that one as auth.former_master_key", what))
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, "sealed_key", fmt.Sprintf(
			"%s cannot be unsealed: its row in the database is damaged or was exchanged; restore the database from a backup", what), err)
	}
	return secret, nil
}

// lost refuses to go on without a private key: a new one in the place of the
// active one would make every token invalid, and other replicas may be signing
// with it right now.
func (o *opener) lost(row store.SigningKey) error {
	return fault.New(fault.Invalid, "key_lost", fmt.Sprintf(
		"the %s signing key %s (%s) is not in auth.data_dir %s; restore its files from a backup, or point auth.data_dir at the folder that holds them, "+
			"which all replicas share; %s",
		row.Status, row.KID, row.Algorithm, o.folder.path, giveUp(row, "run")))
}

// giveUp is how to go on without the private half of a recorded key.
func giveUp(row store.SigningKey, run string) string {
	kid := Argument(row.KID)
	switch row.Status {
	case store.KeyNext:
		return "if it is lost for good, withdraw it: `pico-auth key retire " + kid + "`"
	case store.KeyRetiring, store.KeyRemoved:
		return "what " + kid + " signed is verified without it"
	case store.KeyActive:
	}
	return "if it is lost for good, " + run + " `pico-auth key forget " + kid + "` to have a new one made"
}

// Argument is a key id as it stands in a command line.
func Argument(kid string) string {
	if strings.HasPrefix(kid, "-") {
		return "-- " + kid // else it is a flag
	}
	return kid
}

func unusableRow(row store.SigningKey, cause error) error {
	return fault.Wrap(fault.Invalid, "sealed_key",
		fmt.Sprintf("the signing key %s in the database cannot be used; restore the database from a backup", row.KID), cause)
}

func keyPlace(kid string) seal.Place {
	return seal.Place{Table: "signing_keys", Column: "sealed_key", Row: kid}
}

func sealedPlace(s store.Sealed) seal.Place {
	return seal.Place{Table: s.Table, Column: s.Column, Row: s.Row}
}

// publicHalf returns the public half of a recorded key and its entry of the key
// set. The row of a key is bound to it by its id, which is the thumbprint: who can
// write to the database but does not hold the keys cannot have another published
// in the place of one. The thumbprint of the adopted key is recorded by itself.
func (o *opener) publicHalf(row store.SigningKey) (*jose.PublicKey, jose.JWK, error) {
	var jwk jose.JWK
	if err := json.Unmarshal([]byte(row.Public), &jwk); err != nil {
		return nil, jwk, unusableRow(row, err)
	}
	key, err := jose.ParseJWK(jwk)
	if err != nil {
		return nil, jwk, unusableRow(row, err)
	}
	id := row.KID
	if id == AdoptedKID {
		id = o.adopted
	}
	if key.Thumbprint() != id || string(key.Algorithm()) != row.Algorithm {
		return nil, jwk, unusableRow(row, errors.New("its id or its algorithm is that of another key"))
	}
	jwk = key.JWK(row.KID)
	return key, jwk, nil
}

// begin records signing as the first active key. One that was just made is
// sealed at once where keys are in the database; moveIn does it for files.
func (o *opener) begin(ctx context.Context, set store.KeySet, signing *jose.PrivateKey, created bool, adopted string) (store.KeySet, error) {
	row, err := o.newRow(signing, store.KeyActive, adopted)
	if err != nil {
		return set, err
	}
	if created && o.inDatabase() {
		if row.Sealed, err = o.sealed(row.KID, signing); err != nil {
			return set, err
		}
	}
	changes := []store.KeyChange{{SigningKey: row}}
	beside, err := o.beside(set, signing, adopted)
	if err != nil {
		return set, err
	}
	for _, row := range beside {
		changes = append(changes, store.KeyChange{SigningKey: row})
	}
	return o.put(ctx, set, changes...)
}

// beside is, the first time that keys are recorded, the RSA pair which lies
// beside an active key of another algorithm: tokens signed before a change of
// auth.algorithm are still out there.
func (o *opener) beside(set store.KeySet, signing *jose.PrivateKey, adopted string) ([]store.SigningKey, error) {
	if len(set.Keys) > 0 || signing.Algorithm() == jose.RS256 {
		return nil, nil
	}
	former, err := o.load(rsaFiles, "restore it from a backup, or move the pair away; what it signed is refused then")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if former.key.Public().Thumbprint() == signing.Public().Thumbprint() {
		return nil, nil // one RSA pair under two algorithms
	}
	row, err := o.newRow(former.key, store.KeyRetiring, adopted)
	return []store.SigningKey{row}, err
}

// put records changes and returns the keys as they are then. For who only looks,
// and where nothing is recorded, it is a thought only.
func (o *opener) put(ctx context.Context, set store.KeySet, changes ...store.KeyChange) (store.KeySet, error) {
	if o.store == nil || o.looking {
		return imagine(set, changes), nil
	}
	if err := o.store.PutSigningKeys(ctx, set.Version, changes...); err != nil {
		return set, fmt.Errorf("record the signing keys: %w", err)
	}
	for _, row := range changes {
		o.log.Info("recorded a signing key", "kid", row.KID, "algorithm", row.Algorithm, "status", row.Status, "sealed", row.Sealed != "")
	}
	return o.store.SigningKeys(ctx)
}

func imagine(set store.KeySet, changes []store.KeyChange) store.KeySet {
	keys := slices.Clone(set.Keys)
	for _, change := range changes {
		if i := slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.KID == change.KID }); i >= 0 {
			keys[i] = change.SigningKey
		} else {
			keys = append(keys, change.SigningKey)
		}
	}
	return store.KeySet{Version: set.Version, Keys: keys}
}

// moveIn seals the keys that are files into the database, where that is their
// place. Their files are left: replicas that have not been restarted use them.
func (o *opener) moveIn(ctx context.Context, set store.KeySet) (store.KeySet, error) {
	if !o.inDatabase() || o.looking {
		return set, nil
	}
	var changes []store.KeyChange
	for _, row := range set.Keys {
		if row.Sealed != "" || row.Status == store.KeyRemoved {
			continue
		}
		secret, err := o.secret(row)
		if err != nil && row.Status == store.KeyActive {
			return set, err
		}
		if err != nil {
			o.log.Warn("a signing key stays outside of the database: its file is not to be had", "kid", row.KID, "status", row.Status, "error", err)
			continue
		}
		row.Sealed = o.master.Seal(keyPlace(row.KID), secret.raw)
		changes = append(changes, store.KeyChange{SigningKey: row, Act: own(identity.ActionKeySeal)})
		o.log.Warn("moved the signing key into the database, sealed under auth.master_key; its files are not used any more: remove them when all replicas are up",
			"kid", row.KID, "file", o.folder.join(secret.name))
	}
	if len(changes) == 0 {
		return set, nil
	}
	return o.put(ctx, set, changes...)
}

// newRow describes a key that is to be recorded. Its id is the thumbprint, but
// for the key that was adopted.
func (o *opener) newRow(key *jose.PrivateKey, status store.KeyStatus, adopted string) (store.SigningKey, error) {
	kid := key.Public().Thumbprint()
	if kid == adopted {
		kid = AdoptedKID
	}
	public, err := json.Marshal(key.Public().JWK(kid))
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("encode a public key: %w", err)
	}
	return store.SigningKey{KID: kid, Algorithm: string(key.Algorithm()), Status: status, Public: string(public), TokenLife: o.tokenLife}, nil
}

// sealed is the private half as it is kept in the database.
func (o *opener) sealed(kid string, key *jose.PrivateKey) (string, error) {
	files, err := filesOf(key.Algorithm())
	if err != nil {
		return "", err
	}
	secret, _, err := files.encode(key)
	if err != nil {
		return "", fmt.Errorf("encode a signing key: %w", err)
	}
	return o.master.Seal(keyPlace(kid), secret), nil
}
