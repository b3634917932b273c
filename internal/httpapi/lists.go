package httpapi

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// turnWithin is how long a list waits for the one before it.
const turnWithin = 6 * time.Second

var errOneList = fault.New(fault.Throttled, "rate_limited", "one list at a time; try again")

// turns lets each user have one list at a time, until the client has read it: a page is
// 150 KB, a large group some megabytes, and each connection that does not read would
// keep one in memory. The zero turns are ready.
type turns struct {
	mu sync.Mutex
	of map[holder]*turn // of those that have a list, or wait
}

// holder is a user, whatever their sessions and clients, or a service token or client.
type holder struct {
	kind identity.ActorKind
	id   string
}

type turn struct {
	taken   chan struct{}
	holders int
}

// isLong reports whether the length of the response depends on the number of rows.
// Exports have a limit of their own, and send what they read.
func (rt *route) isLong(r *http.Request) bool {
	if !rt.whole && !slices.Contains(rt.query, "limit") {
		return false
	}
	return !rt.accepts || accepted(r.Header.Get("Accept")) == jsonType
}

// enter waits for the turn of the actor.
func (t *turns) enter(ctx context.Context, by identity.Actor) (leave func(), err error) {
	key := holder{by.Kind, by.ID}
	if user := by.UserID(); user != "" {
		key = holder{identity.ActorUser, user}
	}
	own := t.hold(key)
	late := time.NewTimer(turnWithin)
	defer late.Stop()
	select {
	case own.taken <- struct{}{}:
		return func() {
			<-own.taken
			t.release(key, own)
		}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = errOneList
	}
	t.release(key, own)
	return nil, err
}

func (t *turns) hold(key holder) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[holder]*turn{}
	}
	own := t.of[key]
	if own == nil {
		own = &turn{taken: make(chan struct{}, 1)}
		t.of[key] = own
	}
	own.holders++
	return own
}

func (t *turns) release(key holder, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.holders--; own.holders == 0 {
		delete(t.of, key)
	}
}
