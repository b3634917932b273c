package keyring

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Step counts the time since its last call, if this is the replica that counts, and
// applies the changes that are due. It costs nothing while no change is to come, so call
// it every Pace. A failed change is tried again next time, here or by another replica.
func (r *Ring) Step(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	k := r.keeper
	if !k.policy.Busy(r.held.Load().keys.KeySet, k.now()) {
		return r.counter.rest(ctx)
	}
	err := r.step(ctx)
	if err != nil {
		r.counter.watched = nil
		if errors.Is(err, store.ErrKeysChanged) {
			return nil // by an operator or another replica; the next step reads them
		}
	}
	return err
}

func (r *Ring) step(ctx context.Context) error {
	k, begin := r.keeper, r.keeper.monotonic()
	counted, held, err := r.counter.count(ctx, begin)
	if err != nil || !held {
		return err
	}
	now, err := k.load(ctx)
	if err != nil {
		return err
	}
	now, _ = r.history.merge(ctx, now) // Refresh returns the error, or it is logged
	r.counter.watch(now, counted, begin)
	if len(k.policy.Due(now.KeySet, k.now())) == 0 {
		return nil
	}
	lacked, err := k.advance(ctx, now)
	r.lacked.Store(&lacked)
	if err != nil {
		return errors.Join(err, r.counter.rest(ctx)) // another replica may have the missing private half
	}
	if now, err = k.load(ctx); err != nil {
		return err
	}
	r.counter.watch(now, counted, begin)
	return r.Refresh(ctx)
}

// advance applies the due changes, one group after another, since each may change what
// is due. A key that is unavailable does not block the others; lacked is the IDs of the
// unavailable ones.
func (k *keeper) advance(ctx context.Context, now *keys) (lacked []string, err error) {
	s, err := k.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var all []error
	for tried := map[string]bool{}; ; {
		group := untried(s.policy.Due(now.KeySet, s.now()), tried)
		if group == nil {
			break
		}
		last := group[len(group)-1]
		after, err := s.apply(ctx, now, system, group...)
		if err == nil {
			s.announce(last, after)
			now = after
			continue
		}
		all = append(all, err)
		if last.Action == identity.ActionKeyActivate && !errors.Is(err, store.ErrKeysChanged) {
			lacked = append(lacked, last.Key.KID)
		}
	}
	return lacked, errors.Join(all...)
}

// untried returns the first group that was not tried, and marks it as tried.
func untried(groups [][]lifecycle.Change, tried map[string]bool) []lifecycle.Change {
	for _, group := range groups {
		last := group[len(group)-1]
		if id := string(last.Action) + " " + last.Key.Algorithm + " " + last.Key.KID; !tried[id] {
			tried[id] = true
			return group
		}
	}
	return nil
}

func (s *session) announce(c lifecycle.Change, after *keys) {
	switch c.Action {
	case identity.ActionKeyActivate:
		s.log.Info("signing key activated", "kid", c.Key.KID, "algorithm", c.Key.Algorithm)
	case identity.ActionKeyRemove:
		s.log.Info("signing key removed: the last token that it signed has expired", "kid", c.Key.KID, "algorithm", c.Key.Algorithm)
	case identity.ActionKeyRotate:
		pending := after.First(store.KeyPending, c.Key.Algorithm)
		if pending == nil {
			return // another process has changed it
		}
		s.log.Info("the active signing key has reached keys.rotate_every; its successor is published",
			"algorithm", c.Key.Algorithm, "pending", pending.KID, "in", s.policy.PublishAhead.String())
	}
}

// Complete makes the first key of Config.Late, so that a start does not wait for it. It
// costs nothing when there is one.
func (r *Ring) Complete(ctx context.Context) error {
	k := r.keeper
	if len(k.policy.First(r.held.Load().keys.KeySet, k.now())) == 0 {
		return nil
	}
	s, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	err = retried(func() error {
		now, err := s.load(ctx)
		if err != nil {
			return err
		}
		if changes := k.policy.First(now.KeySet, k.now()); len(changes) > 0 {
			_, err = s.apply(ctx, now, system, changes...)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.Refresh(ctx)
}

// Rest stops counting, so that another replica begins at once. Call it at shutdown.
func (r *Ring) Rest(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	return r.counter.rest(ctx)
}
