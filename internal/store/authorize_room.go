package store

import (
	"context"
	"sync"
	"time"
)

// countEvery is for how long the number of open authorization requests is kept: a flood
// must not count them for each request.
const countEvery = time.Second

// openRequests is the number of open authorization requests: those of all replicas when
// it was counted, and those that this one has stored since.
type openRequests struct {
	mu sync.Mutex
	n  int
	at time.Time
}

// roomForAuthorization takes a place for one more open request out of all; 0: no limit.
func (s *Store) roomForAuthorization(ctx context.Context, all int) error {
	if all == 0 {
		return nil
	}
	s.open.mu.Lock()
	defer s.open.mu.Unlock()
	if now := s.now(); s.open.at.IsZero() || now.Sub(s.open.at) >= countEvery {
		err := s.read(ctx, func(t *tx) error {
			_, err := t.get([]any{&s.open.n}, "SELECT COUNT(*) FROM authorization_requests WHERE "+openRequest, t.stamp())
			return err
		})
		if err != nil {
			return err
		}
		s.open.at = now
	}
	if s.open.n >= all {
		return ErrTooManyAuthorizations
	}
	s.open.n++
	return nil
}

// PurgeAuthorizations deletes up to batch authorization requests that are not needed any
// more (0: 200), and returns how many.
func (s *Store) PurgeAuthorizations(ctx context.Context, batch int) (n int, err error) {
	if batch <= 0 {
		batch = defaultPurge
	}
	err = s.write(ctx, func(t *tx) error {
		// What ends a client locks the codes of the last minutes in another order.
		removed, err := t.deleteUnlocked(selection{"authorization_requests", "id", "purge_at <= $1 ORDER BY purge_at LIMIT $2", []any{t.stamp(), batch}})
		n = int(removed)
		return err
	})
	return n, err
}
