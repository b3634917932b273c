package keyring

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/store"
)

// Step counts the time since its last call, if this is the replica that counts, and
// applies the changes that are due. It costs nothing while no change is to come, so call
// it every Pace. A failed change is tried again next time, here or by another replica.
func (r *Ring) Step(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	if k := r.keeper; !k.policy.Busy(r.held.Load().keys.KeySet, k.now()) {
		return r.rest(ctx)
	}
	err := r.step(ctx)
	if errors.Is(err, store.ErrKeysChanged) {
		return nil // by an operator or another replica; the next step reads them
	}
	return err
}

func (r *Ring) step(ctx context.Context) error {
	k, counted := r.keeper, r.counted
	for i := range counted {
		counted[i].Passed = k.Monotonic() - r.from
	}
	r.counted = nil // after an error it is unknown whether it was added
	_, leads, err := k.Store.CountKeyTime(ctx, r.holder, countLease, counted...)
	if err != nil || !leads {
		return err
	}
	r.counts = true
	before := r.held.Load()
	err = r.check(ctx, func() error { return r.refresh(ctx, true) })
	if r.held.Load() == before {
		return err // the keys were not read; any other error concerns a single key
	}
	if now := r.held.Load().keys; len(k.policy.Due(now.KeySet, k.now())) > 0 {
		if failed := k.advance(ctx, now); failed != nil {
			return errors.Join(err, failed, r.rest(ctx)) // another replica may have the missing private half
		}
		if failed := r.Refresh(ctx); failed != nil {
			return errors.Join(err, failed)
		}
	}
	// Time counts from here for keys that this process knows in their status.
	r.from = k.Monotonic()
	for _, row := range r.held.Load().keys.Keys {
		if row.Status == store.KeyPending || row.Status == store.KeyRetiring {
			r.counted = append(r.counted, store.KeyTime{KID: row.KID, Status: row.Status})
		}
	}
	return err
}

// advance applies the due changes, one group after another, since each may change what
// is due. A key that is unavailable does not block the others.
func (k *keeper) advance(ctx context.Context, now *keys) error {
	s, err := k.enter(ctx, system)
	if err != nil {
		return err
	}
	defer s.files.Writer.Close()
	s.keys = now
	for changed := true; changed; {
		changed, err = false, nil
		for _, group := range s.policy.Due(s.keys.KeySet, s.now()) {
			_, failed := s.apply(ctx, group...)
			if changed = failed == nil; changed {
				break
			}
			err = errors.Join(err, failed)
		}
	}
	return err
}

// Rest stops counting, so that another replica begins at once. Call it at shutdown.
func (r *Ring) Rest(ctx context.Context) error {
	r.stepping.Lock()
	defer r.stepping.Unlock()
	return r.rest(ctx)
}

func (r *Ring) rest(ctx context.Context) error {
	leads := r.counts
	r.counted, r.counts = nil, false
	if !leads {
		return nil
	}
	return r.keeper.Store.StopCountingKeyTime(ctx, r.holder)
}
