package transfer

import (
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// backupAttempts limits how often a copy begins again because a server started
// during it. The second attempt reads beside that server.
const backupAttempts = 3

// Backup writes a consistent copy of the SQLite database of cfg to path while a
// server uses it, whatever the version of its schema, and changes nothing: the
// database may be on a full disk or a read-only file system. The copy is complete and
// durable when the file appears under that name, readable by its owner only, and
// never replaces an existing file. On PostgreSQL it is refused with the name of the
// tool to use.
func Backup(ctx context.Context, cfg store.Config, path string) error {
	from, err := engine.Parse(cfg.URL)
	if err != nil {
		return err
	}
	if from.Engine != engine.SQLite {
		return fault.New(fault.Invalid, "backup_postgres", "a PostgreSQL database is backed up with its own tools, such as pg_dump")
	}
	for attempt := 1; ; attempt++ {
		err := backup(ctx, from, path)
		if !errors.Is(err, engine.ErrUnsettled) || attempt == backupAttempts {
			return err
		}
	}
}

// backup makes one attempt.
func backup(ctx context.Context, from engine.Target, path string) error {
	settled := engine.Settled(from.Path)
	db, closeDB, err := engine.OpenUnchanged(from.Path)
	if errors.Is(err, engine.ErrNoDatabase) {
		return engine.BadFile(from.Path, "does not exist or is empty", nil)
	}
	if err != nil {
		return err
	}
	return errors.Join(from.Explain(engine.Snapshot(ctx, db, path, settled)), closeDB())
}
