package store

import (
	"context"
	"sync"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// mostLists is how many lists are read at a time, of different actors. What a list costs
// depends on the rows that there are, up to a second of a core with a million users: one
// administrator with many connections must not take all those to the database, which
// sign-ins, refreshes and health checks need.
const mostLists = 2

var errManyLists = fault.New(fault.Throttled, "rate_limited", "too many lists at one time; try again")

// places are those in which lists are read. An actor has one, and those that wait take
// turns.
type places struct {
	all chan struct{}

	mu sync.Mutex
	of map[reader]*place // of actors that read or wait
}

// reader is what has one place: a user, whatever its sessions and clients, or a program.
type reader struct {
	kind     identity.ActorKind
	id, user string
}

type place struct {
	turn    chan struct{}
	holders int
}

// newPlaces returns those of a pool of so many connections; 0: no limit.
func newPlaces(pool int) *places {
	n := mostLists
	if pool > 0 {
		n = max(min(n, pool-1), 1)
	}
	return &places{all: make(chan struct{}, n), of: map[reader]*place{}}
}

// listing is snapshot for a list, in one of the places for those.
func (s *Store) listing(ctx context.Context, by identity.Actor, fn func(*tx) error) error {
	leave, err := s.places.enter(ctx, by)
	if err != nil {
		return err
	}
	defer leave()
	return s.snapshot(ctx, fn)
}

// enter waits for a place, as long as for a connection.
func (p *places) enter(ctx context.Context, by identity.Actor) (leave func(), err error) {
	key := reader{by.Kind, by.ID, by.OnBehalfOf}
	if user := by.UserID(); user != "" {
		key = reader{identity.ActorUser, user, ""}
	}
	waiting, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	own := p.hold(key)
	if !take(waiting, own.turn) {
		p.release(key, own)
		return nil, refusedPlace(ctx)
	}
	leaveOwn := func() {
		<-own.turn
		p.release(key, own)
	}
	if !take(waiting, p.all) {
		leaveOwn()
		return nil, refusedPlace(ctx)
	}
	return func() {
		<-p.all
		leaveOwn()
	}, nil
}

func take(ctx context.Context, place chan<- struct{}) bool {
	select {
	case place <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// refusedPlace is the error of a request that waited in vain, or was cancelled.
func refusedPlace(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errManyLists
}

func (p *places) hold(key reader) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.of[key]
	if own == nil {
		own = &place{turn: make(chan struct{}, 1)}
		p.of[key] = own
	}
	own.holders++
	return own
}

func (p *places) release(key reader, own *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.holders--; own.holders == 0 {
		delete(p.of, key)
	}
}
