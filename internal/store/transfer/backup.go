package transfer

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Backup writes a consistent copy of the SQLite database of s to path while it
// is in use. The copy is complete and durable when the file appears under that name,
// readable by its owner only, and never replaces an existing file. On PostgreSQL it
// is refused with the name of the tool to use.
func Backup(ctx context.Context, s *store.Store, path string) error {
	if s.Engine() != engine.SQLite {
		return fault.New(fault.Invalid, "backup_postgres", "a PostgreSQL database is backed up with its own tools, such as pg_dump")
	}
	db, err := engine.OpenFile(s.Path())
	if err != nil {
		return err
	}
	return engine.Classify(errors.Join(engine.Snapshot(ctx, db, path), db.Close()))
}
