package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/legacy"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxAttempts bounds how often a change is repeated because another process changed the
// keys concurrently. The second attempt reads the keys of that process, so it usually
// succeeds.
const maxAttempts = 10

// Open loads the active keys and makes one if there is none. If other algorithms are
// configured it begins the change. The first Open after an adoption decides which key
// keeps the original's key ID. A recorded active key that is unavailable, or whose row
// is not authentic, is an error; it is never replaced. Errors are texts for a terminal.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, err
	}
	s, err := k.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var ring *Ring
	err = retried(func() error {
		ring = &Ring{keeper: k, history: newHistory(k), checking: make(chan struct{}, 1), holder: rand.Text()}
		return s.start(ctx, ring)
	})
	if err != nil {
		return nil, err
	}
	return ring, nil
}

// retried repeats an operation that failed because another process changed the keys
// concurrently.
func retried(do func() error) (err error) {
	for range maxAttempts {
		if err = do(); !errors.Is(err, store.ErrKeysChanged) {
			break
		}
	}
	return err
}

// start brings the recorded keys, the configuration and the folder into agreement.
func (s *session) start(ctx context.Context, ring *Ring) error {
	begin := s.monotonic()
	now, upgrade, err := s.read(ctx)
	if err == nil {
		err = s.holds(now, "")
	}
	if err != nil {
		return err
	}
	if s.atRest == Sealed {
		if now, ring.counts, err = s.upgrade(ctx, now, upgrade, ring.holder); err != nil {
			return err
		}
	}
	if lifecycle.Signer(now.KeySet) == nil {
		for _, cause := range now.refused { // the active key may be one whose status was changed
			return cause
		}
		if now, ring.created, err = s.first(ctx, now); err != nil {
			return err
		}
	}
	if now, err = s.configure(ctx, now); err != nil {
		return err
	}
	now, _ = ring.history.merge(ctx, now) // logged
	h, failed, err := s.take(ctx, now, &held{keys: &keys{}})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	if h.legacy, err = s.hashKey(ctx, now); err != nil {
		return err
	}
	s.warn(now)
	ring.held.Store(h)
	ring.seen.Store(int64(begin))
	return nil
}

// upgrade seals keys that are files, and once authenticates the rows that a previous
// release wrote without a MAC. The files stay, since replicas that are not yet restarted
// use them. leased reports that this process, holder, has the lease to count time now.
func (s *session) upgrade(ctx context.Context, now *keys, authenticate bool, holder string) (_ *keys, leased bool, err error) {
	var changes []store.KeyChange
	for _, row := range now.Keys {
		change := store.KeyChange{SigningKey: row}
		if row.Sealed == "" && row.Status != store.KeyRemoved {
			secret, err := s.files.Load(now.of(row))
			if err != nil && row.Status == store.KeyActive {
				return now, false, err
			}
			if err != nil {
				s.log.Warn("signing key not moved into the database: its file is unavailable", "kid", row.KID, "status", row.Status.String(), "error", err)
				continue
			}
			s.move(&change.SigningKey, secret)
			change.Act = store.Act{Action: identity.ActionKeySeal, By: system}
		} else if !authenticate {
			continue
		}
		changes = append(changes, change)
	}
	if authenticate {
		s.authenticate(now, changes)
		if err := s.store.AuthenticateSigningKeys(ctx, now.Version, holder, countLease, changes...); err != nil {
			return now, false, err
		}
		s.log.Info("authenticated the rows of the signing keys under auth.master_key", "keys", len(changes))
		now, err = s.load(ctx, false)
		return now, len(changes) > 0, err
	}
	if len(changes) > 0 {
		now, err = s.put(ctx, now, changes...)
	}
	return now, false, err
}

// move seals the private half of a file in a row.
func (s *session) move(row *store.SigningKey, secret vault.Secret) {
	s.rows.Seal(row, secret.Raw)
	s.log.Warn("moved the signing key into the database, sealed under auth.master_key; remove its files when all replicas are restarted",
		"kid", row.KID, "file", secret.File)
}

// first records the first active key: the pair that is found in the folder, or a new
// one. Only an installation without any key signs with all its algorithms at once. If
// there are rows, an operator has removed that of the active key.
func (s *session) first(ctx context.Context, now *keys) (_ *keys, created bool, err error) {
	if len(now.all.Keys) > 0 {
		next, pending := s.policy.Make(s.policy.Default).Key, lifecycle.Successor(now.KeySet)
		if pending != nil {
			next = *pending
		}
		now, err = s.apply(ctx, now, system, s.policy.Activate(now.KeySet, next, s.now())...)
		return now, pending == nil, err
	}
	pair, err := s.files.FirstPair(s.policy.Default)
	if err != nil {
		return now, false, err
	}
	if now.adopted.Pending {
		if now.adopted, err = s.installation().Decide(ctx, pair); err != nil {
			return now, false, err
		}
	}
	if pair.Key == nil {
		now, err = s.apply(ctx, now, system, s.policy.Begin(s.now())...)
		return now, true, err
	}
	row, err := s.newRow(now, store.SigningKey{Status: store.KeyActive, API: true, ActivatedAt: s.now()}, pair.Key)
	if err != nil {
		return now, false, err
	}
	if s.atRest == Sealed {
		s.move(&row, pair)
	}
	now, err = s.put(ctx, now, store.KeyChange{SigningKey: row})
	return now, false, err
}

func (s *session) installation() legacy.Installation {
	return legacy.Installation{Store: s.store, Files: s.files, Rows: s.rows, Log: s.log}
}

// hashKey returns the hash key of an adopted installation.
func (s *session) hashKey(ctx context.Context, now *keys) ([]byte, error) {
	if now.adopted.Thumbprint == "" {
		return nil, nil
	}
	if key, err := now.key(vault.AdoptedKID); err == nil && key.Status != store.KeyRemoved {
		return s.installation().HashKey(ctx, &key)
	}
	return s.installation().HashKey(ctx, nil)
}

// configure applies the changes that the configuration requires, and checks the files of
// the active keys.
func (s *session) configure(ctx context.Context, now *keys) (_ *keys, err error) {
	changes := s.policy.Start(now.KeySet, s.now())
	if len(changes) > 0 {
		if now, err = s.apply(ctx, now, system, changes...); err != nil {
			return now, err
		}
	}
	if s.files.Writer == nil {
		return now, nil
	}
	s.erase(now)
	for _, row := range now.Keys {
		if row.Status != store.KeyActive || row.Sealed != "" {
			continue
		}
		secret, err := s.secret(now.of(row))
		if err == nil {
			err = s.files.Complete(secret)
		}
		if err != nil {
			return now, err
		}
	}
	return now, nil
}

// warn logs problems that do not stop a start.
func (s *session) warn(now *keys) {
	for _, row := range now.Keys {
		if row.Status != store.KeyPending && (row.Status != store.KeyRetiring || row.Sealed == "") {
			continue
		}
		if _, err := s.secret(now.of(row)); err != nil {
			s.log.Warn("a signing key cannot be used", "kid", row.KID, "status", row.Status.String(), "error", err)
		}
	}
	s.warnOfClocks(now)
	if s.files.Writer == nil {
		return
	}
	for _, file := range s.files.Unknown(now.all) {
		s.log.Warn("unknown key file: its key is not in the database; if no other server uses this folder, remove it", "file", file)
	}
}

// warnOfClocks logs retiring keys that stay in the key set longer than the lifetime of
// their tokens, since they were retired by a clock that was ahead.
func (k *keeper) warnOfClocks(now *keys) {
	for _, row := range now.Keys {
		if row.Status == store.KeyRetiring && row.RetiredAt.Sub(k.wall()) > lifecycle.Leeway {
			k.log.Warn("a signing key was retired in the future, by a clock that was ahead; it stays in the key set until then plus the lifetime of its tokens, or until it is revoked",
				"kid", row.KID, "retired_at", row.RetiredAt, "until", row.RetiredAt.Add(k.policy.Keep(row)))
		}
	}
}

// raise records the lifetime of this server's tokens in the rows of the active keys,
// before it signs with them.
func (k *keeper) raise(ctx context.Context, now *keys) error {
	for _, row := range now.Keys {
		signs := row.Status == store.KeyActive || row.Status == store.KeyRetiring && row.TokenLifetime == 0
		if signs && row.TokenLifetime < k.policy.TokenLifetime {
			if err := k.store.RaiseTokenLifetime(ctx, row.KID, k.policy.TokenLifetime); err != nil {
				return fmt.Errorf("record the lifetime of the tokens of %s: %w", row.KID, err)
			}
		}
	}
	return nil
}
