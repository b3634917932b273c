package engine_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// A process that reads a copy may be killed at any time.
func TestACopyThatIsReadHasNoName(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed")
	}
	dir, temporary := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	live := filepath.Join(dir, "live.db")
	db, err := engine.OpenFile(live, "journal_mode(WAL)")
	if err == nil {
		err = os.WriteFile(live, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE users (hash TEXT); INSERT INTO users VALUES ('secret'), ('other')"); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(dir, "crashed.db") // with its log, and without the index
	for _, suffix := range []string{"", "-wal"} {
		if err := engine.CopyFile(crashed+suffix, live+suffix); err != nil {
			t.Fatal(err)
		}
	}
	read, closeDB, err := engine.OpenUnchanged(crashed)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("a process that is killed now leaves %v, %v", left, err)
	}
	for range 2 {
		var n int
		if err := read.QueryRow("SELECT COUNT(*) FROM users").Scan(&n); err != nil || n != 2 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
	if err := engine.Snapshot(t.Context(), read, filepath.Join(dir, "backup.db"), func() bool { return true }); err != nil {
		t.Errorf("a backup: %v", err)
	}
	if err := closeDB(); err != nil {
		t.Error(err)
	}
}
