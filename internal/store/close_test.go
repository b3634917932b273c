package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pico-auth/pico-auth/internal/store"
)

func TestACleanStopLeavesOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetRegistration(t.Context(), system("test"), true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Registration(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s still exists: a connection stayed open (%v)", suffix, err)
		}
	}
}
