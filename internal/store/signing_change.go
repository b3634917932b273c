package store

import (
	"context"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// keysLease is the work of counting the time of keys.
const keysLease = "keys"

// KeyChange is a key as it shall be, and who wants it so.
type KeyChange struct {
	SigningKey
	Act Act // without an Action nothing is written to the audit log
}

// PutSigningKeys inserts keys, or changes status and sealed half of those that are
// there, in that order and all or none. The life of their tokens is only
// ever raised. The key set must still be of the version since, else it is ErrKeysChanged: of several replicas that
// decide at the same moment one succeeds.
func (s *Store) PutSigningKeys(ctx context.Context, since int64, changes ...KeyChange) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.nextKeySet(since); err != nil {
			return err
		}
		for _, k := range changes {
			if err := t.putSigningKey(k.SigningKey); err != nil {
				return err
			}
			if k.Act.Action == "" {
				continue
			}
			if err := t.changedKey(k.Act, k.KID); err != nil {
				return err
			}
		}
		return nil
	})
}

// nextKeySet makes the version of the key set one more than since.
func (t *tx) nextKeySet(since int64) error {
	n, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3",
		strconv.FormatInt(since+1, 10), settingKeySet, strconv.FormatInt(since, 10))
	if err == nil && n != 1 {
		err = ErrKeysChanged
	}
	return err
}

// putSigningKey keeps times and count of a status that does not change. Nothing
// private is kept of a removed key.
func (t *tx) putSigningKey(k SigningKey) error {
	created := t.stamp()
	if !k.CreatedAt.IsZero() {
		created = FormatTime(k.CreatedAt)
	}
	var activated, retired, removed any
	switch k.Status {
	case KeyActive:
		activated = t.stamp()
	case KeyRetiring:
		retired = t.stamp()
	case KeyRemoved:
		removed, k.Sealed = t.stamp(), ""
	case KeyNext:
	}
	_, err := t.exec(`INSERT INTO signing_keys (kid, algorithm, status, public_key, sealed_key, created_at, activated_at, retired_at, removed_at, token_life_ms)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (kid) DO UPDATE SET sealed_key = excluded.sealed_key, status = excluded.status,
			token_life_ms = CASE WHEN signing_keys.token_life_ms < excluded.token_life_ms THEN excluded.token_life_ms ELSE signing_keys.token_life_ms END,
			counted_ms = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.counted_ms ELSE 0 END,
			activated_at = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.activated_at
				ELSE COALESCE(excluded.activated_at, signing_keys.activated_at) END,
			retired_at = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.retired_at
				ELSE COALESCE(excluded.retired_at, signing_keys.retired_at) END,
			removed_at = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.removed_at ELSE excluded.removed_at END`,
		k.KID, k.Algorithm, string(k.Status), k.Public, k.Sealed, created, activated, retired, removed,
		k.TokenLife.Milliseconds())
	return err
}

// RaiseTokenLife notes that a key signs tokens that live so long, unless it is
// known to have signed longer ones.
func (s *Store) RaiseTokenLife(ctx context.Context, kid string, life time.Duration) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE signing_keys SET token_life_ms = $1 WHERE kid = $2 AND token_life_ms < $1", life.Milliseconds(), kid)
		return err
	})
}

// KeyTime is what a server saw pass by its monotonic clock while a key was in a
// status.
type KeyTime struct {
	KID    string
	Status KeyStatus
	Passed time.Duration
}

// CountKeyTime adds what holder saw pass to the keys that are still in that
// status, if it is the one replica that counts. holder becomes that one when
// nobody is, or when whoever was has not counted for life, itself included; what it
// saw before does not count then: another may have counted it too, and during an
// outage of the database nobody could learn of the keys. counted says
// that it was added, held that holder is the one from now on.
func (s *Store) CountKeyTime(ctx context.Context, holder string, life time.Duration, passed ...KeyTime) (counted, held bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		until := s.databaseMillis() + " + $3"
		n, err := t.exec("UPDATE leases SET expires_at = "+until+" WHERE name = $1 AND holder = $2 AND expires_at > "+s.databaseMillis(),
			keysLease, holder, life.Milliseconds())
		counted, held = n == 1, n == 1
		if err != nil || !counted {
			return err
		}
		for _, k := range passed {
			_, err := t.exec("UPDATE signing_keys SET counted_ms = counted_ms + $1 WHERE kid = $2 AND status = $3",
				k.Passed.Milliseconds(), k.KID, string(k.Status))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !held {
		held, err = s.TakeLease(ctx, keysLease, holder, life)
	}
	return counted && err == nil, held && err == nil, err
}

// RecountKey lets the time of a retiring key begin anew: a server that cannot get
// at the active key still signs with it.
func (s *Store) RecountKey(ctx context.Context, kid string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE signing_keys SET counted_ms = 0 WHERE kid = $1 AND status = $2", kid, string(KeyRetiring))
		return err
	})
}

// StopCountingKeyTime lets another replica count at once.
func (s *Store) StopCountingKeyTime(ctx context.Context, holder string) error {
	return s.GiveLease(ctx, keysLease, holder)
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
		return t.changedKey(act, kid)
	})
}

// NoteKey writes to the audit log what somebody did with a key that changes
// nothing.
func (s *Store) NoteKey(ctx context.Context, act Act, kid string) error {
	return s.write(ctx, func(t *tx) error { return t.changedKey(act, kid) })
}

// Sealed is a text under the master key and where it is kept.
type Sealed struct{ Table, Column, Row, Text string }

// Reseal replaces every sealed text by what anew makes of it, all or none, and
// returns how many. A text that anew returns unchanged stays as it is.
func (s *Store) Reseal(ctx context.Context, act Act, anew func(Sealed) (string, error)) (changed int, err error) {
	err = s.write(ctx, func(t *tx) error {
		changed = 0
		// First of all: whoever read the keys before must not write them back.
		_, err := t.exec("UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = $1", settingKeySet)
		if err != nil {
			return err
		}
		all, err := collect(t, scanSealed, `SELECT 'signing_keys', 'sealed_key', kid, sealed_key FROM signing_keys WHERE sealed_key <> ''
			UNION ALL SELECT 'settings', 'value', key, value FROM settings WHERE key = $1`, settingLegacyHashKey)
		if err != nil {
			return err
		}
		for _, old := range all {
			text, err := anew(old)
			if err != nil {
				return err
			}
			if text == old.Text {
				continue
			}
			changed++
			if err := t.putSealed(old, text); err != nil {
				return err
			}
		}
		return t.changedKey(act, "")
	})
	return changed, err
}

func scanSealed(r scanner) (s Sealed, err error) {
	err = r.Scan(&s.Table, &s.Column, &s.Row, &s.Text)
	return s, err
}

func (t *tx) putSealed(at Sealed, text string) error {
	statement := "UPDATE signing_keys SET sealed_key = $1 WHERE kid = $2 AND sealed_key = $3"
	if at.Table == "settings" {
		statement = "UPDATE settings SET value = $1 WHERE key = $2 AND value = $3"
	}
	_, err := t.exec(statement, text, at.Row, at.Text)
	return err
}
