package keyring

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxAttempts bounds how often a change is repeated because another process changed the
// keys concurrently. The second attempt reads the keys of that process, so it usually
// succeeds.
const maxAttempts = 10

// Open loads the active keys and makes one if there is none. If other algorithms are
// configured it begins the change. A recorded active key that is unavailable, or whose
// row is not authentic, is an error; it is never replaced. Errors are texts for a
// terminal.
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
		ring = newRing(k)
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
	begin := s.Monotonic()
	now, err := s.load(ctx, false)
	if err == nil {
		err = s.holds(now, "")
	}
	if err == nil && s.Sealed() {
		now, ring.counts, err = s.upgrade(ctx, now, ring.holder)
	}
	if err == nil && lifecycle.Signer(now.KeySet) == nil {
		for _, cause := range now.refused { // the active key may be one whose status was changed
			return cause
		}
		now, err = s.first(ctx, now)
	}
	if err != nil {
		return err
	}
	if changes := s.policy.Start(now.KeySet, s.now()); len(changes) > 0 {
		if now, err = s.apply(ctx, now, system, changes...); err != nil {
			return err
		}
	}
	if err := s.tidy(now); err != nil {
		return err
	}
	if _, err := ring.follow(ctx, now, begin); err != nil { // a refused row is logged
		return err
	}
	s.warn(now)
	return nil
}

// upgrade seals keys that are files, and once authenticates the rows that were written
// without a MAC. The files stay, since replicas that are not yet restarted use them.
// leased reports that this process, holder, has the lease to count time now.
func (s *session) upgrade(ctx context.Context, now *keys, holder string) (_ *keys, leased bool, err error) {
	var changes []store.KeyChange
	for _, row := range now.Keys {
		change := store.KeyChange{SigningKey: row}
		if row.Sealed == "" && row.Status != store.KeyRemoved {
			secret, err := s.files.Load(now.of(row))
			if err != nil {
				s.Log.Warn("signing key not moved into the database: its file is unavailable", "kid", row.KID, "status", row.Status.String(), "error", err)
				continue
			}
			s.move(&change.SigningKey, secret)
			change.Act = store.Act{Action: identity.ActionKeySeal, By: system}
		} else if !now.upgrade {
			continue
		}
		changes = append(changes, change)
	}
	if !now.upgrade {
		if len(changes) > 0 {
			now, err = s.put(ctx, now, changes...)
		}
		return now, false, err
	}
	s.authenticate(now, changes)
	if err := s.Store.AuthenticateSigningKeys(ctx, now.Version, holder, countLease, changes...); err != nil {
		return now, false, err
	}
	s.Log.Info("authenticated the rows of the signing keys under auth.master_key", "keys", len(changes))
	now, err = s.load(ctx, true)
	return now, len(changes) > 0, err
}

// first records the first active key: the pair that is found in the folder, or a new
// one. Only an installation without any key signs with all its algorithms at once. If
// there are rows, an operator has removed that of the active key.
func (s *session) first(ctx context.Context, now *keys) (*keys, error) {
	if len(now.all.Keys) > 0 {
		next := s.policy.Make(s.policy.Default).Key
		if pending := lifecycle.Successor(now.KeySet); pending != nil {
			next = *pending
		}
		return s.apply(ctx, now, system, s.policy.Activate(now.KeySet, next, s.now())...)
	}
	if now.adopted.Pending {
		return now, errors.New("the signing key of the adopted installation is not decided yet")
	}
	pair, err := s.files.FirstPair(s.policy.Default)
	if err != nil {
		return now, err
	}
	begin := s.policy.Begin(s.now())
	if pair.Key == nil {
		return s.apply(ctx, now, system, begin...)
	}
	row, err := s.make(now, begin[0].Key, pair)
	if err != nil {
		return now, err
	}
	return s.put(ctx, now, store.KeyChange{SigningKey: row})
}

// tidy erases the files of removed keys, and checks those of the active keys.
func (s *session) tidy(now *keys) error {
	if s.files.Writer == nil {
		return nil
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
			return err
		}
	}
	return nil
}

// warn logs problems that do not stop a start.
func (s *session) warn(now *keys) {
	for _, row := range now.Keys {
		if row.Status != store.KeyPending && (row.Status != store.KeyRetiring || row.Sealed == "") {
			continue
		}
		if _, err := s.secret(now.of(row)); err != nil {
			s.Log.Warn("a signing key cannot be used", "kid", row.KID, "status", row.Status.String(), "error", err)
		}
	}
	if s.files.Writer == nil {
		return
	}
	for _, file := range s.files.Unknown(now.all) {
		s.Log.Warn("unknown key file: its key is not in the database; if no other server uses this folder, remove it", "file", file)
	}
}
