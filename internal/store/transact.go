package store

import (
	"context"
	"database/sql"
	"math/rand/v2" //nolint:depguard // jitter, no secret
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// poolTimeout bounds the wait for a connection to PostgreSQL: while all of
	// them hang in a network that is cut, the next caller is told so early.
	poolTimeout = 6 * time.Second
	// patience bounds a read, and an act with all its attempts, on PostgreSQL,
	// whatever the network does. It is longer than statement_timeout, so that a
	// server that can still speak does.
	patience = 12 * time.Second
)

// maxAttempts bounds how often an act is run again after it lost to another or
// lost its connection.
const maxAttempts = 6

// transact runs the act in a transaction on PostgreSQL. An attempt that lost to
// another transaction, or its connection before COMMIT was sent, has done
// nothing and is repeated; whether a COMMIT without an answer was done nobody
// knows, so that is not.
func (s *Store) transact(ctx context.Context, act func(*tx) error) error {
	// The caller may leave, the statements go on: pgx cancels by closing the
	// connection, and a departing crowd would empty the pool.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for attempt := 1; ; attempt++ {
		again, answer := s.attempt(ctx, work, act)
		if engine.RefusesWrites(answer) {
			s.failing.Store(true)
		}
		if !again || attempt == maxAttempts || work.Err() != nil {
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

// attempt runs the act once, on the context work; again says that it can be
// repeated. Until it has a connection the caller may still leave.
func (s *Store) attempt(ctx, work context.Context, act func(*tx) error) (again bool, answer error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	conn, err := s.connection(ctx)
	if err != nil {
		return false, err // the pool has tried more than once already
	}
	defer conn.Close() //nolint:errcheck // back to the pool; a broken one is discarded there
	db, err := conn.BeginTx(work, nil)
	if err != nil {
		return engine.ConditionOf(err) == engine.Lost, err
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
		return engine.ConditionOf(err) == engine.Conflict, err
	}
	s.count.committed(1)
	s.outbox.add(t.events)
	return false, answer
}

// connection takes one from the pool, or from the server.
func (s *Store) connection(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	return s.reads.Conn(ctx)
}

// repeatable reports whether a failure before COMMIT may be gone next time.
func repeatable(err error) bool {
	c := engine.ConditionOf(err)
	return c == engine.Conflict || c == engine.Lost
}
