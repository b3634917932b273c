package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/owner"
)

// fileMode is the mode of the database, its companions and its copies.
const fileMode fs.FileMode = 0o600

// This package never opens the database file while SQLite may have it open: closing
// any descriptor of it would drop the locks that SQLite holds through others
// (fcntl(2) locks belong to the process).

// SecureFile ensures that path is a regular file that only its owner can
// read, creating it if it does not exist.
func SecureFile(path string, log *slog.Logger) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path); err != nil {
			return nil, err
		}
		log.Info("database created", "path", path)
		info, err = os.Lstat(path)
	}
	if err != nil {
		return nil, BadFile(path, "cannot be examined", err)
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		if err := tighten(name, log); err != nil {
			return nil, err
		}
	}
	return info, nil
}

// Examine returns the regular file at path, without a change. The error of a missing
// file is fs.ErrNotExist.
func Examine(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, BadFile(path, "cannot be examined", err)
	}
	return info, regular(path, info)
}

// CheckFile returns why SecureFile would refuse the path, as far as it can be seen
// without changing anything. A disk that refuses all writes for now is no fault of the
// path.
func CheckFile(path string) error {
	_, err := Examine(path)
	if err == nil {
		if err := owner.MayWrite(path); err != nil && !errors.Is(err, syscall.EROFS) {
			return unwritable(path, err)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := owner.MayWrite(filepath.Dir(path)); err != nil {
		return uncreated(path, err)
	}
	return nil
}

func regular(path string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return BadFile(path, "is a symbolic link; database.url must name the file itself", nil)
	case info.IsDir():
		return BadFile(path, "is a folder", nil)
	case !info.Mode().IsRegular():
		return BadFile(path, "is not a regular file", nil)
	}
	return nil
}

func uncreated(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return BadFile(path, "cannot be created: its folder does not exist", err)
	}
	return BadFile(path, "cannot be created", err)
}

// createFile makes an empty file, which is an empty database to SQLite. It
// never follows a link and never changes a file that another process made.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return uncreated(path, err)
	}
	if err := owner.Give(f, filepath.Dir(path)); err != nil {
		return errors.Join(BadFile(path, "cannot be given to the owner of its folder", err), f.Close(), os.Remove(path))
	}
	return errors.Join(f.Close(), SyncFolder(filepath.Dir(path)))
}

// tighten removes the rights of group and others from a file that has them.
func tighten(path string, log *slog.Logger) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return nil //nolint:nilerr // a companion that is absent needs nothing
	}
	if err := os.Chmod(path, info.Mode().Perm()&0o700); err != nil {
		return BadFile(path, "is readable by others, and its mode cannot be changed", err)
	}
	log.Warn("database file mode changed to 0600; it was readable by others", "path", path, "was", fmt.Sprintf("%04o", info.Mode().Perm()))
	return nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// BadFile is a fault for the operator: it names the file and what to do. A retry can help
// only where the cause is a state of the machine.
func BadFile(path, sentence string, cause error) error {
	text := fmt.Sprintf("the database %s %s", path, sentence)
	if cause != nil {
		text += " (" + reason(cause) + ")"
	}
	if denied := owner.Denied(path, cause); denied != "" {
		text += "; " + denied
	}
	return fault.Wrap(kindOf(cause), "database_file", text, cause)
}

// kindOf is Unavailable for what may pass without a change of the configuration: a full
// or failing disk, too many open files, another process that takes long.
func kindOf(cause error) fault.Kind {
	for _, passing := range []error{errDiskFull, context.DeadlineExceeded, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(cause, passing) {
			return fault.Unavailable
		}
	}
	return fault.Invalid
}

var errDiskFull = errors.New("the disk is full")

// reason is the last part of an error of the operating system, such as
// "permission denied", without the path, which the message names already.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// lockTimeout is how long a start waits for the migration of another process.
const lockTimeout = 5 * time.Minute

// LockFile takes the lock that lets one process at a time migrate the SQLite
// database at path. The operating system holds the lock, so it ends with the
// process. The lock file is not removed: otherwise two processes could hold locks
// on different files of one name.
func LockFile(ctx context.Context, path string) (unlock func(), err error) {
	if info, err := os.Lstat(path + ".lock"); err == nil && !info.Mode().IsRegular() {
		return nil, BadFile(path, "has a lock file, "+path+".lock, that is not a regular file; remove it", nil)
	}
	lock := flock.New(path+".lock", flock.SetPermissions(fileMode))
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, BadFile(path, "cannot be locked for its migration", err)
	}
	// After a migration that root has run, the server's account must be able to open it.
	if err := owner.GiveFile(path+".lock", filepath.Dir(path)); err != nil {
		return nil, errors.Join(BadFile(path, "has a lock file that cannot be given to its owner", err), lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}
