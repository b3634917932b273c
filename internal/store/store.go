package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Config says which database to open, and how.
type Config struct {
	// URL is any form of database.url: sqlite:///auth.db (relative to the
	// working folder), sqlite:////abs/path.db, sqlite+aiosqlite:///auth.db,
	// postgres://, postgresql://, postgresql+asyncpg://...?ssl=require.
	// PostgreSQL takes pool_max_conns=N besides: connections at most, default 16.
	URL string

	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nothing is logged
	Echo bool             // log the text of each statement, never its parameters

	// Committed is told each audit event that a verb wrote, after the commit and
	// in the order of the commits; on PostgreSQL, in the order in which their
	// answers came, and a commit without an answer is not told. A verb returns
	// after its events were told. One goroutine calls it at a time, and it must
	// not call a verb that writes. nil: nobody is told.
	Committed func(Event)

	// Adopt is asked about a database that holds tables of another program. nil:
	// such a database is refused.
	Adopt Adopt
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	target engine.Target
	now    func() time.Time
	log    *slog.Logger
	wrap   func(runner) runner // echoes statements, where that is asked for

	adopted *Adoption // by this Open; nil: nothing

	reads   *sql.DB // SQLite: readers only; PostgreSQL: everything
	reader  runner
	writer  *writer     // SQLite only
	file    fs.FileInfo // SQLite only: the file as opened
	count   counters
	outbox  outbox
	damaged atomic.Pointer[string] // what was said when damage was first met
	failing atomic.Bool            // a write failed as all would, and Ping has not looked since
}

// withDefaults fills in what cfg leaves out.
func (cfg Config) withDefaults() Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// Close waits for acts under way and closes the database. Acts that come later
// are refused. The writer's connection goes last: only it may fold SQLite's log
// into the file, and only the last connection does.
func (s *Store) Close() error {
	defer s.outbox.deliver()
	if s.writer == nil {
		return s.reads.Close()
	}
	s.writer.drain()
	return errors.Join(s.reads.Close(), s.writer.db.Close())
}

// Engine is "sqlite" or "postgres".
func (s *Store) Engine() string { return s.target.Engine }

// Path is the absolute path of the SQLite file, empty on PostgreSQL.
func (s *Store) Path() string { return s.target.Path }

// Adopted returns what this Open adopted, nil when it adopted nothing.
func (s *Store) Adopted() *Adoption { return s.adopted }

// write runs act in a transaction of its own.
func (s *Store) write(ctx context.Context, act func(*tx) error) error {
	defer s.outbox.deliver()
	defer s.count.since(&s.count.writeNanos, time.Now())
	var err error
	if s.writer != nil {
		err = s.writer.do(ctx, act)
	} else {
		err = s.transact(ctx, act)
	}
	return s.classify(err)
}

// read runs fn, which makes one query, outside of a transaction.
func (s *Store) read(ctx context.Context, fn func(*tx) error) error {
	defer s.count.since(&s.count.readNanos, time.Now())
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	err := fn(s.newTx(bounded, s.reader))
	if engine.ConditionOf(err) == engine.Lost && bounded.Err() == nil {
		err = fn(s.newTx(bounded, s.reader)) // nothing was done, so once more on another connection
	}
	return s.classifyRead(ctx, err)
}

// lookup is read for what is found by its key. In a file that ends by itself
// within microseconds; where nothing watches the context, database/sql and the
// driver start no goroutine each, which is a quarter of what it costs.
func (s *Store) lookup(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.writer != nil {
		ctx = context.WithoutCancel(ctx)
	}
	return s.read(ctx, fn)
}

// bounded limits what a read waits for a server that may be out of reach. A
// file answers or fails.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.writer != nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// snapshot runs fn, which makes several queries, on one state of the database.
func (s *Store) snapshot(ctx context.Context, fn func(*tx) error) error {
	defer s.count.since(&s.count.readNanos, time.Now())
	opts := &sql.TxOptions{}
	if s.writer == nil {
		opts = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	db, err := s.reads.BeginTx(bounded, opts)
	if err != nil {
		return s.classifyRead(ctx, err)
	}
	defer func() { _ = db.Rollback() }() // nothing was written
	t := s.newTx(bounded, s.wrap(db))
	t.locks = false
	return s.classifyRead(ctx, fn(t))
}

// classifyRead is classify for a query that ends with its caller: what a driver
// says about an interruption is not the database's fault.
func (s *Store) classifyRead(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && engine.ConditionOf(err).Fatal() {
		return ended
	}
	return s.classify(err)
}

// classify is the last stop of each error. A table that is not there is a
// defect of ours, unless the database was replaced by another file.
func (s *Store) classify(err error) error {
	s.note(err)
	if s.writer != nil && engine.IsNoTable(err) {
		if moved := s.inPlace(); moved != nil {
			return engine.Unavailable(errors.Join(moved, err))
		}
	}
	return engine.Classify(err)
}

// note remembers damage for Ping: it does not heal.
func (s *Store) note(err error) {
	if err == nil || engine.ConditionOf(err) != engine.Damaged {
		return
	}
	text := err.Error()
	if s.damaged.CompareAndSwap(nil, &text) {
		s.log.Error("the database is damaged", "error", text)
	}
}
