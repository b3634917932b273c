package client

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// originsKept is for how long the origins of clients are kept. An unknown one has them
	// read again after originsAgain: its client may be new.
	originsKept  = 30 * time.Second
	originsAgain = time.Second
)

// origins are the origins of all active clients.
type origins struct {
	mu  sync.Mutex
	all map[string]bool
	at  time.Time
}

// KnowsOrigin reports whether scripts of the origin are those of an active client. It is
// the answer to a preflight and no permission: the response of a client is readable for
// its own origins. It is up to 30 seconds late to forget one.
func (c *Clients) KnowsOrigin(ctx context.Context, origin string) (bool, error) {
	o := &c.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	age := c.now().Sub(o.at)
	if o.all != nil && age >= 0 && (age < originsAgain || o.all[origin] && age < originsKept) {
		return o.all[origin], nil
	}
	all := map[string]bool{}
	err := c.store.ClientOrigins(context.WithoutCancel(ctx), func(of []string) {
		for _, origin := range of {
			all[origin] = true
		}
	})
	if err != nil {
		return false, fmt.Errorf("read the origins of clients: %w", err)
	}
	o.all, o.at = all, c.now()
	return all[origin], nil
}
