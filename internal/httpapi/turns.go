package httpapi

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	// turnWithin is how long a request waits for others of the same user.
	turnWithin = 6 * time.Second

	// listsAtOnce bounds the lists that a user has in memory until the client has read them:
	// a page is 150 KB, a large group some megabytes. Programs that share a service token
	// need more than one.
	listsAtOnce = 4

	// changesAtOnce bounds the connections to the database that a user has while their
	// changes wait for each other's locks.
	changesAtOnce = 4
)

var errNoTurn = fault.New(fault.Throttled, "rate_limited", "too many requests of this kind at one time; try again")

// turns lets each user have few requests of a kind at a time.
type turns struct {
	most int

	mu sync.Mutex
	of map[holder]*turn // of those that have a request, or wait
}

func newTurns(most int) *turns { return &turns{most: most, of: map[holder]*turn{}} }

// holder is a user, whatever their sessions and clients, or a service token or client.
type holder struct {
	kind identity.ActorKind
	id   string
}

type turn struct {
	taken   chan struct{}
	holders int
}

// inTurn calls handle, for a change in a turn of the user. That ends before the response is
// written: a client with a stolen token that does not read could otherwise keep the user from
// ending the session.
func inTurn[I, O any](ctx context.Context, a *API, rt *route, handle func(context.Context, *caller, *I) (O, error), in *I) (out O, err error) {
	by := callerFrom(ctx)
	if rt.isChange() {
		leave, err := a.changes.enter(ctx, by.actor)
		if err != nil {
			return out, err
		}
		defer leave()
	}
	return handle(ctx, by, in)
}

// isChange reports whether it is a change by a user, service token or client. One that waits
// for a hash has no connection to the database, and a program that creates many users needs
// all places for hashing.
func (rt *route) isChange() bool {
	return rt.Method != http.MethodGet && !rt.hashes && rt.Access != web.Anonymous && rt.Access != web.UserOrRefresh
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
		err = errNoTurn
	}
	t.release(key, own)
	return nil, err
}

func (t *turns) hold(key holder) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.of[key]
	if own == nil {
		own = &turn{taken: make(chan struct{}, t.most)}
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
