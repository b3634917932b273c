package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// KeyStatus is where a signing key is in its lifecycle.
type KeyStatus string

// The statuses, in their order. Of each algorithm at most one key is pending and
// at most one is active.
const (
	KeyPending  KeyStatus = "next"     // published, and does not sign yet
	KeyActive   KeyStatus = "active"   // signs and verifies
	KeyRetiring KeyStatus = "retiring" // verifies what it signed before
	KeyRemoved  KeyStatus = "removed"  // its row is kept as history only
)

// String returns the name for users.
func (s KeyStatus) String() string {
	if s == KeyPending {
		return "pending"
	}
	return string(s)
}

// SigningKey is one key of the installation.
type SigningKey struct {
	KID       string
	Algorithm string
	Status    KeyStatus
	Public    string // the JWK as published
	API       bool   // signs, signed or will sign the tokens of the API; else clients ask for it
	Sealed    string // the private half under the master key; empty: in a file, or erased
	MAC       string // of the fields above except Sealed, and of the times; empty: the row is not authenticated

	CreatedAt                         time.Time // in microseconds, as all times
	ActivatedAt, RetiredAt, RemovedAt time.Time // of the change to that status; zero: never

	Counted       time.Duration // time that servers measured while it was pending or retiring; starts at zero with each status
	TokenLifetime time.Duration // longest lifetime of the access tokens that it signed; never lowered; zero: unknown
}

// KeySet is all signing keys as they were at one version.
type KeySet struct {
	Version int64        // grows with every change
	Keys    []SigningKey // oldest first
}

// First returns the oldest key in that status, nil when there is none. An empty
// algorithm is any.
func (k KeySet) First(status KeyStatus, algorithm string) *SigningKey {
	for i := range k.Keys {
		if k.Keys[i].Status == status && (algorithm == "" || k.Keys[i].Algorithm == algorithm) {
			return &k.Keys[i]
		}
	}
	return nil
}

// Key returns the key of that id, removed ones included, nil when there is none.
func (k KeySet) Key(kid string) *SigningKey {
	for i := range k.Keys {
		if k.Keys[i].KID == kid {
			return &k.Keys[i]
		}
	}
	return nil
}

// ErrKeysChanged means that another process changed the signing keys concurrently.
var ErrKeysChanged = fault.New(fault.Conflict, "keys_changed", "another process has just changed the signing keys")

// KeySetVersion returns the version of the signing keys with one cheap read.
func (s *Store) KeySetVersion(ctx context.Context) (int64, error) {
	value, _, err := s.setting(ctx, settingKeySet)
	if err != nil {
		return 0, err
	}
	return keySetVersion(value)
}

func keySetVersion(text string) (int64, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, incomplete(fmt.Sprintf("lacks a number in its setting %q", settingKeySet), err)
	}
	return version, nil
}

// SigningKeys returns the signing keys.
func (s *Store) SigningKeys(ctx context.Context) (set KeySet, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		var version string
		if _, err := t.get([]any{&version}, "SELECT value FROM settings WHERE key = $1", settingKeySet); err != nil {
			return err
		}
		if set.Version, err = keySetVersion(version); err != nil {
			return err
		}
		set.Keys, err = collect(t, scanSigningKey, `SELECT kid, algorithm, status, public_key, for_api, sealed_key, row_mac, created_at,
			activated_at, retired_at, removed_at, counted_ms, token_life_ms FROM signing_keys ORDER BY created_at, kid`)
		return err
	})
	return set, err
}

func scanSigningKey(r scanner) (k SigningKey, err error) {
	var counted, lifetime int64
	err = r.Scan(&k.KID, &k.Algorithm, (*string)(&k.Status), &k.Public, &k.API, &k.Sealed, &k.MAC, timeColumn{&k.CreatedAt},
		timeColumn{&k.ActivatedAt}, timeColumn{&k.RetiredAt}, timeColumn{&k.RemovedAt}, &counted, &lifetime)
	if err != nil && k.KID != "" && engine.ConditionOf(err) == engine.Ordinary {
		err = incomplete(fmt.Sprintf("holds malformed data in the row %q of its table signing_keys", k.KID), err)
	}
	k.Counted, k.TokenLifetime = time.Duration(counted)*time.Millisecond, time.Duration(lifetime)*time.Millisecond
	return k, err
}

// LegacyHashKey returns the sealed HMAC key of an adopted installation, empty
// when none was stored.
func (s *Store) LegacyHashKey(ctx context.Context) (sealed string, err error) {
	sealed, _, err = s.setting(ctx, settingLegacyHashKey)
	return sealed, err
}

// SetLegacyHashKey stores the sealed HMAC key of an adopted installation, unless
// one is stored already.
func (s *Store) SetLegacyHashKey(ctx context.Context, sealed string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
			settingLegacyHashKey, sealed)
		return err
	})
}

// KeyRowsAuthenticated reports whether the rows of all keys were authenticated, so
// that no server wrote a row without a MAC.
func (s *Store) KeyRowsAuthenticated(ctx context.Context) (bool, error) {
	_, set, err := s.setting(ctx, settingKeyRows)
	return set, err
}
