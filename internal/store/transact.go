package store

import (
	"context"
	"math/rand/v2" //nolint:depguard // jitter, no secret
	"time"
)

const (
	// maxAttempts bounds how often an act is run again after it lost to
	// another or lost its connection.
	maxAttempts = 6
	// actTimeout bounds one attempt on PostgreSQL, whatever the network does.
	actTimeout = 20 * time.Second
)

// transact runs the act in a transaction on PostgreSQL. An attempt that lost to
// another transaction, or its connection before COMMIT was sent, has done
// nothing and is repeated; whether a COMMIT without an answer was done nobody
// knows, so that is not.
func (s *Store) transact(ctx context.Context, act func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		again, answer := s.attempt(ctx, act)
		if !again || attempt == maxAttempts {
			return answer
		}
		s.count.retries.Add(1)
		pause := time.Duration(1+rand.IntN(4<<attempt)) * time.Millisecond //nolint:gosec // jitter, no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answer
		}
	}
}

// attempt runs the act once; again says that it can be repeated.
func (s *Store) attempt(ctx context.Context, act func(*tx) error) (again bool, answer error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	conn, err := s.reads.Conn(ctx)
	if err != nil {
		return false, err // the pool has tried more than once already
	}
	defer conn.Close() //nolint:errcheck // back to the pool; a broken one is discarded there
	// The caller may leave, the statements go on: pgx cancels by closing the
	// connection, and a departing crowd would empty the pool.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	db, err := conn.BeginTx(work, nil)
	if err != nil {
		return conditionOf(err) == lost, err
	}
	defer func() { _ = db.Rollback() }() // of whatever was not committed, after a panic too
	t := s.newTx(work, s.wrap(db))
	commit, answer := t.outcome(act(t))
	if t.failed != nil && repeatable(t.failed) {
		return true, t.failed
	}
	if !commit {
		return false, answer
	}
	if err := db.Commit(); err != nil {
		s.count.failed.Add(1)
		return conditionOf(err) == conflict, err
	}
	s.count.committed(1)
	return false, answer
}

// repeatable reports whether a failure before COMMIT may be gone next time.
func repeatable(err error) bool {
	c := conditionOf(err)
	return c == conflict || c == lost
}
