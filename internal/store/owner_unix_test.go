//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store"
)

// TestADatabaseThatRootMakesBelongsToTheOwnerOfItsFolder: the server of that account
// has to open what `migrate` as root has made.
func TestADatabaseThatRootMakesBelongsToTheOwnerOfItsFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	const account = 65532
	dir := t.TempDir()
	if err := os.Chown(dir, account, account); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{URL: fileURL(filepath.Join(dir, "auth.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing was written
	made, err := os.ReadDir(dir)
	if err != nil || len(made) != 4 {
		t.Errorf("the database, its log, the index of that and its lock: %v %v", made, err)
	}
	for _, file := range made {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if has := info.Sys().(*syscall.Stat_t); has.Uid != account || has.Gid != account {
			t.Errorf("%s belongs to %d:%d", file.Name(), has.Uid, has.Gid)
		}
	}
}

// TestRootChangesNoOwnerThroughALockFile: the owner of the folder could get any file
// of root's by a link.
func TestRootChangesNoOwnerThroughALockFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
	if err := os.Chown(dir, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(outside, filepath.Join(dir, "auth.db.lock")); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Config{URL: fileURL(filepath.Join(dir, "auth.db"))})
	if err == nil || !strings.Contains(err.Error(), "hard link") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(outside); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the owner was changed: %v", err)
	}
}
