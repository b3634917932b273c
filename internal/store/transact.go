package store

import (
	"context"
	"database/sql"
	"math/rand/v2" //nolint:depguard // jitter, no secret
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// poolTimeout limits the wait for a connection to PostgreSQL: while all of
	// them hang in a broken network, the next caller gets an error early.
	poolTimeout = 6 * time.Second
	// patience limits a read, and an operation with all its attempts, on PostgreSQL,
	// whatever the network does. It is longer than statement_timeout, so that a
	// reachable server can report its own error.
	patience = 12 * time.Second
)

// maxAttempts limits how often an operation is repeated after a conflict or a lost
// connection.
const maxAttempts = 6

// transact runs the operation in a transaction on PostgreSQL. An attempt that lost
// to another transaction, or its connection before COMMIT was sent, has done
// nothing and is repeated. A COMMIT without a response may have succeeded, so that
// is not repeated.
func (s *Store) transact(ctx context.Context, op func(*tx) error) error {
	// A cancelled request does not cancel the statements: pgx cancels by closing the
	// connection, and many cancelled requests would empty the pool.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for attempt := 1; ; attempt++ {
		again, answer := s.attempt(ctx, work, op)
		if attempt == 1 && engine.IsReadOnly(answer) {
			again = true // on another connection, which is not that old; a second one says that the server is so
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

// attempt runs the operation once, on the context work; again reports that it can
// be repeated. The request may be cancelled until there is a connection.
func (s *Store) attempt(ctx, work context.Context, op func(*tx) error) (again bool, answer error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	conn, err := s.connection(ctx)
	if err != nil {
		return false, err // the pool has tried several times already
	}
	defer conn.Close() //nolint:errcheck // back to the pool; a broken one is discarded there
	db, err := conn.BeginTx(work, nil)
	if err != nil {
		return engine.ConditionOf(err) == engine.Lost, err
	}
	defer func() { _ = db.Rollback() }() // of uncommitted changes, after a panic too
	t := s.newTx(work, s.wrap(db))
	commit, answer := t.outcome(op(t))
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
	s.noteEnded(t.ended)
	s.outbox.add(t.events)
	return false, answer
}

// connection takes one from the pool, or from the server.
func (s *Store) connection(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	return s.reads.Conn(ctx)
}

// repeatable reports whether an attempt that failed before COMMIT may succeed next time.
func repeatable(err error) bool {
	c := engine.ConditionOf(err)
	return c == engine.Conflict || c == engine.Lost
}
