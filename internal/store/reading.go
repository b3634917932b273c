package store

import (
	"context"
	"errors"
	"os"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// errReading is the error of a write to a Store that OpenReading returned.
var errReading = fault.New(fault.Internal, "", "the database is open for reading only")

// OpenReading opens the database for methods that only read, and changes nothing: a
// SQLite database may be on a full disk or a read-only file system, and a log that a
// crash has left is read, and a PostgreSQL server may be a standby. Only a database that is not of this version is opened as by
// Open, which brings it up to date.
func OpenReading(ctx context.Context, cfg Config) (*Store, error) {
	target, err := engine.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if target.Engine != engine.SQLite {
		cfg.reading = true
		return Open(ctx, cfg)
	}
	s, err := openReading(ctx, target, cfg.withDefaults())
	if s != nil || err != nil {
		return s, err
	}
	return Open(ctx, cfg)
}

// openReading returns nil for a database that is not of this version.
func openReading(ctx context.Context, target engine.Target, cfg Config) (_ *Store, err error) {
	file, err := engine.Examine(target.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	db, release, err := engine.OpenUnchanged(target.Path)
	if errors.Is(err, engine.ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	version, err := schemaVersion(ctx, db)
	if err == nil && version == SchemaVersion {
		err = CheckComplete(ctx, db)
	}
	if err != nil || version != SchemaVersion {
		return nil, errors.Join(target.Explain(err), release())
	}
	s := newStore(target, cfg)
	s.file, s.reads, s.release = file, db, release
	s.reader = s.wrap(&prepared{prepare: db.PrepareContext})
	s.writer = closedWriter(s, errReading)
	return s, nil
}
