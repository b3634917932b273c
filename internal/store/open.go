package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/fault"
)

const (
	// migrationLock is the advisory lock under which PostgreSQL databases are
	// migrated, the same in every version of this program.
	migrationLock int64 = 0x7069636f61757468 // "picoauth"
	// migrationWait bounds a migration, and the wait for another replica's.
	migrationWait = 10 * time.Minute
)

// Open opens the database, creating it when it is absent, and brings its schema
// up to date, adopting a database of the original Python server. The database
// belongs to the server from then on; it stays open until Close.
//
// Errors are faults whose sentences are for the operator.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	target, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{target: target, now: cfg.Now, log: cfg.Log, wrap: cfg.echo()}
	if target.engine == enginePostgres {
		err = s.openPostgres(ctx, cfg)
	} else {
		err = s.openSQLite(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openSQLite opens the file for one writer and several readers. A database that
// is not ours yet is neither switched to WAL nor written to before it was
// examined.
func (s *Store) openSQLite(ctx context.Context, cfg Config) error {
	path := s.target.path
	info, err := secureFile(path, s.log)
	if err != nil {
		return err
	}
	s.file = info
	db, err := openSQLite(path, "synchronous(FULL)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := s.prepareSQLite(ctx, cfg, db); err != nil {
		return errors.Join(explainSQLite(path, err), db.Close())
	}
	s.reads, err = openSQLite(path, "query_only(1)")
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
	if version != schemaTarget {
		if err := s.migrateSQLite(ctx, cfg, db); err != nil {
			return err
		}
	}
	if err := checkComplete(ctx, db); err != nil {
		return err
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return badFile(s.target.path, "lies on a file system that cannot share memory between processes; SQLite needs a local one", nil)
	}
	return refuseReadOnly(ctx, db)
}

// refuseReadOnly writes nothing, but as a writer: SQLite opens a file that it
// cannot write, even for BEGIN IMMEDIATE, and says so at the first login only.
// That another process holds the lock shows that the file can be written.
func refuseReadOnly(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "UPDATE settings SET value = value WHERE key = ''")
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_BUSY {
		return nil
	}
	return err
}

func (s *Store) migrateSQLite(ctx context.Context, cfg Config, db *sql.DB) error {
	unlock, err := lockFile(ctx, s.target.path)
	if err != nil {
		return err
	}
	defer unlock()
	return s.migrate(ctx, cfg, db)
}

// explainSQLite says what is wrong with the file in words.
func explainSQLite(path string, err error) error {
	var already *fault.Error
	var lite *sqlite.Error
	switch {
	case errors.As(err, &already), !errors.As(err, &lite):
		return err
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return badFile(path, "is not a SQLite database", err)
	case sqlite3.SQLITE_CORRUPT:
		return badFile(path, "is damaged; restore a backup, or look at it with `migrate --check`", err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return badFile(path, "cannot be opened for writing", err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.Wrap(fault.Unavailable, "unavailable", fmt.Sprintf("the database %s is locked by another process", path), err)
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return fault.Wrap(fault.Unavailable, "unavailable", fmt.Sprintf("the database %s cannot be written: the disk is full or failing", path), err)
	default:
		return err
	}
}

// openPostgres connects to the server.
func (s *Store) openPostgres(ctx context.Context, cfg Config) error {
	db := openPostgres(s.target.pg)
	db.SetMaxOpenConns(s.target.pool)
	db.SetMaxIdleConns(s.target.pool) // a connection costs far more to make than to keep
	db.SetConnMaxLifetime(connectionLife)
	db.SetConnMaxIdleTime(connectionIdle)
	if err := s.preparePostgres(ctx, cfg, db); err != nil {
		return errors.Join(s.explainPostgres(err), db.Close())
	}
	s.reads, s.reader = db, s.wrap(db)
	return nil
}

func (s *Store) preparePostgres(ctx context.Context, cfg Config, db *sql.DB) error {
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if version != schemaTarget {
		own := openPostgres(migrationConfig(s.target.pg))
		if err := errors.Join(s.migratePostgres(ctx, cfg, own), own.Close()); err != nil {
			return err
		}
	}
	return checkComplete(ctx, db)
}

// migratePostgres keeps other replicas out from the first look to the last
// commit: what they would see halfway looks like somebody else's database. The
// lock ends with the session, which ends with the caller's pool.
func (s *Store) migratePostgres(ctx context.Context, cfg Config, own *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, migrationWait)
	defer cancel()
	session, err := own.Conn(ctx)
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // back to the pool, which is closed next
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return err
	}
	if version, err := schemaVersion(ctx, session); err != nil || version == schemaTarget {
		return err // another replica was faster
	}
	return s.migrate(ctx, cfg, own)
}

// explainPostgres says what is wrong with the server in words.
func (s *Store) explainPostgres(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	server := fmt.Sprintf("PostgreSQL at %s:%d ", s.target.pg.Host, s.target.pg.Port)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "28P01", "28000":
			return fault.Wrap(fault.Invalid, "database_login", server+"refused the user or the password of database.url", err)
		case "3D000":
			return fault.Wrap(fault.Invalid, "database_name", server+"has no database of the name in database.url", err)
		case "42501":
			return fault.Wrap(fault.Invalid, "database_rights", server+"does not let this user create or change tables", err)
		}
	}
	if c := conditionOf(err); c == lost || c == away {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op // pgx repeats it on lines of their own
		}
		return fault.Wrap(fault.Unavailable, "unavailable", server+"does not answer", err)
	}
	return err
}
