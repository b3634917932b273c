package store

import (
	"context"
	"math/rand/v2"
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
		answer, again := s.attempt(ctx, act)
		if !again || attempt == maxAttempts {
			return answer
		}
		s.count.retries.Add(1)
		pause := time.Duration(1+rand.IntN(4<<attempt)) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answer
		}
	}
}

// attempt runs the act once; again says that it can be repeated.
func (s *Store) attempt(ctx context.Context, act func(*tx) error) (answer error, again bool) {
	if err := ctx.Err(); err != nil {
		return err, false
	}
	conn, err := s.reads.Conn(ctx)
	if err != nil {
		return err, false // the pool has tried more than once already
	}
	defer conn.Close() //nolint:errcheck // back to the pool; a broken one is discarded there
	// The caller may leave, the statements go on: pgx cancels by closing the
	// connection, and a departing crowd would empty the pool.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	db, err := conn.BeginTx(work, nil)
	if err != nil {
		return err, conditionOf(err) == lost
	}
	t := s.newTx(work, s.withEcho(db))
	err = act(t)
	if t.failed != nil && repeatable(t.failed) {
		_ = db.Rollback() // the failure is what counts
		return t.failed, true
	}
	answer, commit := t.outcome(err)
	if !commit {
		_ = db.Rollback() // the refusal is what counts
		return answer, false
	}
	if err := db.Commit(); err != nil {
		s.count.failed.Add(1)
		return err, conditionOf(err) == conflict
	}
	s.count.committed(1)
	return answer, false
}

// repeatable reports whether a failure before COMMIT may be gone next time.
func repeatable(err error) bool {
	c := conditionOf(err)
	return c == conflict || c == lost
}
