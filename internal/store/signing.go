package store

import (
	"context"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// KeyStatus is where a signing key is in its life.
type KeyStatus string

// The statuses. At most one key is active.
const (
	KeyActive   KeyStatus = "active"   // signs and verifies
	KeyRetiring KeyStatus = "retiring" // verifies what it signed before
)

// SigningKey is one key of the installation.
type SigningKey struct {
	KID       string
	Algorithm string
	Status    KeyStatus
	Public    string    // the JWK as published
	Sealed    string    // the private half under the master key; empty: in a file
	CreatedAt time.Time // zero on insertion: now
}

// KeySet is all signing keys as they were at one version.
type KeySet struct {
	Version int64        // grows with every change
	Keys    []SigningKey // oldest first
}

// Active returns the key that signs, nil when none was recorded yet.
func (k KeySet) Active() *SigningKey {
	for i := range k.Keys {
		if k.Keys[i].Status == KeyActive {
			return &k.Keys[i]
		}
	}
	return nil
}

// ErrKeysChanged says that another process changed the signing keys in between.
var ErrKeysChanged = fault.New(fault.Conflict, "keys_changed", "another process has just changed the signing keys")

// KeySetVersion returns the version of the signing keys with one cheap read.
func (s *Store) KeySetVersion(ctx context.Context) (int64, error) {
	value, _, err := s.setting(ctx, settingKeySet)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(value, 10, 64)
}

// SigningKeys returns the signing keys.
func (s *Store) SigningKeys(ctx context.Context) (set KeySet, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		var version string
		if _, err := t.get([]any{&version}, "SELECT value FROM settings WHERE key = $1", settingKeySet); err != nil {
			return err
		}
		if set.Version, err = strconv.ParseInt(version, 10, 64); err != nil {
			return err
		}
		set.Keys, err = collect(t, scanSigningKey, `SELECT kid, algorithm, status, public_key, sealed_key, created_at
			FROM signing_keys ORDER BY created_at, kid`)
		return err
	})
	return set, err
}

func scanSigningKey(r scanner) (k SigningKey, err error) {
	var status, created string
	if err := r.Scan(&k.KID, &k.Algorithm, &status, &k.Public, &k.Sealed, &created); err != nil {
		return k, err
	}
	k.Status = KeyStatus(status)
	k.CreatedAt, err = parseTime(created)
	return k, err
}

// PutSigningKeys inserts keys, or changes status and sealed half of those that
// are there, in that order and all or none. The key set must still be of the
// version since, else it is ErrKeysChanged: of several replicas that decide at
// the same moment one succeeds.
func (s *Store) PutSigningKeys(ctx context.Context, since int64, keys ...SigningKey) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3",
			strconv.FormatInt(since+1, 10), settingKeySet, strconv.FormatInt(since, 10))
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrKeysChanged
		}
		for _, k := range keys {
			if err := t.putSigningKey(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// putSigningKey keeps the times of a status that does not change.
func (t *tx) putSigningKey(k SigningKey) error {
	created := t.stamp()
	if !k.CreatedAt.IsZero() {
		created = formatTime(k.CreatedAt)
	}
	var activated, retired any
	if k.Status == KeyActive {
		activated = t.stamp()
	} else {
		retired = t.stamp()
	}
	_, err := t.exec(`INSERT INTO signing_keys (kid, algorithm, status, public_key, sealed_key, created_at, activated_at, retired_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (kid) DO UPDATE SET sealed_key = excluded.sealed_key, status = excluded.status,
			activated_at = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.activated_at
				ELSE COALESCE(excluded.activated_at, signing_keys.activated_at) END,
			retired_at = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.retired_at ELSE excluded.retired_at END`,
		k.KID, k.Algorithm, string(k.Status), k.Public, k.Sealed, created, activated, retired)
	return err
}

// ForgetSigningKey drops a key that is lost, NotFound when there is none of that
// id. The next start makes another where it was the active one.
func (s *Store) ForgetSigningKey(ctx context.Context, act Act, kid string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = $1", settingKeySet)
		if err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM signing_keys WHERE kid = $1", kid)
		if err != nil {
			return err
		}
		if n != 1 {
			return fault.New(fault.NotFound, "not_found", "there is no such signing key")
		}
		return t.done(act, kid, "")
	})
}

// LegacyHashKey returns the sealed HMAC key of an adopted installation, empty
// when none was stored.
func (s *Store) LegacyHashKey(ctx context.Context) (sealed string, err error) {
	sealed, _, err = s.setting(ctx, settingLegacyHashKey)
	return sealed, err
}

// SetLegacyHashKey stores the sealed HMAC key of an adopted installation. There
// is only one: where it is stored already, that one stays.
func (s *Store) SetLegacyHashKey(ctx context.Context, sealed string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
			settingLegacyHashKey, sealed)
		return err
	})
}
