package keyring

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Open loads the active keys and makes one if there is none. If other algorithms are
// configured it begins the change. A recorded active key that is unavailable, or whose
// row is not authentic, is an error; it is never replaced. Errors are texts for a
// terminal.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, err
	}
	var ring *Ring
	_, err = k.change(ctx, system, func(s *session) (string, error) {
		ring = newRing(k)
		return "", s.start(ctx, ring)
	})
	if err != nil {
		return nil, err
	}
	return ring, nil
}

// start brings the recorded keys, the configuration and the folder into agreement.
func (s *session) start(ctx context.Context, ring *Ring) error {
	err := s.holds(s.keys, "")
	if errors.Is(err, errNoneActive) {
		err = nil // first makes one
	}
	if err == nil && s.Sealed() {
		err = s.upgrade(ctx, ring)
	}
	if err == nil && lifecycle.Signer(s.keys.KeySet) == nil {
		err = s.first(ctx)
	}
	if err != nil {
		return err
	}
	if changes := s.policy.Start(s.keys.KeySet, s.now()); len(changes) > 0 {
		if _, err := s.apply(ctx, changes...); err != nil {
			return err
		}
	}
	if err := s.tidy(); err != nil {
		return err
	}
	_, err = ring.follow(ctx, s.keys) // a refused row is logged
	return err
}

// upgrade seals keys that are files, and once authenticates the rows that were written
// without a MAC. The files stay, since replicas that are not yet restarted use them. It
// takes the lease to count time: those replicas would change rows without their MAC.
func (s *session) upgrade(ctx context.Context, ring *Ring) error {
	var changes []store.KeyChange
	for _, row := range s.keys.Keys {
		change := store.KeyChange{SigningKey: row}
		if row.Sealed == "" && row.Status != store.KeyRemoved {
			secret, err := s.files.Load(s.keys.of(row))
			if err != nil {
				s.Log.Warn("signing key not moved into the database: its file is unavailable", "kid", row.KID, "status", row.Status.String(), "error", err)
				continue
			}
			s.seal(&change.SigningKey, secret)
			change.Act = store.Act{Action: identity.ActionKeySeal, By: system}
		} else if !s.keys.upgrade {
			continue
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 && !s.keys.upgrade {
		return nil
	}
	s.authenticate(changes)
	err := s.Store.AuthenticateSigningKeys(ctx, s.keys.Version, ring.holder, countLease, changes...)
	if err == nil {
		ring.counts = true
		s.Log.Info("authenticated the rows of the signing keys under auth.master_key", "keys", len(changes))
		s.keys, err = s.load(ctx, true)
	}
	return err
}

// first records the first active key: the pair that is found in the folder, or a new
// one. Only an installation without any key signs with all its algorithms at once. If
// there are rows, an operator has removed that of the active key.
func (s *session) first(ctx context.Context) error {
	for _, cause := range s.keys.refused { // the active key may be one whose status was changed
		return cause
	}
	if len(s.keys.all.Keys) > 0 {
		next := s.policy.Next(s.keys.KeySet, s.policy.Default)
		next.API = true
		_, err := s.apply(ctx, s.policy.Activate(s.keys.KeySet, next, s.now())...)
		return err
	}
	if s.keys.adopted.Pending {
		return errors.New("the signing key of the adopted installation is not decided yet")
	}
	pair, err := s.files.FirstPair(s.policy.Default)
	if err != nil {
		return err
	}
	begin := s.policy.Begin(s.now())
	if pair.Key != nil {
		begin = begin[:1]
	}
	_, err = s.applyWith(ctx, pair, begin...)
	return err
}

// tidy brings the folder into agreement with the rows, and logs what is wrong with it. A
// private half that is unavailable stops the start if its key is active.
func (s *session) tidy() error {
	s.erase()
	for _, row := range s.keys.Keys {
		if row.Status == store.KeyRemoved || row.Status == store.KeyRetiring && row.Sealed == "" {
			continue
		}
		secret, err := s.secret(s.keys.of(row))
		if err == nil && row.Status == store.KeyActive {
			err = s.files.Complete(secret)
		}
		if err != nil && row.Status == store.KeyActive {
			return err
		}
		if err != nil {
			s.Log.Warn("a signing key cannot be used", "kid", row.KID, "status", row.Status.String(), "error", err)
		}
	}
	if s.files.Writer == nil {
		return nil
	}
	for _, file := range s.files.Unknown(s.keys.all) {
		s.Log.Warn("unknown key file: its key is not in the database; if no other server uses this folder, remove it", "file", file)
	}
	return nil
}
