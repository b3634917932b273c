package engine

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// ErrUnsettled means that the database was written to while it was read as immutable.
var ErrUnsettled = fault.New(fault.Unavailable, "unavailable", "the database was changed while it was copied; try again")

// Snapshot writes a consistent copy of the open SQLite database to path, including
// its write-ahead log. The copy is complete and durable when the file appears under
// that name, readable by its owner only, and never replaces an existing file. It does
// not appear unless settled, of Settled, reports true after it was written.
func Snapshot(ctx context.Context, db *sql.DB, path string, settled func() bool) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return errBackupExists(path)
	case !errors.Is(err, fs.ErrNotExist):
		return badBackup(path, err)
	}
	partial := path + ".partial-" + rand.Text()
	if err := copyInto(ctx, db, partial); err != nil {
		return badCopy(path, err)
	}
	defer os.Remove(partial) //nolint:errcheck // absent after a renaming
	if !settled() {
		return ErrUnsettled
	}
	return publish(partial, path)
}

// copyInto writes a copy of the database into a new file, which it removes on
// failure.
func copyInto(ctx context.Context, db *sql.DB, dest string) (err error) {
	file, err := os.OpenFile(dest, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(dest) // incomplete; the first error counts
		}
	}()
	// SQLite accepts an empty file for its copy, and does not sync what it wrote.
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", dest); err != nil {
		return err
	}
	return file.Sync()
}

// badCopy is badBackup for an error that is about the copy. What is wrong with the
// database itself passes through.
func badCopy(path string, err error) error {
	lite, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok && errors.Is(err, context.Canceled):
		return err
	case !ok:
		return badBackup(path, err)
	case lite.Code()&0xff == sqlite3.SQLITE_FULL:
		return badBackup(path, errDiskFull)
	default:
		return err
	}
}

// publish gives the finished copy its name. A link, unlike a renaming, fails
// if the name exists; a file system without links uses the renaming.
func publish(partial, path string) error {
	err := os.Link(partial, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errBackupExists(path)
	case err != nil:
		if _, taken := os.Lstat(path); !errors.Is(taken, fs.ErrNotExist) {
			return errBackupExists(path)
		}
		if err := os.Rename(partial, path); err != nil {
			return badBackup(path, err)
		}
	}
	if err := SyncFolder(filepath.Dir(path)); err != nil {
		return badBackup(path, err)
	}
	return nil
}

func errBackupExists(path string) error {
	return fault.New(fault.Conflict, "backup_exists", fmt.Sprintf("%s exists already; a backup never overwrites", path))
}

// badBackup is a fault for the operator: it names the copy that cannot be
// written.
func badBackup(path string, err error) error {
	return fault.Wrap(kindOf(err), "backup_failed", fmt.Sprintf("the backup %s cannot be written (%s)", path, reason(err)), err)
}
