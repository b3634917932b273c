// Package storetest opens real databases for tests: SQLite in a temporary
// folder, and PostgreSQL from TEST_DATABASE_URL or from the binaries of the
// machine. Tests of every package above the store use it instead of a fake.
//
// A package whose tests use PostgreSQL has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// so that the server started for them is stopped when they end.
package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
)

// Option changes the configuration of the store to open.
type Option func(*store.Config)

// WithClock makes the store use the clock.
func WithClock(c *Clock) Option { return func(cfg *store.Config) { cfg.Now = c.Now } }

// Open returns a new SQLite store that is closed when the test ends.
func Open(t testing.TB, opts ...Option) *store.Store {
	t.Helper()
	return OpenURL(t, MigratedSQLite(t), opts...)
}

// MigratedSQLite returns the URL of a SQLite file that was migrated, a copy of
// one that the process migrates once.
func MigratedSQLite(t testing.TB) string {
	t.Helper()
	content, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrate the template file: %v", err)
	}
	url := SQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(url, "sqlite:///"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return url
}

var sqliteTemplate = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "storetest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "auth.db")
	s, err := store.Open(context.Background(), store.Config{URL: "sqlite:///" + filepath.ToSlash(path)})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // which merges the log into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// SQLite returns the URL of a SQLite file that does not exist yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:///" + filepath.ToSlash(filepath.Join(t.TempDir(), "auth.db"))
}

// OpenURL returns the store of the URL, which is closed when the test ends. It
// adopts a database of the original.
func OpenURL(t testing.TB, url string, opts ...Option) *store.Store {
	t.Helper()
	cfg := store.Config{URL: url, Adopt: adopt.New(adopt.Config{})}
	for _, opt := range opts {
		opt(&cfg)
	}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// Each runs test on a new database of each engine. Without PostgreSQL that half is
// skipped, or fails with REQUIRE_POSTGRES=1.
func Each(t *testing.T, test func(t *testing.T, s *store.Store), opts ...Option) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, OpenURL(t, url, opts...)) })
}

// EachURL runs test with the URL of a new database of each engine.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, MigratedSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Clock is a clock that a test sets. It may be used from any goroutine.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows a fixed time.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock and returns its new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}
