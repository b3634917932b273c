package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
	"github.com/pico-auth/pico-auth/internal/fault"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func fileURL(path string) string { return "sqlite:///" + filepath.ToSlash(path) }

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestDatabaseFileIsItsOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := storetest.OpenURL(t, fileURL(path))
	if s.Engine() != "sqlite" || s.Path() != path {
		t.Errorf("engine %q, path %q", s.Engine(), s.Path())
	}
	if err := s.InsertEvent(t.Context(), store.Event{Action: "x", Outcome: store.OutcomeSuccess}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		if got := mode(t, name); got != 0o600 {
			t.Errorf("%s has mode %o", name, got)
		}
	}
}

func TestLooserFileIsTightenedAndLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := storetest.OpenURL(t, fileURL(path)).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	storetest.OpenURL(t, fileURL(path), func(c *store.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %o", got)
	}
	if !strings.Contains(log.String(), "was=0644") || !strings.Contains(log.String(), path) {
		t.Errorf("log: %s", log.String())
	}
}

func TestUnsoundFilesAreRefusedWithAMessage(t *testing.T) {
	sqlite := func(path, statement string) error {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			return err
		}
		if _, err := db.Exec(statement); err != nil {
			return err
		}
		return db.Close()
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"symbolic link": {func(path string) error { return os.Symlink(path+".real", path) }, "is a symbolic link"},
		"folder":        {func(path string) error { return os.Mkdir(path, 0o700) }, "is a folder"},
		"text":          {func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("hello ", 1000)), 0o600) }, "is not a SQLite database"},
		"foreign":       {func(path string) error { return sqlite(path, "CREATE TABLE invoices (id TEXT)") }, "invoices"},
		"half foreign":  {func(path string) error { return sqlite(path, "CREATE TABLE users (id TEXT, name TEXT)") }, "users"},
		"newer": {func(path string) error {
			s, err := store.Open(context.Background(), store.Config{URL: fileURL(path)})
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			return sqlite(path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		}, "newer version"},
		"a link for a lock": {func(path string) error { return os.Symlink(path+".elsewhere", path+".lock") }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auth.db")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path) // a folder has no content
			s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if kind := fault.KindOf(err); kind != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("kind %d: %v, want %q", kind, err, c.want)
			}
			if after, _ := os.ReadFile(path); len(before) > 0 && !bytes.Equal(before, after) && name != "newer" {
				t.Error("the refused file was changed")
			}
		})
	}
	_, err := store.Open(t.Context(), store.Config{URL: fileURL(filepath.Join(t.TempDir(), "no", "such", "folder", "auth.db"))})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "folder does not exist") {
		t.Errorf("missing folder: %v", err)
	}
}

func TestAFileThatCannotBeWrittenIsRefusedAtOnce(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("no file is read-only to root")
	}
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := storetest.OpenURL(t, fileURL(path)).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if err == nil {
		_ = s.Close()
	}
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "cannot be opened for writing") {
		t.Errorf("error is %v", err)
	}
}

func TestALockOfAnotherProcessIsNoReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := storetest.OpenURL(t, fileURL(path)).Close(); err != nil {
		t.Fatal(err)
	}
	defer storetest.Hold(t, fileURL(path), "BEGIN IMMEDIATE")()
	storetest.OpenURL(t, fileURL(path))
}

func TestDamagedHeaderIsRefusedAndTheFileUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := storetest.OpenURL(t, fileURL(path)).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content[100:8192] {
		content[100+i] = 0xAA
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Config{URL: fileURL(path)})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestManyProcessesMayOpenAnEmptyDatabaseConcurrently(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), store.Config{URL: url})
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Errorf("ping: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestStoredRowsExistAfterARestart(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		for i := range 3 {
			s, err := store.Open(t.Context(), store.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			created, err := s.InsertFirstAdmin(t.Context(), identity.User{ID: "root", EmailKey: "root"})
			if err != nil || created != (i == 0) {
				t.Errorf("start %d: created %v, %v", i, created, err)
			}
			if s.Adopted() != nil {
				t.Error("something was adopted")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAStartWithACurrentSchemaWaitsForNoMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	cfg := store.Config{URL: fileURL(path)}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	migrating := flock.New(path + ".lock")
	if err := migrating.Lock(); err != nil {
		t.Fatal(err)
	}
	defer migrating.Unlock() //nolint:errcheck // the test has ended
	if s, err = store.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEchoLogsStatementsAndNoParameters(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var log bytes.Buffer
		s := storetest.OpenURL(t, url, func(c *store.Config) {
			c.Echo, c.Log = true, slog.New(slog.NewTextHandler(&log, nil))
		})
		act := store.Act{Action: "seed", By: identity.Actor{Kind: identity.ActorSystem}}
		err := s.CreateUser(t.Context(), act, identity.User{ID: "u", EmailKey: "k", PasswordHash: "s3cret-hash", Role: identity.Viewer})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.UserByID(t.Context(), "s3cret-id"); err == nil {
			t.Fatal("found")
		}
		if text := log.String(); !strings.Contains(text, "INSERT INTO users") || !strings.Contains(text, "SELECT u.id") || strings.Contains(text, "s3cret") {
			t.Errorf("log: %s", text)
		}
	})
}

// withoutTLS is the address of a server that refuses TLS as PostgreSQL does.
func withoutTLS(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 8)
			_, _ = io.ReadFull(conn, request)
			_, _ = conn.Write([]byte("N"))
			_ = conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestPostgresFaultsAtStartHaveAMessage(t *testing.T) {
	url := storetest.Postgres(t)
	for name, c := range map[string]struct{ url, want string }{
		"no server":   {"postgres://u:s3cret@127.0.0.1:1/pico?sslmode=disable", "does not answer"},
		"no host":     {"postgres://u:s3cret@no-such-host.invalid/pico", "does not answer"},
		"parameter":   {as(t, url, "", "nosuch", "1"), `refuses a parameter of database.url: unrecognized configuration parameter "nosuch"`},
		"no TLS":      {"postgres://u:s3cret@" + withoutTLS(t) + "/pico?sslmode=require", "does not speak TLS"},
		"no database": {strings.Replace(url, "/pico_test_", "/no_such_", 1), "no database of the name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), store.Config{URL: c.url})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q on one line", err, c.want)
			}
		})
	}
}
