package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

func TestAConnectionWaitsForLocksAsLongAsItsOpenerSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, pragmas := range map[int][]string{5000: nil, 0: {"busy_timeout(0)"}, 200: {"busy_timeout(200)"}} {
		db, err := engine.OpenFile(path, pragmas...)
		if err != nil {
			t.Fatal(err)
		}
		got := -1
		if err := db.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&got); err != nil || got != want {
			t.Errorf("%v: %d ms, %v, want %d", pragmas, got, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
