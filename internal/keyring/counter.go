package keyring

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// counter counts the time of keys, if this is the replica that counts.
type counter struct {
	keeper   *keeper
	holder   string // the name of this replica in the lease
	counting bool
	watched  map[string]watched // by key id
}

// count adds the time since the last call. counted reports that it was added, held that
// this replica counts from now on.
func (c *counter) count(ctx context.Context, now time.Duration) (counted, held bool, err error) {
	counted, held, err = c.keeper.store.CountKeyTime(ctx, c.holder, countLease, c.passed(now)...)
	if err != nil || !held {
		c.watched = nil
		return false, false, err
	}
	c.counting = true
	return counted, true, nil
}

// watched is the start of this replica's counting for a key, by the monotonic clock.
type watched struct {
	status store.KeyStatus
	since  time.Duration
}

func (c *counter) passed(now time.Duration) (all []store.KeyTime) {
	for kid, w := range c.watched {
		all = append(all, store.KeyTime{KID: kid, Status: w.status, Passed: now - w.since})
	}
	return all
}

// watch begins to count for keys whose status is new, and continues from now for those
// whose time was counted until now.
func (c *counter) watch(set *keys, counted bool, now time.Duration) {
	fresh, before := c.keeper.monotonic(), c.watched
	c.watched = map[string]watched{}
	for _, row := range set.Keys {
		if row.Status != store.KeyPending && row.Status != store.KeyRetiring {
			continue
		}
		w := watched{row.Status, fresh}
		if counted && before[row.KID].status == row.Status {
			w.since = now
		}
		c.watched[row.KID] = w
	}
}

// rest ends the lease, so that another replica may count.
func (c *counter) rest(ctx context.Context) error {
	c.watched = nil
	if !c.counting {
		return nil
	}
	c.counting = false
	return c.keeper.store.StopCountingKeyTime(ctx, c.holder)
}
