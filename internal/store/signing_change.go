package store

import (
	"context"
	"strconv"
	"time"
)

// keysLease is the work of counting the time of keys.
const keysLease = "keys"

// KeyChange is a key as it shall be, and who wants it so.
type KeyChange struct {
	SigningKey
	Act Act // without an Action nothing is written to the audit log
}

// PutSigningKeys inserts keys, or replaces those that are there, in that order and
// all or none; the lifetime of their tokens is only ever raised, and what was
// counted stays where the status does. The key set must still be of the version
// since, else it is ErrKeysChanged: of several replicas that decide at the same
// moment one succeeds.
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

// AuthenticateSigningKeys replaces rows that had no MAC and notes that all rows
// have one from now on. holder takes the lease of those who count the time of
// keys from whoever has it: a process of the release before would change rows
// without their MAC.
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
			return nil // no process of the release before can have begun to count
		}
		_, err = t.exec(`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, `+s.databaseMillis()+` + $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at`,
			keysLease, holder, lease.Milliseconds())
		return err
	})
}

// ResealSigningKeys replaces keys whose private halves and MACs are under another
// master key now, and the sealed hash key of an adopted installation; empty: there
// is none. As PutSigningKeys it is all or none.
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

// nextKeySet makes the version of the key set one more than since.
func (t *tx) nextKeySet(since int64) error {
	n, err := t.exec("UPDATE settings SET value = $1 WHERE key = $2 AND value = $3",
		strconv.FormatInt(since+1, 10), settingKeySet, strconv.FormatInt(since, 10))
	if err == nil && n != 1 {
		err = ErrKeysChanged
	}
	return err
}

// putSigningKey keeps nothing private of a removed key.
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

// RaiseTokenLifetime notes that a key signs tokens that live so long, unless it is
// known to have signed longer ones.
func (s *Store) RaiseTokenLifetime(ctx context.Context, kid string, lifetime time.Duration) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE signing_keys SET token_life_ms = $1 WHERE kid = $2 AND token_life_ms < $1", lifetime.Milliseconds(), kid)
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

// NoteKey writes to the audit log what happened to a key without a change of its
// row.
func (s *Store) NoteKey(ctx context.Context, act Act, kid string) error {
	return s.write(ctx, func(t *tx) error { return t.changedKey(act, kid) })
}
