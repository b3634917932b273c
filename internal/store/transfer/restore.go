package transfer

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/owner"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// Restore replaces the SQLite database of cfg with a copy of the backup file. An
// existing database is kept in the same folder, under the name returned; empty:
// there was none. It refuses a backup that is damaged or not a database of this
// program or the original, and a database that a process has open.
func Restore(ctx context.Context, cfg store.Config, file string) (kept string, err error) {
	to, err := engine.Parse(cfg.URL)
	if err != nil {
		return "", err
	}
	if to.Engine != engine.SQLite {
		return "", fault.New(fault.Invalid, "restore_postgres", "a PostgreSQL database is restored with its own tools, such as pg_restore")
	}
	if err := checkBackup(ctx, file); err != nil {
		return "", err
	}
	unlock, err := engine.LockFile(ctx, to.Path)
	if err != nil {
		return "", err
	}
	defer unlock()
	partial := to.Path + ".restore-" + rand.Text()
	if err := copyDurably(partial, file); err != nil {
		return "", engine.BadFile(to.Path, "cannot be written", err)
	}
	defer os.Remove(partial) //nolint:errcheck // absent after the renaming
	if err := keepOwner(partial, to.Path); err != nil {
		return "", engine.BadFile(to.Path, "cannot be given to its owner", err)
	}
	if kept, err = setAside(ctx, to.Path, to.Path+".before-restore-"+clock(cfg)().UTC().Format("20060102T150405Z")); err != nil {
		return "", err
	}
	if err := os.Rename(partial, to.Path); err != nil {
		return "", engine.BadFile(to.Path, "cannot be replaced", err)
	}
	return kept, engine.SyncFolder(filepath.Dir(to.Path))
}

// checkBackup refuses a file on which the server could not start.
func checkBackup(ctx context.Context, file string) (err error) {
	db, closeDB, err := engine.OpenUnchanged(file)
	if errors.Is(err, engine.ErrNoDatabase) {
		return engine.BadFile(file, "does not exist or is empty", nil)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(engine.File(file).Explain(err), closeDB()) }()
	if _, err := os.Stat(file + "-wal"); err == nil {
		return engine.BadFile(file, "has a write-ahead log ("+file+"-wal), so it is a database in use and no backup; write one with `pico-auth backup`", nil)
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return engine.BadFile(file, "is damaged", errors.New(verdict))
	}
	found, err := store.Inspect(ctx, db, engine.SQLite)
	if err != nil {
		return err
	}
	if found.Empty() {
		return engine.BadFile(file, "has no tables", nil)
	}
	if known, err := adopt.Known(ctx, db, engine.SQLite); err != nil || known {
		return err
	}
	return found.Refusal()
}

func copyDurably(to, from string) error {
	if err := engine.CopyFile(to, from); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// keepOwner gives the new file to the owner of the previous database, or
// else of its folder.
func keepOwner(partial, path string) error {
	like := path
	if _, err := os.Stat(path); err != nil {
		like = filepath.Dir(path)
	}
	return owner.GiveFile(partial, like)
}

// setAside renames the database at path, if there is one, once it is a single
// file that no process has open: leaving write-ahead mode needs a lock that SQLite
// gives only to the last connection.
func setAside(ctx context.Context, path, aside string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	db, err := engine.OpenFile(path, "busy_timeout(200)")
	if err != nil {
		return "", err
	}
	db.SetMaxOpenConns(1)
	err = errors.Join(leaveWAL(ctx, db), db.Close())
	if err != nil {
		return "", fault.Wrap(fault.Conflict, "database_in_use", fmt.Sprintf(
			"the database %s is in use or cannot be read; stop the server first, or move the file away by hand", path), err)
	}
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return "", engine.BadFile(aside, "exists already", nil)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", engine.BadFile(path, "cannot be moved aside", err)
	}
	return aside, nil
}

func leaveWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return errors.New("its journal mode stays " + mode)
	}
	return nil
}
