package store

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// mostLists is how many lists are read at a time. What one costs depends on the rows that
// there are, up to a second of a core with a million users: administrators must not take
// all connections to the database with them, which sign-ins, refreshes and health checks
// need.
const mostLists = 2

var errManyLists = fault.New(fault.Throttled, "rate_limited", "too many lists at one time; try again")

// places has an element for each list that is read.
type places chan struct{}

// newPlaces returns those of a pool of so many connections; 0: no limit.
func newPlaces(pool int) places {
	n := mostLists
	if pool > 0 {
		n = max(min(n, pool-1), 1)
	}
	return make(places, n)
}

// listing is snapshot for a list. It waits for a place as long as for a connection.
func (s *Store) listing(ctx context.Context, fn func(*tx) error) error {
	waiting, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
		return s.snapshot(ctx, fn)
	case <-waiting.Done():
		if err := ctx.Err(); err != nil {
			return err // the request was cancelled
		}
		return errManyLists
	}
}
