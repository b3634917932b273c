package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/fault"
)

const (
	folderMode  fs.FileMode = 0o700
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644

	lockFile  = "keys.lock"
	tempMark  = ".new-" // between a file's name and a random suffix
	maxFile   = 64 << 10
	lockWait  = 10 * time.Second // making a key takes 0.2 s
	lockRetry = 5 * time.Millisecond
)

var errEmpty = errors.New("it is empty")

// folder is the one folder that holds the keys, and every touch of it.
type folder struct {
	path     string
	readOnly bool // nothing is created, tightened or derived
	log      *slog.Logger
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

func (f *folder) exists(name string) bool {
	_, err := os.Lstat(f.join(name))
	return err == nil
}

// prepare creates the folder, or tightens it.
func (f *folder) prepare() error {
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

// lock keeps a second process that starts at the same time from making a pair
// of its own. A folder that cannot be written needs no lock and gets none.
func (f *folder) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	l := flock.New(f.join(lockFile), flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(privateMode))
	locked, err := l.TryLockContext(ctx, lockRetry)
	switch {
	case locked:
		if err := f.giveLock(); err != nil {
			return nil, errors.Join(fileFault(f.join(lockFile), "cannot be given to the owner of its folder", err), l.Close())
		}
		return func() { _ = l.Close() }, nil
	case errors.Is(err, fs.ErrPermission) || readOnlyFilesystem(err):
		f.readOnly = true
		return func() {}, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.Unavailable, "key_lock", fmt.Sprintf(
			"%s is locked by another process that is starting; try again when it is up", f.join(lockFile)))
	case errors.Is(err, context.Canceled):
		return nil, err
	}
	return nil, folderFault(f.path, "cannot be locked", err)
}

// giveLock lets the owner of the folder have the lock, too: where it cannot be
// opened a server takes the folder for one that is only read.
func (f *folder) giveLock() error {
	file, err := os.OpenFile(f.join(lockFile), os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.give(file), file.Close())
}

// give gives a file in the folder to the folder's owner.
func (f *folder) give(file *os.File) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	return giveTo(file, info)
}

// sweep removes what writers that were killed left behind. It runs under the
// lock, so nobody is writing now.
func (f *folder) sweep() {
	if f.readOnly {
		return
	}
	for _, name := range f.names() {
		path := f.join(name)
		if !strings.Contains(name, tempMark) {
			continue
		}
		if err := os.Remove(path); err == nil {
			f.log.Info("removed an unfinished file", "file", path)
		}
	}
}

// names lists the folder. A pattern would not do: the folder's own name may have
// what is special in one.
func (f *folder) names() (all []string) {
	entries, _ := os.ReadDir(f.path) // what cannot be listed has nothing to tidy
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// readPrivate reads a file that nobody else may read. Its absence is
// fs.ErrNotExist.
func (f *folder) readPrivate(name string) ([]byte, error) {
	data, info, err := f.read(name)
	if err != nil {
		return nil, err
	}
	if looser(info.Mode(), privateMode) {
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s is open to other users (mode %s), so they may know the key; if they cannot, run: chmod 600 %[1]s",
			f.join(name), modeText(info.Mode())))
	}
	return data, nil
}

// readPublic reads a file that anybody may read and tightens one that others
// may write.
func (f *folder) readPublic(name string) ([]byte, error) {
	data, info, err := f.read(name)
	if err != nil {
		return nil, err
	}
	if !f.readOnly && looser(info.Mode(), publicMode) {
		if err := f.tighten(name, info); err != nil {
			return nil, fileFault(f.join(name), "is open to other users and cannot be tightened", err)
		}
		f.log.Warn("tightened a public key file", "file", f.join(name), "from", modeText(info.Mode()), "to", modeText(publicMode))
	}
	return data, nil
}

// tighten takes the rights of a public file that go too far, of the one that was
// read and no other: as root, another under its name may be anybody's.
func (f *folder) tighten(name string, read fs.FileInfo) error {
	file, err := os.OpenFile(f.join(name), os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err == nil && !os.SameFile(read, info) {
		err = errors.New("it was exchanged while it was being read")
	}
	if err != nil {
		return err
	}
	return file.Chmod(publicMode)
}

// read takes a regular file only, by its own name: following a link would let
// whoever made it choose the key, and opening a pipe would wait for ever.
func (f *folder) read(name string) ([]byte, fs.FileInfo, error) {
	path := f.join(name)
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	if reason := notRegular(named.Mode()); reason != "" {
		return nil, nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s is %s; it must be a regular file", path, reason))
	}
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	if !os.SameFile(named, info) {
		return nil, nil, fault.New(fault.Invalid, "key_file", path+" was exchanged while it was being read")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, nil, fileFault(path, "cannot be read", err)
	case len(data) == 0:
		return nil, nil, fault.Wrap(fault.Invalid, "key_file", path+" is empty; restore it from a backup, or move it away to have it made anew", errEmpty)
	case len(data) > maxFile:
		return nil, nil, fault.New(fault.Invalid, "key_file", path+" is too long to be a key")
	}
	return data, info, nil
}

func notRegular(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsDir():
		return "a folder"
	}
	return "neither a file nor a folder"
}

// writePair commits a pair: both halves are on the disk before either has its
// name, and the private one is named last.
func (f *folder) writePair(files pairFiles, secret, public []byte) error {
	if err := f.writable(); err != nil {
		return err
	}
	stagedSecret, err := f.stage(files.private, secret, privateMode)
	if err != nil {
		return err
	}
	stagedPublic, err := f.stage(files.public, public, publicMode)
	if err != nil {
		return errors.Join(err, os.Remove(stagedSecret))
	}
	if err := f.commit(stagedPublic, files.public); err != nil {
		return errors.Join(err, os.Remove(stagedSecret))
	}
	return f.commit(stagedSecret, files.private)
}

// write puts one file in place so that it is never seen half.
func (f *folder) write(name string, data []byte, mode fs.FileMode) error {
	if err := f.writable(); err != nil {
		return err
	}
	staged, err := f.stage(name, data, mode)
	if err != nil {
		return err
	}
	return f.commit(staged, name)
}

// remove unlinks a file for good. One that is not there is no error.
func (f *folder) remove(name string) error {
	if !f.exists(name) {
		return nil
	}
	if err := os.Remove(f.join(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileFault(f.join(name), "cannot be removed", err)
	}
	if err := syncFolder(f.path); err != nil {
		return folderFault(f.path, "cannot be synced to disk", err)
	}
	f.log.Info("removed a key file", "file", f.join(name))
	return nil
}

func (f *folder) writable() error {
	if !f.readOnly {
		return nil
	}
	return fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s cannot be written, and a file is missing in it", f.path))
}

// stage writes data under a temporary name and syncs it. The file has its mode
// from its first instant, and its owner before it has its name.
func (f *folder) stage(name string, data []byte, mode fs.FileMode) (path string, err error) {
	path = f.join(name + tempMark + strings.ToLower(rand.Text()))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, mode)
	if err != nil {
		return "", fileFault(f.join(name), "cannot be written", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, f.give(file), file.Sync(), file.Close())
	if err != nil {
		return "", errors.Join(fileFault(f.join(name), "cannot be written", err), os.Remove(path))
	}
	return path, nil
}

func (f *folder) commit(staged, name string) error {
	if err := os.Rename(staged, f.join(name)); err != nil {
		return errors.Join(fileFault(f.join(name), "cannot be written", err), os.Remove(staged))
	}
	if err := syncFolder(f.path); err != nil {
		return folderFault(f.path, "cannot be synced to disk", err)
	}
	return nil
}

// looser reports whether mode allows anything that most does not.
func looser(mode, most fs.FileMode) bool {
	return permissionsMean && mode.Perm()&^most != 0
}

func modeText(mode fs.FileMode) string { return fmt.Sprintf("%#o", mode.Perm()) }

func folderFault(path, what string, cause error) error {
	return fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s %s: %s", path, what, reason(cause)))
}

func fileFault(path, what string, cause error) error {
	return fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s %s: %s", path, what, reason(cause)))
}

// reason is an error of the system without the path, which the sentence has.
func reason(err error) string {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err.Error()
	}
	if linkError, ok := errors.AsType[*os.LinkError](err); ok {
		return linkError.Err.Error()
	}
	return err.Error()
}
