//go:build unix

package owner_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/owner"
)

func TestNewFoldersBelongToTheOwnerOfTheirParent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	base := t.TempDir()
	if err := os.Chown(base, 65532, 65531); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(base, "a", "b")
	made, err := owner.MakeFolder(path, 0o700)
	if err != nil || len(made) != 2 {
		t.Fatalf("%v %v", made, err)
	}
	for _, folder := range made {
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		if has := info.Sys().(*syscall.Stat_t); has.Uid != 65532 || has.Gid != 65531 || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %d:%d %v", folder, has.Uid, has.Gid, info.Mode())
		}
	}
	if again, err := owner.MakeFolder(path, 0o700); err != nil || again != nil {
		t.Errorf("an existing folder: %v %v", again, err)
	}
	owner.Remove(made)
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestFoldersWithContentAreNotRemoved(t *testing.T) {
	base := t.TempDir()
	made, err := owner.MakeFolder(filepath.Join(base, "a", "b"), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "a", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	owner.Remove(made)
	if _, err := os.Stat(filepath.Join(base, "a", "file")); err != nil {
		t.Error(err)
	}
}

func TestDeniedNamesOwnerAndModeOfWhatStandsInTheWay(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(folder, 0o710); err != nil {
		t.Fatal(err)
	}
	text := owner.Denied(filepath.Join(folder, "no", "such", "file"), &fs.PathError{Op: "open", Err: fs.ErrPermission})
	for _, want := range []string{folder + " belongs to ", "mode 0710", "this process runs as "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if text := owner.Denied(folder, fs.ErrNotExist); text != "" {
		t.Errorf("another error: %q", text)
	}
}

func TestWhatMayNotBeWrittenIsKnownBefore(t *testing.T) {
	base := t.TempDir()
	if err := owner.MayCreate(filepath.Join(base, "a", "b")); err != nil {
		t.Errorf("in an own folder: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	if err := os.Chmod(base, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{owner.MayWrite(base), owner.MayCreate(filepath.Join(base, "a", "b"))} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("in a folder that cannot be written: %v", err)
		}
	}
}
