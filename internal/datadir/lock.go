package datadir

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
	"github.com/pico-auth/pico-auth/internal/owner"
)

const (
	lockFile  = "keys.lock"
	tempMark  = ".new-"          // between a file's name and a random suffix
	lockWait  = 10 * time.Second // making a key takes 0.2 s
	lockRetry = 5 * time.Millisecond
)

// Writer changes the folder while it holds the lock that excludes other processes. A nil
// one is not writable.
type Writer struct {
	*Folder

	lock    *flock.Flock
	refused error    // returned by every change; nil: the folder can be written
	made    []string // folders that Lock made
}

// Lock creates the folder or restricts its mode, and excludes other processes, so
// that two which start at the same time do not both make a pair. A folder that cannot
// be written gets no lock, and its Writer refuses every change.
func (f *Folder) Lock(ctx context.Context) (*Writer, error) {
	made, err := f.prepare()
	if err != nil {
		return nil, err
	}
	path := f.Join(lockFile)
	w := &Writer{Folder: f, made: made, lock: flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(privateMode))}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	_, err = w.lock.TryLockContext(ctx, lockRetry)
	switch {
	case err == nil:
		// The lock must belong to the owner of the folder: a server that cannot open it
		// treats the folder as read-only.
		if err := owner.GiveFile(path, f.path); err != nil {
			return nil, errors.Join(fileFault(path, "cannot be given to the owner of its folder", err), w.lock.Close())
		}
		w.sweep()
		return w, nil
	case errors.Is(err, fs.ErrPermission) || readOnlyFilesystem(err):
		w.refused = fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s cannot be written, and a file is missing in it", f.path))
		return w, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.Unavailable, "key_lock", path+" is locked by another process that is starting; try again when it is up")
	case errors.Is(err, context.Canceled):
		return nil, err
	}
	return nil, folderFault(f.path, "cannot be locked", err)
}

// Writable reports whether changes are possible at all.
func (w *Writer) Writable() bool { return w != nil && w.refused == nil }

// Close releases the lock. A folder that Lock made and nothing was written to is
// removed: a start that is refused leaves no folder behind that looks like one of keys.
func (w *Writer) Close() {
	if w == nil {
		return
	}
	if names := w.Names(); w.made != nil && len(names) == 1 && names[0] == lockFile {
		_ = os.Remove(w.Join(lockFile)) // as the folder, it may stay
		owner.Remove(w.made)
	}
	_ = w.lock.Close()
}

// prepare creates the folder, or restricts its mode. made are the folders that it made.
func (f *Folder) prepare() (made []string, err error) {
	info, err := f.examine()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if made, err = owner.MakeFolder(f.path, folderMode); err == nil {
			err = syncFolder(filepath.Dir(f.path))
		}
		if err != nil {
			owner.Remove(made)
			return nil, folderFault(f.path, "cannot be created", err)
		}
	case err != nil:
		return nil, err
	case looser(info.Mode(), folderMode):
		if err := os.Chmod(f.path, folderMode); err != nil {
			f.log.Warn("the folder of the signing keys is open to other users and its mode cannot be changed", "folder", f.path, "error", err)
		} else {
			f.log.Warn("tightened the folder of the signing keys", "folder", f.path, "from", modeText(info.Mode()), "to", modeText(folderMode))
		}
	}
	return made, nil
}

// sweep removes temporary files of killed processes. It runs under the lock, so no
// other process is writing.
func (w *Writer) sweep() {
	for _, name := range w.Names() {
		if strings.Contains(name, tempMark) && os.Remove(w.Join(name)) == nil {
			w.log.Info("removed an unfinished file", "file", w.Join(name))
		}
	}
}
