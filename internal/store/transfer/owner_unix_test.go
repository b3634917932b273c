//go:build unix

package transfer_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func TestARestoredDatabaseStaysWithItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can restore for another owner")
	}
	const owner = 65532
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(storetest.Open(t).Path())}, backup); err != nil {
		t.Fatal(err)
	}
	for _, there := range []string{"folder", "database"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "auth.db")
		if there == "database" {
			s, err := store.Open(t.Context(), store.Config{URL: sqliteURL(path)})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, owner, owner); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		if _, err := transfer.Restore(t.Context(), store.Config{URL: sqliteURL(path)}, backup); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != owner {
			t.Errorf("with the owner taken from the %s, the database belongs to %d", there, uid)
		}
	}
}
