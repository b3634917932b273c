package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// migrationLock is the advisory lock under which PostgreSQL databases are
	// migrated, the same in every version of this program.
	migrationLock int64 = 0x7069636f61757468 // "picoauth"
	// migrationWait limits a migration, and the wait for that of another replica.
	migrationWait = 10 * time.Minute
)

// Open opens the database, creating it when it is absent, and brings its schema
// up to date, adopting a database of another program that cfg.Adopt knows.
// It stays open until Close.
//
// Errors are faults with messages for the operator.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	target, err := cfg.Target()
	if err != nil {
		return nil, err
	}
	s := newStore(target, cfg)
	if target.Engine == engine.Postgres {
		err = s.openPostgres(ctx, cfg)
	} else {
		err = s.openSQLite(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	s.places = newPlaces(s.reads.Stats().MaxOpenConnections) // a connection has found out about a pooler
	return s, nil
}

func newStore(target engine.Target, cfg Config) *Store {
	return &Store{
		places: newPlaces(0), target: target, now: cfg.Now, log: cfg.Log, wrap: cfg.echo(), outbox: outbox{tell: cfg.Committed},
		privilegedMaxAge: cfg.PrivilegedMaxAge, browserTimes: cfg.Browser, groupNames: cfg.GroupNames, issuer: cfg.Issuer,
	}
}

// inMemory lets the writer keep the former pages of a savepoint in memory, however many
// they are. SQLite keeps 64 KB, less than a sign-in changes, and writes all others to a
// file in the folder of temporary files: an eighth of the CPU of a code flow, and where
// that folder is full or missing, one write would end all others of its transaction.
const inMemory = "temp_store(2)"

// openSQLite opens the file for one writer and several readers. A database that
// is not ours yet is examined before it is switched to WAL or written to.
func (s *Store) openSQLite(ctx context.Context, cfg Config) error {
	path := s.target.Path
	info, err := engine.SecureFile(path, s.log)
	if err != nil {
		return err
	}
	s.file = info
	db, err := engine.OpenFile(path, "synchronous(FULL)", logSizePragma, inMemory)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := s.prepareSQLite(ctx, cfg, db); err != nil {
		return errors.Join(s.target.Explain(err), db.Close())
	}
	s.reads, err = engine.OpenFile(path, "query_only(1)")
	if err != nil {
		return errors.Join(err, db.Close())
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	s.reader = s.wrap(&prepared{prepare: s.reads.PrepareContext})
	s.writer = newWriter(s, db)
	return nil
}

func (s *Store) prepareSQLite(ctx context.Context, cfg Config, db *sql.DB) error {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if version != SchemaVersion {
		if err := s.migrateSQLite(ctx, cfg, db); err != nil {
			return err
		}
	}
	if err := CheckComplete(ctx, db); err != nil {
		return err
	}
	if err := s.verifyAtOpen(ctx, db); err != nil {
		return err
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return engine.BadFile(s.target.Path, "is on a file system that cannot share memory between processes; move it to a local one", nil)
	}
	return refuseReadOnly(ctx, db)
}

// touch changes nothing, but needs write access: a standby and a file that cannot be
// written answer all other questions of a start.
const touch = "UPDATE settings SET value = value WHERE key = ''"

// refuseReadOnly runs touch: SQLite opens a file that it cannot write, even for BEGIN
// IMMEDIATE, and would fail at the first login only. That another process holds the
// lock shows that the file is writable.
func refuseReadOnly(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, touch)
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_BUSY {
		return nil
	}
	return err
}

func (s *Store) migrateSQLite(ctx context.Context, cfg Config, db *sql.DB) error {
	locked := s.delayed(cfg, waitingForMigration)
	unlock, err := engine.LockFile(ctx, s.target.Path)
	locked()
	if err != nil {
		return err
	}
	defer unlock()
	return s.migrate(ctx, cfg, db)
}

// openPostgres connects to the server.
func (s *Store) openPostgres(ctx context.Context, cfg Config) error {
	db := s.target.OpenServer()
	if err := s.untilItAnswers(ctx, cfg, func() error { return s.preparePostgres(ctx, cfg, db) }); err != nil {
		return errors.Join(s.target.Explain(err), db.Close())
	}
	s.reads, s.reader = db, s.wrap(db)
	return nil
}

func (s *Store) preparePostgres(ctx context.Context, cfg Config, db *sql.DB) error {
	ours, read := CheckedTables()
	if faults, err := s.target.Unsuitable(ctx, db, ours, read); err != nil || len(faults) > 0 {
		return errors.Join(err, engine.NotSuitable(faults))
	}
	if s.target.Pooled() {
		s.log.Info("database is behind a connection pooler: statements have no name, limits belong to transactions")
		if err := inOne(ctx, db, "SELECT 1"); err != nil {
			return err // it allows no transactions
		}
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if version != SchemaVersion {
		own := s.target.OpenUnbounded()
		if err := errors.Join(s.migratePostgres(ctx, cfg, own), own.Close()); err != nil {
			return err
		}
	}
	if err := CheckComplete(ctx, db); err != nil || cfg.reading {
		return err
	}
	return inOne(ctx, db, touch) // which limits the wait for a lock behind a pooler, too
}

// migratePostgres excludes other replicas from the first query to the last
// commit: a partial migration looks like another program's database.
func (s *Store) migratePostgres(ctx context.Context, cfg Config, own *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, migrationWait)
	defer cancel()
	locked := s.delayed(cfg, waitingForMigration)
	defer locked()
	return exclusively(ctx, own, migrationLock, func(ctx context.Context) error {
		locked()
		second := s.delayed(cfg, waitingForConnection)
		version, err := schemaVersion(ctx, own)
		second()
		if err != nil || version == SchemaVersion {
			return err // another replica was faster
		}
		if err := engine.TakesWrites(ctx, own); err != nil {
			return err
		}
		ours, read := CheckedTables()
		if faults, err := s.target.Unmigratable(ctx, own, append(ours, read...)); err != nil || len(faults) > 0 {
			return errors.Join(err, engine.NotSuitable(faults))
		}
		return s.migrate(ctx, cfg, own)
	})
}
