package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

const (
	// failuresCount is how long after the last failure an account's failures count.
	failuresCount = 24 * time.Hour

	// networkKnown is how long after a sign-in the account's network is known.
	networkKnown = 30 * 24 * time.Hour

	// maxNetworks limits the rows of a user. The networks that signed in are the
	// last to go.
	maxNetworks = 100
)

// ThrottleKey names the two rows of package throttle about an account: in one
// network, and over all networks that are not known.
type ThrottleKey struct {
	Account string // a user's id, or UnknownAccount
	Network string
	All     string // empty for a user
}

// UnknownAccount is the account of every address that no user has. Its networks
// are digests, of which there is a fixed number.
const UnknownAccount = "?"

// Failures are the consecutive failures of a counter.
type Failures struct {
	Count int64
	Last  time.Time // zero: none
}

// Guesses are the failed attempts to authenticate as an account.
type Guesses struct {
	Network    Failures  // from the network, since it signed the account in
	All        Failures  // from all networks that were not known
	SignedInAt time.Time // from the network; zero: not in the last 30 days
}

// Guesses returns the failures that count.
func (s *Store) Guesses(ctx context.Context, key ThrottleKey) (g Guesses, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		g = Guesses{}
		return t.each(func(r scanner) error {
			var network string
			var f Failures
			var signedIn time.Time
			if err := r.Scan(&network, countColumn{&f.Count}, timeColumn{&f.Last}, timeColumn{&signedIn}); err != nil {
				return err
			}
			if !f.Last.After(t.now.Add(-failuresCount)) {
				f = Failures{}
			}
			if network == key.All {
				g.All = f
				return nil
			}
			g.Network = f
			if signedIn.After(t.now.Add(-networkKnown)) {
				g.SignedInAt = signedIn
			}
			return nil
		}, "SELECT network, failures, failed_at, signed_in_at FROM throttle WHERE account = $1 AND network IN ($2, $3)",
			key.Account, key.Network, key.All)
	})
	return g, err
}

// CountGuess counts a failed attempt, over all networks too unless the network is
// known, and returns the failures with it. notices returns what the audit log is told
// about them, which is stored if they are about a user, or an error: then the attempt is
// not counted.
func (s *Store) CountGuess(ctx context.Context, key ThrottleKey, known bool, notices func(Guesses) ([]Event, error)) (g Guesses, err error) {
	err = s.write(ctx, func(t *tx) error {
		if g.Network, err = t.countGuess(key.Account, key.Network); err != nil {
			return err
		}
		if !known {
			if g.All, err = t.countGuess(key.Account, key.All); err != nil {
				return err
			}
		}
		events, err := notices(g)
		if err != nil {
			return err
		}
		if key.Account == UnknownAccount {
			t.events = append(t.events, events...)
			return nil
		}
		for _, ev := range events {
			if err := t.audit(ev); err != nil {
				return err
			}
		}
		if g.All.Count > maxNetworks {
			return t.trimNetworks(key.Account)
		}
		return nil
	})
	return g, err
}

func (t *tx) countGuess(account, network string) (f Failures, err error) {
	_, err = t.get([]any{countColumn{&f.Count}}, `INSERT INTO throttle (account, network, failures, failed_at, expires_at)
		VALUES ($1, $2, 1, $3, $4) ON CONFLICT (account, network) DO UPDATE SET
		failures = CASE WHEN throttle.failed_at > $5 THEN throttle.failures + 1 ELSE 1 END, failed_at = excluded.failed_at,
		expires_at = CASE WHEN throttle.expires_at > excluded.expires_at THEN throttle.expires_at ELSE excluded.expires_at END
		RETURNING failures`,
		account, network, t.stamp(), FormatTime(t.now.Add(failuresCount)), FormatTime(t.now.Add(-failuresCount)))
	f.Last = t.now
	return f, err
}

// ForgetGuesses forgets the failures of a user from the network, since it signed them
// in, and makes it known.
func (s *Store) ForgetGuesses(ctx context.Context, userID, network string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO throttle (account, network, failures, signed_in_at, expires_at) VALUES ($1, $2, 0, $3, $4)
			ON CONFLICT (account, network) DO UPDATE SET failures = 0, failed_at = NULL,
			signed_in_at = excluded.signed_in_at, expires_at = excluded.expires_at`,
			userID, network, t.stamp(), FormatTime(t.now.Add(networkKnown)))
		if err != nil {
			return err
		}
		return t.trimNetworks(userID)
	})
}

// trimNetworks deletes the networks of a user beyond maxNetworks, those that would
// expire first.
func (t *tx) trimNetworks(userID string) error {
	_, err := t.exec(`DELETE FROM throttle WHERE account = $1 AND network IN (SELECT n.network FROM throttle n
		WHERE n.account = $1 AND n.network <> '' ORDER BY n.expires_at DESC, n.network LIMIT 1000 OFFSET $2)`, userID, maxNetworks)
	return err
}

// KnownNetworks lists networks that signed users in, the latest first, some of them
// repeatedly.
func (s *Store) KnownNetworks(ctx context.Context, limit int) (networks []string, err error) {
	err = s.read(ctx, func(t *tx) error {
		networks, err = collect(t, func(r scanner) (network string, err error) {
			err = r.Scan(&network)
			return network, err
		}, "SELECT network FROM throttle WHERE signed_in_at IS NOT NULL ORDER BY expires_at DESC LIMIT $1", limit)
		return err
	})
	return networks, err
}

// RecordLimit writes the audit event of a limit that is kept in memory.
func (s *Store) RecordLimit(ctx context.Context, act Act) error {
	return s.write(ctx, func(t *tx) error { return t.audit(act.Event(OutcomeRefused, "", "")) })
}

// PurgeThrottle deletes at most limit expired rows of package throttle, and returns
// how many.
func (s *Store) PurgeThrottle(ctx context.Context, limit int) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		deleted, err := t.exec(`DELETE FROM throttle WHERE (account, network) IN (SELECT e.account, e.network FROM throttle e
			WHERE e.expires_at < $1 ORDER BY e.expires_at LIMIT $2)`, t.stamp(), limit)
		n = int(deleted)
		return err
	})
	return n, err
}

// ThrottleSecret returns the key of the digests of unknown addresses, which all
// replicas share, and makes it at the first call.
func (s *Store) ThrottleSecret(ctx context.Context) (secret string, err error) {
	secret, set, err := s.setting(ctx, settingThrottleSecret)
	if err != nil || set {
		return secret, err
	}
	var fresh [32]byte
	_, _ = rand.Read(fresh[:]) // never fails: it ends the process instead
	err = s.write(ctx, func(t *tx) error {
		_, err := t.exec("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
			settingThrottleSecret, hex.EncodeToString(fresh[:]))
		if err != nil {
			return err
		}
		_, err = t.get([]any{&secret}, "SELECT value FROM settings WHERE key = $1", settingThrottleSecret)
		return err
	})
	return secret, err
}
