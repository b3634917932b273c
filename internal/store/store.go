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
	"github.com/pico-auth/pico-auth/internal/trace"
)

// Config says which database to open, and how.
type Config struct {
	// URL is any form of database.url: sqlite:///auth.db (relative to the
	// working folder), sqlite:////abs/path.db, sqlite+aiosqlite:///auth.db,
	// postgres://, postgresql://, postgresql+asyncpg://...?ssl=require.
	// PostgreSQL also takes pool_max_conns=N: maximum connections, default 16.
	URL string

	// Pooler says that URL leads to a connection pooler that gives a session to several
	// clients. PgBouncer and others are recognized without it.
	Pooler bool

	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nothing is logged
	Echo bool             // log the text of each statement, never its parameters

	// PrivilegedMaxAge is how long after the authentication of their session a user
	// may do privileged acts. 0: at any time.
	PrivilegedMaxAge time.Duration

	Browser BrowserTimes // how long sessions in browsers last

	// Issuer is the issuer of the server. As an audience only superadmins give it to clients
	// and service tokens. Empty: all may.
	Issuer string

	GroupNames bool // what reads the groups of a user for a token reads their names, too

	// Committed receives each audit event that a method wrote, after the commit and
	// in the order of the commits; on PostgreSQL, in the order in which the server
	// acknowledged them, and without the events of an unacknowledged commit. A method
	// returns after its events were passed on. One goroutine calls Committed at a
	// time, and it must not call a method that writes. nil: events are not passed on.
	Committed func(Event)

	// Wait is for how long Open waits for a PostgreSQL server that does not answer, takes
	// no writes, or does not have the role or the database yet. 0: not at all.
	Wait time.Duration

	// Delayed is called when Open takes long, since it waits or migrates the schema; the
	// log says for what. It may be called several times, from any goroutine. nil: it is not.
	Delayed func()

	// Adopt is called for a database that holds tables of another program. nil:
	// such a database is refused.
	Adopt Adopt

	reading bool // PostgreSQL: a server that takes no writes will do
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	target engine.Target
	now    func() time.Time
	log    *slog.Logger
	wrap   func(runner) runner // logs statements if Config.Echo is set

	privilegedMaxAge time.Duration
	browserTimes     BrowserTimes
	groupNames       bool
	issuer           string

	adopted *Adoption // by this Open; nil: nothing

	reads    *sql.DB // SQLite: readers only; PostgreSQL: everything
	reader   runner
	writer   *writer      // SQLite only
	file     fs.FileInfo  // SQLite only: the file as opened
	release  func() error // SQLite that is open for reading only: closes reads; else nil
	count    counters
	outbox   outbox
	totals   totals       // of lists of users
	places   places       // of lists
	open     openRequests // authorization requests
	clients  clientMemo
	over     endedFamilies
	ended    atomic.Int64 // the first time since the last OwnRevocations, as in noteEnded
	purged   purged
	damaged  atomic.Pointer[string] // the error when damage was first detected
	verified atomic.Bool            // Open has examined the file, and Verify has not run since
	failing  atomic.Bool            // a write failed as all would, and Ping has not succeeded since
}

// Target is the parsed URL.
func (cfg Config) Target() (engine.Target, error) {
	target, err := engine.Parse(cfg.URL)
	if err == nil && cfg.Pooler {
		target.AssumePooler()
	}
	return target, err
}

// withDefaults sets the defaults.
func (cfg Config) withDefaults() Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Delayed == nil {
		cfg.Delayed = func() {}
	}
	return cfg
}

// Close waits for running operations and closes the database. Later operations
// are refused. The writer's connection is closed last: only the last connection
// can fold SQLite's log into the file, and readers cannot.
func (s *Store) Close() error {
	defer s.outbox.deliver()
	if s.release != nil {
		return s.release()
	}
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

// write runs op in a transaction of its own.
func (s *Store) write(ctx context.Context, op func(*tx) error) error {
	defer s.outbox.deliver()
	defer s.count.since(&s.count.writeNanos, time.Now())
	if of := trace.From(ctx); of.Parent != "" { // the context of the transaction may be the writer's
		untraced := op
		op = func(t *tx) error {
			t.trace = of
			return untraced(t)
		}
	}
	var err error
	if s.writer != nil {
		err = s.writer.do(ctx, op)
	} else {
		err = s.transact(ctx, op)
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
		err = fn(s.newTx(bounded, s.reader)) // nothing was done: repeat on another connection
	}
	return s.classifyRead(ctx, err)
}

// lookup is read for a query by key. In a file it ends by itself within
// microseconds; with a context that cannot be cancelled database/sql and the
// driver start no goroutines, which saves a quarter of the time.
func (s *Store) lookup(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.writer != nil {
		ctx = context.WithoutCancel(ctx)
	}
	return s.read(ctx, fn)
}

// bounded limits how long a read waits for a server that may be unreachable. A
// file needs no limit.
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

// classifyRead is classify for a query that may be cancelled by its caller: a
// driver's error about an interruption is no fault of the database.
func (s *Store) classifyRead(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && engine.ConditionOf(err).Fatal() {
		return ended
	}
	return s.classify(err)
}

// classify is applied to each error before it leaves the package. A missing table
// is a defect of this program, unless the database was replaced by another file.
func (s *Store) classify(err error) error {
	s.note(err)
	if s.writer != nil && engine.IsNoTable(err) {
		if moved := s.inPlace(); moved != nil {
			return engine.Unavailable(errors.Join(moved, err))
		}
	}
	return engine.Classify(err)
}

// note remembers damage for Ping and Stats, since it is permanent, and that no write
// succeeds.
func (s *Store) note(err error) {
	if engine.RefusesWrites(err) {
		s.failing.Store(true)
	}
	if err == nil || engine.ConditionOf(err) != engine.Damaged && !errors.Is(err, engine.ErrDamaged) {
		return
	}
	text := err.Error()
	if s.damaged.CompareAndSwap(nil, &text) {
		s.log.Error("database damaged; "+remedy, "error", text)
	}
}
