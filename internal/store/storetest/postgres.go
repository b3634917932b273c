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
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
	"github.com/pico-auth/pico-auth/internal/store"
)

// shared is the one server of a test process. It is a package variable since
// TestMain and tests have no other way to share one.
var shared server

// server makes databases from a template that was migrated once, and reuses them
// when a test changed nothing but rows.
type server struct {
	once  sync.Once
	err   error
	admin *sql.DB
	base  *url.URL // of the server; the path is replaced
	stop  func()   // nil: started by another process
	keep  bool     // it outlives the tests, which remove their databases

	template string
	fresh    pristine // content of the template
	last     atomic.Int64

	mu    sync.Mutex
	idle  []string             // databases like the template
	conns map[string]*pgx.Conn // that recycled them: a new one reads the catalogs again, which costs more than the rest
}

// Main runs the tests of a package and stops the PostgreSQL server that they
// started.
func Main(m *testing.M) {
	code := m.Run()
	shared.close()
	os.Exit(code)
}

// Postgres returns the URL of a migrated PostgreSQL database without users,
// which is the test's own until it ends. Without PostgreSQL the test is skipped,
// or fails with REQUIRE_POSTGRES=1.
func Postgres(t testing.TB) string {
	t.Helper()
	shared.ensure(t)
	name := shared.reuse()
	if name == "" {
		name = shared.create(t, "TEMPLATE "+shared.template)
	}
	t.Cleanup(func() {
		if t.Failed() || !shared.recycle(name) {
			shared.drop(t, name)
		}
	})
	return shared.url(name)
}

// EmptyPostgres returns the URL of a PostgreSQL database without any table,
// which is dropped when the test ends.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return EmptyPostgresWith(t, "")
}

// EmptyPostgresWith is EmptyPostgres with options of CREATE DATABASE.
func EmptyPostgresWith(t testing.TB, options string) string {
	t.Helper()
	shared.ensure(t)
	name := shared.create(t, options)
	t.Cleanup(func() { shared.drop(t, name) })
	return shared.url(name)
}

// Role returns the name, which is the password, too, of a new role that may log in to
// the database of the URL and has no rights there. It is dropped when the test ends.
func Role(t testing.TB, database string) (name string) {
	t.Helper()
	name = fmt.Sprintf("pico_test_%d_role_%d", os.Getpid(), shared.last.Add(1))
	Exec(t, database, "CREATE ROLE "+name+" LOGIN PASSWORD '"+name+"'")
	t.Cleanup(func() {
		db := openRaw(t, database)
		_, err := db.ExecContext(context.Background(), "DROP OWNED BY "+name+" CASCADE; DROP ROLE "+name)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Errorf("drop the role: %v", err)
		}
	})
	return name
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

// start connects to the server, starting one if none is given, and makes
// the template.
func (s *server) start() error {
	given := os.Getenv("TEST_DATABASE_URL")
	s.keep = given != ""
	if given == "" {
		// Not os.Getenv: go test would repeat a package whose result is cached,
		// because another server has another name.
		given, _ = syscall.Getenv(postgrestest.SharedServer)
	}
	if given == "" {
		started, stop, err := postgrestest.Start("", postgrestest.Quick("off")...)
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
	if err := migrated.Close(); err != nil {
		return err
	}
	s.fresh, err = s.inspect(ctx, s.template)
	return err
}

func (s *server) url(database string) string {
	u := *s.base
	u.Path = "/" + database
	return u.String()
}

func (s *server) create(t testing.TB, options string) (name string) {
	t.Helper()
	name = fmt.Sprintf("pico_test_%d_%d", os.Getpid(), s.last.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), strings.TrimSpace("CREATE DATABASE "+name+" "+options)); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	return name
}

func (s *server) drop(t testing.TB, name string) {
	t.Helper()
	if _, err := s.admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		t.Errorf("drop the test database: %v", err)
	}
}

func (s *server) close() {
	for _, conn := range s.conns {
		_ = conn.Close(context.Background())
	}
	if s.admin != nil {
		if s.err == nil && s.keep {
			for _, name := range append(s.idle, s.template) {
				_, _ = s.admin.ExecContext(context.Background(), "DROP DATABASE "+name)
			}
		}
		_ = s.admin.Close()
	}
	if s.stop != nil {
		s.stop()
	}
}
