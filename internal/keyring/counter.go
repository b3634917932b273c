package keyring

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// counter counts the time of keys, if this is the one replica that does.
type counter struct {
	keeper   *keeper
	holder   string // this replica, to those who count
	counting bool
	watched  map[string]watched // by key id
}

// count adds what was seen to pass. counted says that it was added, held that this
// replica is the one from now on.
func (c *counter) count(ctx context.Context, now time.Duration) (counted, held bool, err error) {
	counted, held, err = c.keeper.store.CountKeyTime(ctx, c.holder, countLease, c.passed(now)...)
	if err != nil || !held {
		c.watched = nil
		return false, false, err
	}
	c.counting = true
	return counted, true, nil
}

// watched is since when this replica has counted for a key, by the monotonic
// clock.
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

// watch begins to count for keys that came into a status since the last time,
// and goes on from now for those whose time was counted up to it.
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

// rest lets another replica count, or none.
func (c *counter) rest(ctx context.Context) error {
	c.watched = nil
	if !c.counting {
		return nil
	}
	c.counting = false
	return c.keeper.store.StopCountingKeyTime(ctx, c.holder)
}
