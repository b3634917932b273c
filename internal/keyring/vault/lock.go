package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/fault"
)

const (
	lockFile  = "keys.lock"
	tempMark  = ".new-"          // between a file's name and a random suffix
	lockWait  = 10 * time.Second // making a key takes 0.2 s
	lockRetry = 5 * time.Millisecond
)

// Writer changes the folder while it keeps other processes out of it.
type Writer struct {
	*Folder

	lock    *flock.Flock // nil: the folder cannot be written
	refused error        // what every change is answered with; nil: changes are possible
}

// Lock makes the folder ready, which creates or tightens it, and keeps a second
// process that starts at the same time from making a pair of its own. A folder that
// cannot be written needs no lock and gets none; its Writer refuses every change.
func (f *Folder) Lock(ctx context.Context) (*Writer, error) {
	if err := f.prepare(); err != nil {
		return nil, err
	}
	w := &Writer{Folder: f}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	l := flock.New(f.Join(lockFile), flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(privateMode))
	locked, err := l.TryLockContext(ctx, lockRetry)
	switch {
	case locked:
		// The owner of the folder has to have the lock as well: where it cannot be
		// opened a server takes the folder for one that is only read.
		file, err := os.OpenFile(f.Join(lockFile), os.O_RDONLY|noFollow, 0)
		if err == nil {
			err = errors.Join(w.give(file), file.Close())
		}
		if err != nil {
			return nil, errors.Join(fileFault(f.Join(lockFile), "cannot be given to the owner of its folder", err), l.Close())
		}
		w.lock = l
		w.sweep()
		return w, nil
	case errors.Is(err, fs.ErrPermission) || readOnlyFilesystem(err):
		w.refused = fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s cannot be written, and a file is missing in it", f.path))
		return w, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.Unavailable, "key_lock", fmt.Sprintf(
			"%s is locked by another process that is starting; try again when it is up", f.Join(lockFile)))
	case errors.Is(err, context.Canceled):
		return nil, err
	}
	return nil, folderFault(f.path, "cannot be locked", err)
}

func (w *Writer) writable() bool { return w.refused == nil }

// Close lets other processes in.
func (w *Writer) Close() {
	if w.lock != nil {
		_ = w.lock.Close()
	}
}

// prepare creates the folder, or tightens it.
func (f *Folder) prepare() error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(f.path, folderMode); err != nil {
			return folderFault(f.path, "cannot be created", err)
		}
		if err := syncFolder(filepath.Dir(f.path)); err != nil {
			return folderFault(f.path, "cannot be synced to disk", err)
		}
		return nil
	}
	if err != nil {
		return folderFault(f.path, "cannot be read", err)
	}
	if !info.IsDir() {
		return fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s is not a folder", f.path))
	}
	if !looser(info.Mode(), folderMode) {
		return nil
	}
	if info.Mode()&fs.ModeSticky != 0 {
		return fault.New(fault.Invalid, "data_dir",
			fmt.Sprintf("auth.data_dir %s is a folder shared by all users; signing keys need one of their own", f.path))
	}
	if err := os.Chmod(f.path, folderMode); err != nil {
		f.log.Warn("the folder of the signing keys is open to others and cannot be tightened", "folder", f.path, "error", err)
		return nil
	}
	f.log.Warn("tightened the folder of the signing keys", "folder", f.path, "from", modeText(info.Mode()), "to", modeText(folderMode))
	return nil
}

// give gives a file in the folder to the folder's owner.
func (w *Writer) give(file *os.File) error {
	info, err := os.Stat(w.path)
	if err != nil {
		return err
	}
	return giveTo(file, info)
}

// sweep removes what writers that were killed left behind. It runs under the
// lock, so nobody is writing now.
func (w *Writer) sweep() {
	for _, name := range w.names() {
		path := w.Join(name)
		if !strings.Contains(name, tempMark) {
			continue
		}
		if err := os.Remove(path); err == nil {
			w.log.Info("removed an unfinished file", "file", path)
		}
	}
}
