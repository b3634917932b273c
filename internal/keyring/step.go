package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Step counts the time that has passed since it was last called, if this is the
// one replica that does, and carries out the changes that are due. It costs nothing
// while there is nothing to come, so call it as often as Pace says. What fails is
// tried again next time, here or by another replica.
func (r *Ring) Step(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	k := r.keeper
	if k.store == nil || !k.policy.Busy(r.held.Load().keys.KeySet, k.now()) {
		return r.rest(ctx)
	}
	err := r.step(ctx)
	if err != nil {
		r.watched = nil
		if errors.Is(err, store.ErrKeysChanged) {
			return nil // by an operator, or another replica; look again
		}
	}
	return err
}

func (r *Ring) step(ctx context.Context) error {
	k, begin := r.keeper, r.keeper.monotonic()
	counted, held, err := k.store.CountKeyTime(ctx, r.holder, countLease, r.passed(begin)...)
	if err != nil || !held {
		r.watched = nil
		return err
	}
	r.counting = true
	now, err := k.load(ctx)
	if err != nil {
		return err
	}
	now, _ = r.history.merge(ctx, now) // told by Refresh, or logged
	r.watch(now, counted, begin)
	if len(k.policy.Due(now.KeySet, k.now())) == 0 {
		return nil
	}
	if err := r.advance(ctx, now); err != nil {
		return errors.Join(err, r.rest(ctx)) // another replica may have what this one lacks
	}
	if now, err = k.load(ctx); err != nil {
		return err
	}
	r.watch(now, counted, begin)
	return r.Refresh(ctx)
}

// advance carries out what is due, one group after another, since each may change
// what is due. One key that is unavailable keeps no other from its next step.
func (r *Ring) advance(ctx context.Context, now *keys) error {
	s, err := r.keeper.enter(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var all []error
	var lacked []string
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
	r.lacked.Store(nil)
	if lacked != nil {
		r.lacked.Store(&lacked)
	}
	return errors.Join(all...)
}

// untried returns the first group that was not tried, and notes that it is now.
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
		s.log.Info("another key signs now", "kid", c.Key.KID, "algorithm", c.Key.Algorithm)
	case identity.ActionKeyRemove:
		s.log.Info("removed a signing key: the last token that it signed has expired", "kid", c.Key.KID, "algorithm", c.Key.Algorithm)
	case identity.ActionKeyRotate:
		pending := after.First(store.KeyPending, c.Key.Algorithm)
		if pending == nil {
			return // another process was faster
		}
		s.log.Info("the active signing key has reached keys.rotate_every; another is published and takes over",
			"algorithm", c.Key.Algorithm, "pending", pending.KID, "in", s.policy.PublishAhead.String())
	}
}

// watched is since when this replica has counted for a key, by the monotonic
// clock.
type watched struct {
	status store.KeyStatus
	since  time.Duration
}

func (r *Ring) passed(now time.Duration) (all []store.KeyTime) {
	for kid, w := range r.watched {
		all = append(all, store.KeyTime{KID: kid, Status: w.status, Passed: now - w.since})
	}
	return all
}

// watch begins to count for keys that came into a status since the last time,
// and goes on from now for those whose time was counted up to it.
func (r *Ring) watch(set *keys, counted bool, now time.Duration) {
	fresh, before := r.keeper.monotonic(), r.watched
	r.watched = map[string]watched{}
	for _, row := range set.Keys {
		if row.Status != store.KeyPending && row.Status != store.KeyRetiring {
			continue
		}
		w := watched{row.Status, fresh}
		if counted && before[row.KID].status == row.Status {
			w.since = now
		}
		r.watched[row.KID] = w
	}
}

// rest lets another replica count, or nobody.
func (r *Ring) rest(ctx context.Context) error {
	r.watched = nil
	if !r.counting {
		return nil
	}
	r.counting = false
	return r.keeper.store.StopCountingKeyTime(ctx, r.holder)
}

// Rest ends counting, so that another replica begins at once. It is for the end
// of the program.
func (r *Ring) Rest(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	return r.rest(ctx)
}
