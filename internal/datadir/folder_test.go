//go:build unix

package datadir_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lock(t testing.TB, f *datadir.Folder) *datadir.Writer {
	t.Helper()
	w, err := f.Lock(t.Context())
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

// TestAPrivateFileIsRefusedByName, unless it is a regular file that no other user can open.
func TestAPrivateFileIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(path string) error
		says   string
	}{
		"open to the group": {func(path string) error { return os.Chmod(path, 0o640) }, "is open to other users (mode 0640)"},
		"writable":          {func(path string) error { return os.Chmod(path, 0o602) }, "chmod 600 "},
		"a link":            {func(path string) error { return errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)) }, "is a symbolic link"},
		"a dangling link":   {func(path string) error { return errors.Join(os.Remove(path), os.Symlink(path+".x", path)) }, "is a symbolic link"},
		"a folder":          {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "is a folder"},
		"a pipe":            {func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, "neither a file nor a folder"},
		"huge":              {func(path string) error { return os.Truncate(path, 64<<10+1) }, "is too long"},
	} {
		f, _ := folder(t)
		must(t, lock(t, f).WritePrivate("secret", []byte("secret")))
		path := f.Join("secret")
		must(t, c.damage(path))
		_, err := f.ReadPrivate("secret")
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingFileIsNotExist(t *testing.T) {
	f, _ := folder(t)
	for range 2 { // without and with the folder
		_, private := f.ReadPrivate("secret")
		_, public := f.ReadPublic("secret")
		if !errors.Is(private, fs.ErrNotExist) || !errors.Is(public, fs.ErrNotExist) {
			t.Errorf("%v, %v", private, public)
		}
		must(t, os.MkdirAll(f.Path(), 0o700))
	}
	must(t, lock(t, f).Remove("secret"))
}

// TestFilesHaveTheirModesWhateverTheUmask, replace others whole, and leave nothing else.
func TestFilesHaveTheirModesWhateverTheUmask(t *testing.T) {
	previous := syscall.Umask(0)
	defer syscall.Umask(previous)
	f, _ := folder(t)
	w := lock(t, f)
	for _, data := range []string{"first", "second"} {
		must(t, w.WritePrivate("private", []byte(data)))
		must(t, w.WritePublic("public", []byte(data)))
		if got, err := f.ReadPrivate("private"); err != nil || string(got) != data {
			t.Errorf("%q, %v", got, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "private": 0o600, "public": 0o644, "keys.lock": 0o600} {
		info, err := os.Stat(f.Join(name))
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %#o, want %#o", name, got, want)
		}
	}
	if names := f.Names(); len(names) != 3 {
		t.Errorf("%v", names)
	}
}

// TestALinkIsReplacedAndNotWrittenThrough: its creator would choose the file.
func TestALinkIsReplacedAndNotWrittenThrough(t *testing.T) {
	f, _ := folder(t)
	w := lock(t, f)
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("theirs"), 0o600))
	must(t, os.Symlink(outside, f.Join("private")))
	must(t, w.WritePrivate("private", []byte("ours")))
	if got, err := f.ReadPrivate("private"); err != nil || string(got) != "ours" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "theirs" {
		t.Errorf("the other file has %q, %v", got, err)
	}
}

// TestADerivedFileIsKept: written if it is missing, tightened if others may write it.
func TestADerivedFileIsKept(t *testing.T) {
	f, _ := folder(t)
	w := lock(t, f)
	for range 2 {
		must(t, w.KeepPublic("public", []byte("derived")))
	}
	must(t, os.Chmod(f.Join("public"), 0o666))
	must(t, w.KeepPublic("public", []byte("derived")))
	info, err := os.Stat(f.Join("public"))
	must(t, err)
	if got, err := f.ReadPublic("public"); err != nil || string(got) != "derived" || info.Mode().Perm() != 0o644 {
		t.Errorf("%q with mode %v, %v", got, info.Mode(), err)
	}
}

func TestTheLockExcludesOtherWriters(t *testing.T) {
	f, _ := folder(t)
	w, err := f.Lock(t.Context())
	must(t, err)
	expired, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := f.Lock(expired); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("%v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Lock(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	must(t, w.WritePrivate("secret", nil))
	w.Close()
	lock(t, f)
}

// TestARefusedStartLeavesNoFolder: one to which nothing was written is removed again.
func TestARefusedStartLeavesNoFolder(t *testing.T) {
	base := t.TempDir()
	f := datadir.New(filepath.Join(base, "a", "b"), slog.New(slog.DiscardHandler))
	w, err := f.Lock(t.Context())
	must(t, err)
	w.Close()
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	w, err = f.Lock(t.Context())
	must(t, err)
	must(t, w.WritePrivate("secret", []byte("secret")))
	w.Close()
	if _, err := f.ReadPrivate("secret"); err != nil {
		t.Error(err)
	}
}

// TestUnfinishedFilesOfAKilledProcessAreRemoved by the next one that has the lock.
func TestUnfinishedFilesOfAKilledProcessAreRemoved(t *testing.T) {
	var log bytes.Buffer
	f := datadir.New(filepath.Join(t.TempDir(), "r[2]"), slog.New(slog.NewTextHandler(&log, nil))) // special characters in a pattern
	must(t, os.Mkdir(f.Path(), 0o700))
	must(t, os.WriteFile(f.Join("secret.new-abc"), []byte("half"), 0o600))
	must(t, os.WriteFile(f.Join("renewal"), []byte("whole"), 0o600))
	lock(t, f)
	if f.Has("secret.new-abc") || !f.Has("renewal") || !strings.Contains(log.String(), "removed an unfinished file") {
		t.Errorf("%v; %s", f.Names(), log.String())
	}
}

// TestAFolderMustBelongToTheServerAlone: a looser one is tightened and logged, one that
// all users share is refused, and Check says so without a change.
func TestAFolderMustBelongToTheServerAlone(t *testing.T) {
	var log bytes.Buffer
	path := t.TempDir()
	f := datadir.New(path, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, os.Chmod(path, 0o755))
	must(t, f.Check())
	lock(t, f)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 || !strings.Contains(log.String(), "from=0755") {
		t.Errorf("mode %v, %v; %s", info.Mode(), err, log.String())
	}
	must(t, os.Chmod(path, 0o777|os.ModeSticky))
	for _, err := range []error{f.Check(), second(f.Lock(t.Context()))} {
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "shared by all users") {
			t.Errorf("%v", err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a shared folder was changed to %v, %v", info.Mode(), err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := datadir.New(file, slog.New(slog.DiscardHandler)).Check(); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("%v", err)
	}
}

func second(_ *datadir.Writer, err error) error { return err }

// TestAFolderThatCannotBeWrittenIsReadOnly: it is read, and every change is refused.
func TestAFolderThatCannotBeWrittenIsReadOnly(t *testing.T) {
	f, _ := folder(t)
	w, err := f.Lock(t.Context())
	must(t, err)
	must(t, w.WritePrivate("secret", []byte("secret")))
	w.Close()
	must(t, os.Remove(f.Join("keys.lock")))
	must(t, os.Chmod(f.Path(), 0o500))
	asUnprivileged(t, f.Path(), f.Join("secret"))
	w = lock(t, f)
	if _, err := w.ReadPrivate("secret"); err != nil {
		t.Error(err)
	}
	if w.Writable() {
		t.Error("it says that it can be written")
	}
	must(t, w.KeepPublic("public", nil))
	for _, err := range []error{w.WritePrivate("secret", nil), w.WritePublic("public", nil)} {
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("%v", err)
		}
	}
}

// asUnprivileged runs the test without the rights of root, which ignores modes.
func asUnprivileged(t *testing.T, paths ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const unprivileged = 65534
	for path := filepath.Dir(paths[0]); len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		must(t, os.Chmod(path, 0o755))
	}
	for _, path := range paths {
		must(t, os.Chown(path, unprivileged, unprivileged))
	}
	must(t, syscall.Seteuid(unprivileged))
	t.Cleanup(func() { must(t, syscall.Seteuid(0)) })
}

// TestWhatRootWritesBelongsToTheOwnerOfTheFolder, who runs the server; and the owner gets
// no other file of root by a link.
func TestWhatRootWritesBelongsToTheOwnerOfTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	const server = 65532
	f, _ := folder(t)
	must(t, os.Mkdir(f.Path(), 0o700))
	must(t, os.Chown(f.Path(), server, server))
	w, err := f.Lock(t.Context())
	must(t, err)
	must(t, w.WritePrivate("secret", []byte("secret")))
	w.Close()
	for _, name := range f.Names() {
		info, err := os.Stat(f.Join(name))
		must(t, err)
		if has := info.Sys().(*syscall.Stat_t); has.Uid != server || has.Gid != server {
			t.Errorf("%s belongs to %d:%d", name, has.Uid, has.Gid)
		}
	}
	outside := filepath.Join(filepath.Dir(f.Path()), "shadow")
	must(t, os.WriteFile(outside, []byte("secret"), 0o600))
	must(t, os.Remove(f.Join("keys.lock")))
	must(t, os.Link(outside, f.Join("keys.lock")))
	if _, err := f.Lock(t.Context()); err == nil {
		t.Error("the lock is taken")
	}
	info, err := os.Stat(outside)
	must(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the linked file belongs to %d", uid)
	}
}
