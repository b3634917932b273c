package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	// lockRetry is how often a process asks for the lock that another one holds. It
	// does not wait in the database: the waiting transactions of many replicas would
	// take every connection of a pooler, and leave none to the holder.
	lockRetry = 200 * time.Millisecond
	// lockPulse is how often the idle transaction with the lock is used, so that a
	// pooler does not end it, and its end is noticed.
	lockPulse = time.Second
)

var errLockLost = errors.New("the database ended the transaction that excludes other migrations")

// exclusively runs work while this process alone has the advisory lock. The lock
// belongs to a transaction, which stays open until then: a lock of a session would
// stay on a pooler's connection. If it is lost, the context of work is cancelled.
func exclusively(ctx context.Context, db *sql.DB, lock int64, work func(context.Context) error) error {
	holder, err := takeLock(ctx, db, lock)
	if err != nil {
		return err
	}
	defer func() { _ = holder.Rollback() }() // it changed nothing
	ctx, cancel := context.WithCancelCause(ctx)
	var pulse sync.WaitGroup
	pulse.Go(func() { keepAlive(ctx, holder, cancel) })
	err = work(ctx)
	lost := errors.Is(context.Cause(ctx), errLockLost)
	cancel(nil)
	pulse.Wait()
	if err != nil && lost {
		return errors.Join(errLockLost, err)
	}
	return err
}

// takeLock returns a transaction that holds the lock.
func takeLock(ctx context.Context, db *sql.DB, lock int64) (*sql.Tx, error) {
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		var free bool
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", lock).Scan(&free)
		if err == nil && free {
			return tx, nil
		}
		if err := errors.Join(err, tx.Rollback()); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockRetry):
		}
	}
}

// keepAlive uses the transaction regularly until ctx ends, and cancels when it has
// failed.
func keepAlive(ctx context.Context, holder *sql.Tx, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(lockPulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := holder.ExecContext(ctx, "SELECT 1"); err != nil && ctx.Err() == nil {
				cancel(errors.Join(errLockLost, err))
				return
			}
		}
	}
}
