package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
	"github.com/pico-auth/pico-auth/internal/store"
)

// shared is the one server of a test process. It is a variable of the package
// since TestMain and tests have no other way to share one.
var shared server

// server makes databases from a template that was migrated once.
type server struct {
	once  sync.Once
	err   error
	admin *sql.DB
	base  *url.URL // of the server; the path is replaced
	stop  func()   // nil: not ours to stop

	template string
	last     atomic.Int64
}

// Main runs the tests of a package and stops the PostgreSQL server that they
// started.
func Main(m *testing.M) {
	code := m.Run()
	shared.close()
	os.Exit(code)
}

// Postgres returns the URL of a fresh, migrated PostgreSQL database, which is
// dropped when the test ends. Without PostgreSQL the test is skipped, or fails
// with REQUIRE_POSTGRES=1.
func Postgres(t testing.TB) string {
	t.Helper()
	shared.ensure(t)
	return shared.create(t, "TEMPLATE "+shared.template)
}

// EmptyPostgres returns the URL of a PostgreSQL database without any table.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	shared.ensure(t)
	return shared.create(t, "")
}

func (s *server) ensure(t testing.TB) {
	t.Helper()
	s.once.Do(func() { s.err = s.start() })
	switch {
	case s.err == nil:
	case errors.Is(s.err, postgrestest.ErrMissing) && os.Getenv("REQUIRE_POSTGRES") != "1":
		t.Skipf("SKIPPED, NOTHING WAS TESTED ON POSTGRESQL: %v", s.err)
	default:
		t.Fatalf("PostgreSQL for tests: %v", s.err)
	}
}

// quick is a server that loses what the machine loses. With commits "on" what
// was committed survives the server's immediate stop.
func quick(commits string) []string {
	return []string{"fsync=off", "synchronous_commit=" + commits, "full_page_writes=off", "max_connections=300", "shared_buffers=64MB"}
}

// start connects to the server, starting one where none is given, and makes
// the template.
func (s *server) start() error {
	given := os.Getenv("TEST_DATABASE_URL")
	if given == "" {
		started, stop, err := postgrestest.Start("", quick("off")...)
		if err != nil {
			return err
		}
		given, s.stop = started, stop
	}
	base, err := url.Parse(given)
	if err != nil {
		return errors.New("TEST_DATABASE_URL is not a URL")
	}
	cfg, err := pgx.ParseConfig(given)
	if err != nil {
		return errors.New("TEST_DATABASE_URL is not a PostgreSQL URL")
	}
	s.base, s.admin = base, stdlib.OpenDB(*cfg)
	s.template = fmt.Sprintf("pico_test_%d_template", os.Getpid())
	ctx := context.Background()
	if _, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+s.template); err != nil {
		return fmt.Errorf("create the template database: %w", err)
	}
	migrated, err := store.Open(ctx, store.Config{URL: s.url(s.template)})
	if err != nil {
		return fmt.Errorf("migrate the template database: %w", err)
	}
	return migrated.Close()
}

func (s *server) url(database string) string {
	u := *s.base
	u.Path = "/" + database
	return u.String()
}

func (s *server) create(t testing.TB, options string) string {
	t.Helper()
	name := fmt.Sprintf("pico_test_%d_%d", os.Getpid(), s.last.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), strings.TrimSpace("CREATE DATABASE "+name+" "+options)); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		if _, err := s.admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return s.url(name)
}

func (s *server) close() {
	if s.admin != nil {
		if s.err == nil {
			_, _ = s.admin.ExecContext(context.Background(), "DROP DATABASE "+s.template) // a server of ours goes whole
		}
		_ = s.admin.Close()
	}
	if s.stop != nil {
		s.stop()
	}
}
