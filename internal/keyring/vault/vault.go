package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// AdoptedKID is the constant key id of the original server. The one key that
// an adopted installation was signing with keeps it.
const AdoptedKID = "pico-auth-1"

// HashKeyPlace is where the sealed hash key of an adopted installation is; it is resealed
// with the keys.
var HashKeyPlace = seal.Place{Table: "settings", Column: "value", Row: "legacy_hash_key"}

// Key is a recorded key whose row was checked by Parse.
type Key struct {
	store.SigningKey
	PublicKey *jose.PublicKey
}

// JWK is the entry of the key in a key set.
func (k Key) JWK() jose.JWK { return k.PublicKey.JWK(k.KID) }

// Parse returns the key of a row. The key ID, which is the thumbprint, binds the two;
// adopted is the thumbprint of the key with AdoptedKID.
func Parse(row store.SigningKey, adopted string) (Key, error) {
	var jwk jose.JWK
	if err := json.Unmarshal([]byte(row.Public), &jwk); err != nil {
		return Key{}, Unusable(row, err)
	}
	public, err := jose.ParseJWK(jwk)
	if err != nil {
		return Key{}, Unusable(row, err)
	}
	id := row.KID
	if id == AdoptedKID {
		id = adopted
	}
	if public.Thumbprint() != id || string(public.Algorithm()) != row.Algorithm {
		return Key{}, Unusable(row, errors.New("its key ID or its algorithm is that of another key"))
	}
	return Key{row, public}, nil
}

// NewRow returns the row of a new key. Its key ID is the thumbprint, except for the
// adopted key.
func NewRow(key *jose.PrivateKey, adopted string) (store.SigningKey, error) {
	kid := key.Public().Thumbprint()
	if kid == adopted {
		kid = AdoptedKID
	}
	public, err := json.Marshal(key.Public().JWK(kid))
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("encode a public key: %w", err)
	}
	return store.SigningKey{KID: kid, Algorithm: string(key.Algorithm()), Public: string(public)}, nil
}

// Secret is the private half of a key, encoded and parsed. Printing it redacts it.
type Secret struct {
	Raw  Bytes // PEM, or for ML-DSA the encoding of FIPS 204
	Key  *jose.PrivateKey
	File string // its path; empty: it is in no file
}

// NewSecret returns the private half of a key that is not stored yet.
func NewSecret(key *jose.PrivateKey) (Secret, error) {
	raw, err := key.Marshal()
	return Secret{Raw: raw, Key: key}, err
}

// Format redacts the secret in fmt, which does not call methods of unexported fields.
func (Secret) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, "[redacted]") }

// Bytes are secret. Printing them redacts them.
type Bytes []byte

// Format redacts the bytes in fmt, and so in most logs.
func (Bytes) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, "[redacted]") }

// MarshalText redacts the bytes in encoding/json and slog.
func (Bytes) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Unusable returns the error for a damaged row of a key.
func Unusable(row store.SigningKey, cause error) error {
	return fault.Wrap(fault.Invalid, "sealed_key",
		fmt.Sprintf("the signing key %s in the database cannot be used; restore the database from a backup", row.KID), cause)
}

// lost returns the error for a missing private half. A missing key is never replaced
// automatically: every token of the active key would be invalid, and other replicas may
// be signing with it.
func lost(row store.SigningKey, folder string) error {
	return fault.New(fault.Invalid, "key_lost", fmt.Sprintf(
		"the %s signing key %s (%s) is not in auth.data_dir %s; restore its files from a backup, or set auth.data_dir to the folder that holds them, "+
			"which all replicas share; %s",
		row.Status, row.KID, row.Algorithm, folder, giveUp(row, "run")))
}

// giveUp tells the operator how to continue without the private half of a recorded key.
func giveUp(row store.SigningKey, run string) string {
	kid := Argument(row.KID)
	switch row.Status {
	case store.KeyPending:
		return "if it is lost for good, withdraw it: `pico-auth key retire " + kid + "`"
	case store.KeyRetiring, store.KeyRemoved:
		return "what " + kid + " signed is verified without it"
	case store.KeyActive:
	}
	return "if it is lost for good, " + run + " `pico-auth key revoke --lost " + kid + "` to have a new one made"
}

// Argument returns a key ID as an argument of a command.
func Argument(kid string) string {
	if strings.HasPrefix(kid, "-") {
		return "-- " + kid // otherwise it is read as a flag
	}
	return kid
}
