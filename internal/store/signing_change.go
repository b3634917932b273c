package store

import (
	"context"
	"strconv"
	"time"
)

// keysLease is the lease of the replica that counts the time of keys.
const keysLease = "keys"

// KeyChange is the new state of a key, and the operation that changes it.
type KeyChange struct {
	SigningKey
	Act Act // without an Action no audit row is written
}

// PutSigningKeys inserts or replaces keys, in that order and all or none. The
// lifetime of their tokens is only raised, and the counted time stays while the
// status does. The key set must still have the version since, otherwise the error
// is ErrKeysChanged: of several replicas that decide concurrently one succeeds.
func (s *Store) PutSigningKeys(ctx context.Context, since int64, changes ...KeyChange) error {
	return s.write(ctx, func(t *tx) error { return t.putSigningKeys(since, changes) })
}

func (t *tx) putSigningKeys(since int64, changes []KeyChange) error {
	if err := t.nextKeySet(since); err != nil {
		return err
	}
	for _, k := range changes {
		if err := t.putSigningKey(k.SigningKey); err != nil {
			return err
		}
		if k.MAC == "" {
			if _, err := t.exec("DELETE FROM settings WHERE key = $1", settingKeyRows); err != nil {
				return err
			}
		}
		if k.Act.Action == "" {
			continue
		}
		if err := t.changedKey(k.Act, k.KID); err != nil {
			return err
		}
	}
	return nil
}

// AuthenticateSigningKeys replaces rows that had no MAC and records that all rows
// have one from now on. holder takes the lease of keysLease even if another replica
// has it: a process of the previous release would change rows without their MAC.
func (s *Store) AuthenticateSigningKeys(ctx context.Context, since int64, holder string, lease time.Duration, changes ...KeyChange) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.putSigningKeys(since, changes); err != nil {
			return err
		}
		_, err := t.exec("INSERT INTO settings (key, value) VALUES ($1, '1') ON CONFLICT (key) DO NOTHING", settingKeyRows)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return nil // no process of the previous release can have started to count
		}
		_, err = t.exec(`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, `+s.databaseMillis()+` + $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at`,
			keysLease, holder, lease.Milliseconds())
		return err
	})
}

// ResealSigningKeys replaces keys whose private halves and MACs are now under
// another master key, and the sealed hash key of an adopted installation; empty:
// there is none. Like PutSigningKeys it is all or none.
func (s *Store) ResealSigningKeys(ctx context.Context, since int64, act Act, hashKey string, keys ...SigningKey) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.nextKeySet(since); err != nil {
			return err
		}
		for _, k := range keys {
			if err := t.putSigningKey(k); err != nil {
				return err
			}
		}
		if _, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2", hashKey, settingLegacyHashKey); err != nil {
			return err
		}
		return t.changedKey(act, "")
	})
}

// nextKeySet sets the version of the key set to since + 1.
func (t *tx) nextKeySet(since int64) error {
	n, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3",
		strconv.FormatInt(since+1, 10), settingKeySet, strconv.FormatInt(since, 10))
	if err == nil && n != 1 {
		err = ErrKeysChanged
	}
	return err
}

// putSigningKey stores nothing private of a removed key.
func (t *tx) putSigningKey(k SigningKey) error {
	if k.Status == KeyRemoved {
		k.Sealed = ""
	}
	api := 0
	if k.API {
		api = 1
	}
	_, err := t.exec(`INSERT INTO signing_keys (kid, algorithm, status, public_key, for_api, sealed_key, row_mac, created_at, activated_at, retired_at, removed_at, token_life_ms)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (kid) DO UPDATE SET algorithm = excluded.algorithm, status = excluded.status, public_key = excluded.public_key,
			for_api = excluded.for_api, sealed_key = excluded.sealed_key, row_mac = excluded.row_mac, created_at = excluded.created_at,
			activated_at = excluded.activated_at, retired_at = excluded.retired_at, removed_at = excluded.removed_at,
			token_life_ms = CASE WHEN signing_keys.token_life_ms < excluded.token_life_ms THEN excluded.token_life_ms ELSE signing_keys.token_life_ms END,
			counted_ms = CASE WHEN signing_keys.status = excluded.status THEN signing_keys.counted_ms ELSE 0 END`,
		k.KID, k.Algorithm, string(k.Status), k.Public, api, k.Sealed, k.MAC, FormatTime(k.CreatedAt),
		FormatOptional(k.ActivatedAt), FormatOptional(k.RetiredAt), FormatOptional(k.RemovedAt), k.TokenLifetime.Milliseconds())
	return err
}

// RaiseTokenLifetime records that a key signs tokens of that lifetime, unless a
// longer one is recorded.
func (s *Store) RaiseTokenLifetime(ctx context.Context, kid string, lifetime time.Duration) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE signing_keys SET token_life_ms = $1 WHERE kid = $2 AND token_life_ms < $1", lifetime.Milliseconds(), kid)
		return err
	})
}

// KeyTime is the time that passed on a server's monotonic clock while a key was in
// a status.
type KeyTime struct {
	KID    string
	Status KeyStatus
	Passed time.Duration
}

// CountKeyTime adds the time that holder measured to the keys that are still in
// that status, if holder is the one replica that counts. holder becomes that replica
// when there is none, or when the previous one, itself included, has not counted for
// the lifetime of the lease; the time it measured before is dropped then: another
// replica may have counted it too, and during an outage of the database no server
// could learn of the keys. counted reports that the time was added, held that holder
// is the counting replica from now on.
func (s *Store) CountKeyTime(ctx context.Context, holder string, lifetime time.Duration, passed ...KeyTime) (counted, held bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		until := s.databaseMillis() + " + $3"
		n, err := t.exec("UPDATE leases SET expires_at = "+until+" WHERE name = $1 AND holder = $2 AND expires_at > "+s.databaseMillis(),
			keysLease, holder, lifetime.Milliseconds())
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
		held, err = s.TakeLease(ctx, keysLease, holder, lifetime)
	}
	return counted && err == nil, held && err == nil, err
}

// RecountKey resets the counted time of a retiring key: a server that cannot read
// the active key still signs with it.
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

// NoteKey writes an audit row about a key whose row in signing_keys does not
// change.
func (s *Store) NoteKey(ctx context.Context, act Act, kid string) error {
	return s.write(ctx, func(t *tx) error { return t.changedKey(act, kid) })
}
