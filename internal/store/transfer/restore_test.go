package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func sqliteURL(path string) string { return "sqlite:///" + filepath.ToSlash(path) }

func TestABackupIsRestoredAndTheOldDatabaseKept(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "auth.db"), filepath.Join(dir, "backup.db")
	cfg := store.Config{URL: sqliteURL(path)}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	setRegistration(t, s, true)
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, backup); err != nil {
		t.Fatal(err)
	}
	setRegistration(t, s, false)
	var f *fault.Error
	if _, err := transfer.Restore(t.Context(), cfg, backup); !errors.As(err, &f) || f.Code != "database_in_use" {
		t.Fatalf("restoring over a database in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := transfer.Restore(t.Context(), cfg, backup)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{path: true, kept: false} {
		got, _, err := storetest.OpenURL(t, sqliteURL(file)).Registration(t.Context())
		if err != nil || got != want {
			t.Errorf("%s holds %t, %v, want %t", file, got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("restored with mode %v, %v", info.Mode(), err)
	}
}

func setRegistration(t *testing.T, s *store.Store, enabled bool) {
	t.Helper()
	if err := s.SetRegistration(t.Context(), store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}, enabled); err != nil {
		t.Fatal(err)
	}
}

func TestRestoreIntoAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t)
	backup := filepath.Join(dir, "backup.db")
	if err := transfer.Backup(t.Context(), store.Config{URL: sqliteURL(s.Path())}, backup); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "auth.db")
	kept, err := transfer.Restore(t.Context(), store.Config{URL: sqliteURL(path)}, backup)
	if err != nil || kept != "" {
		t.Fatalf("kept %q, %v", kept, err)
	}
	storetest.OpenURL(t, sqliteURL(path))
}

func TestABackupOfThePythonServerIsRestoredAndAdopted(t *testing.T) {
	original, err := os.ReadFile("../testdata/original-0.1.sql")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	backup, path := filepath.Join(dir, "backup.db"), filepath.Join(dir, "auth.db")
	storetest.Exec(t, sqliteURL(backup), string(original))
	if _, err := transfer.Restore(t.Context(), store.Config{URL: sqliteURL(path)}, backup); err != nil {
		t.Fatal(err)
	}
	if storetest.OpenURL(t, sqliteURL(path)).Adopted() == nil {
		t.Error("the start on it adopted nothing")
	}
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	made := func(name, script string) string {
		path := filepath.Join(dir, name)
		storetest.Exec(t, sqliteURL(path), script)
		return path
	}
	live := filepath.Join(dir, "live.db")
	s, err := store.Open(t.Context(), store.Config{URL: sqliteURL(live)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	setRegistration(t, s, true)
	for name, file := range map[string]string{
		"absent": filepath.Join(dir, "absent"), "empty": write("empty", ""), "garbage": write("garbage", strings.Repeat("no database ", 500)),
		"a live database": live, "no tables": made("nothing", "CREATE TABLE x (y); DROP TABLE x"),
		"tables of another program": made("foreign", "CREATE TABLE invoices (id TEXT)"),
	} {
		to := filepath.Join(dir, "auth.db")
		if _, err := transfer.Restore(t.Context(), store.Config{URL: sqliteURL(to)}, file); err == nil {
			t.Errorf("%s was restored", name)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s: a refused restore left a database", name)
		}
	}
	if _, err := transfer.Restore(t.Context(), store.Config{URL: "postgres://h/d"}, "x"); err == nil {
		t.Error("PostgreSQL was restored")
	}
}
