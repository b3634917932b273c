//go:build unix

package store_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func TestReplicasStartTogetherThroughAPooler(t *testing.T) {
	original, err := os.ReadFile("testdata/original-0.1.sql")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		script   string
		settings []string
	}{
		"empty":                   {"", []string{"pool_mode = transaction"}},
		"original":                {string(original), []string{"pool_mode = transaction"}},
		"version one":             {versionOne(t) + goosePostgres, []string{"pool_mode = transaction"}},
		"version one in sessions": {versionOne(t) + goosePostgres, nil}, // the default
	} {
		t.Run(name, func(t *testing.T) {
			url := storetest.EmptyPostgres(t)
			if c.script != "" {
				storetest.Exec(t, url, c.script)
			}
			startTogether(t, storetest.Pooler(t, url, c.settings...))
		})
	}
}

// startTogether opens the database of the URL in three replicas concurrently.
func startTogether(t *testing.T, url string) {
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			s, err := store.Open(t.Context(), store.Config{URL: url, Adopt: adopt.New(adopt.Config{})})
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Ping(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The lock is that of earlier releases, which a pooler may have kept on a session.
func TestAMigrationSaysThatItWaitsForAnother(t *testing.T) {
	url := storetest.EmptyPostgres(t)
	release := storetest.Hold(t, url, "BEGIN; SELECT pg_advisory_xact_lock(x'7069636f61757468'::bigint)")
	lines, log := io.Pipe()
	opened := make(chan error, 1)
	go func() {
		s, err := store.Open(t.Context(), store.Config{URL: url, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err == nil {
			err = s.Close()
		}
		opened <- errors.Join(err, log.Close())
	}()
	said := bufio.NewScanner(lines)
	if !said.Scan() || !strings.Contains(said.Text(), "waiting for the migration of the database by another process") {
		t.Errorf("the log says %q", said.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // else the start would wait for a reader
	release()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestAMigrationSaysThatThePoolerHasNoConnectionForIt(t *testing.T) {
	url := storetest.Pooler(t, storetest.EmptyPostgres(t), "pool_mode = transaction", "default_pool_size = 1")
	ctx, cancel := context.WithCancel(t.Context())
	lines, log := io.Pipe()
	opened := make(chan error, 1)
	go func() {
		_, err := store.Open(ctx, store.Config{URL: url, Log: slog.New(slog.NewTextHandler(log, nil))})
		_ = log.Close()
		opened <- err
	}()
	said := bufio.NewScanner(lines)
	for said.Scan() && !strings.Contains(said.Text(), "waiting for a second connection") { // the others do not matter
	}
	if said.Text() == "" {
		t.Error("the log does not say what the start waits for")
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	if err := <-opened; err == nil {
		t.Error("it was migrated over one connection")
	}
}

func TestAMigrationEndsWhenItsLockIsLost(t *testing.T) {
	url := storetest.Postgres(t)
	s := storetest.OpenURL(t, url)
	err := s.Exclusively(t.Context(), func(ctx context.Context) error {
		storetest.Exec(t, url, `SELECT pg_terminate_backend(pid) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return nil
		}
	})
	if err == nil || !strings.Contains(err.Error(), "ended the transaction that excludes other migrations") {
		t.Errorf("%v", err)
	}
	if err := s.Exclusively(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestWritesShareThePoolersSessions(t *testing.T) {
	storetest.EachPooler(t, func(t *testing.T, settings ...string) {
		url := storetest.Pooler(t, storetest.Postgres(t), settings...)
		first, second := storetest.OpenURL(t, url), storetest.OpenURL(t, url)
		var all sync.WaitGroup
		for i := range 16 {
			s := []*store.Store{first, second}[i%2]
			all.Go(func() {
				for j := range 20 {
					id := numbered("u", i*100+j)
					if err := s.CreateUser(t.Context(), system("seed"), identity.User{ID: id, EmailKey: id, Role: identity.Viewer}); err != nil {
						t.Error(err)
						return
					}
					if _, err := s.UserByID(t.Context(), id); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func TestNothingStaysOnThePoolersSessions(t *testing.T) {
	direct := storetest.Postgres(t)
	url := storetest.Pooler(t, direct, "pool_mode = transaction", "default_pool_size = 2")
	s := storetest.OpenURL(t, url)
	for i := range 8 {
		id := numbered("u", i)
		if err := s.CreateUser(t.Context(), system("seed"), identity.User{ID: id, EmailKey: id, Role: identity.Viewer}); err != nil {
			t.Fatal(err)
		}
	}
	// Both of the sessions, as another client gets them.
	another := url + "&default_query_exec_mode=exec"
	for range 2 {
		got := storetest.Rows(t, another, `SELECT (SELECT COUNT(*) FROM pg_prepared_statements),
			current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')`)
		if want := []string{"0", "0", "0", "0"}; !slices.Equal(got[0], want) {
			t.Errorf("%v, want %v", got, want)
		}
		defer storetest.Hold(t, another, "BEGIN; SELECT 1")() // takes the session
	}
	if locks := storetest.Rows(t, direct, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); locks[0][0] != "0" {
		t.Errorf("%s locks", locks[0][0])
	}
}

func TestThePoolersBoundsAreThoseOfTheURL(t *testing.T) {
	url := storetest.Pooler(t, storetest.Postgres(t), "pool_mode = transaction") + "&statement_timeout=1234"
	s := storetest.OpenURL(t, url)
	if err := s.Write(t.Context(), func(tx *store.Tx) error {
		var timeout string
		_, err := tx.Get([]any{&timeout}, "SELECT current_setting('statement_timeout')")
		if timeout != "1234ms" {
			t.Errorf("statement_timeout is %q", timeout)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestAParameterThatThePoolerDoesNotPassOnIsRefusedByName(t *testing.T) {
	direct := storetest.EmptyPostgres(t)
	storetest.Exec(t, direct, "CREATE SCHEMA auth")
	for name, c := range map[string]struct{ setting, want string }{
		"refused": {"pool_mode = transaction", "refuses the parameter search_path of database.url"},
		"ignored": {"ignore_startup_parameters = search_path,statement_timeout,lock_timeout,idle_in_transaction_session_timeout", "the connection pooler ignores search_path of database.url"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), store.Config{URL: storetest.Pooler(t, direct, c.setting) + "&search_path=auth", Wait: time.Hour})
			if err == nil || !strings.Contains(err.Error(), "the connection pooler") || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ALTER ROLE") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAPoolerWithoutTransactionsIsRefusedByName(t *testing.T) {
	for _, direct := range []string{storetest.EmptyPostgres(t), storetest.Postgres(t)} {
		url := storetest.Pooler(t, direct, "pool_mode = statement")
		_, err := store.Open(t.Context(), store.Config{URL: url, Wait: time.Hour})
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "the connection pooler at") || !strings.Contains(err.Error(), "has pool_mode = statement") {
			t.Errorf("start: %v", err)
		}
		if _, err := transfer.Check(t.Context(), store.Config{URL: url}); err == nil || !strings.Contains(err.Error(), "has pool_mode = statement") {
			t.Errorf("check: %v", err)
		}
	}
}

func TestAPoolerWithoutItsServerIsNamed(t *testing.T) {
	url := strings.Replace(storetest.Pooler(t, storetest.Postgres(t)), "/pico_test_", "/no_such_", 1)
	_, err := store.Open(t.Context(), store.Config{URL: url})
	if err == nil || !strings.Contains(err.Error(), "the connection pooler at") || !strings.Contains(err.Error(), "no_such_") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestAPoolerThatIsOnlyNamedInTheSettingsWorks(t *testing.T) {
	s := storetest.OpenURL(t, storetest.EmptyPostgres(t), func(cfg *store.Config) { cfg.Pooler = true })
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A direct connection keeps its prepared statements, and its limits without a
// statement of their own.
func TestDirectConnectionsAreNotTreatedAsPooled(t *testing.T) {
	url := storetest.Postgres(t)
	s := storetest.OpenURL(t, url)
	if err := s.Write(t.Context(), func(tx *store.Tx) error {
		var prepared int
		var timeout string
		for range 2 {
			if _, err := tx.Get([]any{&prepared, &timeout}, "SELECT COUNT(*), current_setting('statement_timeout') FROM pg_prepared_statements"); err != nil {
				return err
			}
		}
		if prepared == 0 || timeout != "10s" {
			t.Errorf("%d prepared statements, statement_timeout is %s", prepared, timeout)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// An address may lead to a pooler later, while the process runs.
func TestAPoolerThatIsPutBeforeTheServerLaterIsRecognized(t *testing.T) {
	direct := storetest.Postgres(t)
	front := newSwitchboard(t, direct)
	s := storetest.OpenURL(t, as(t, direct, "", "host", front.dir, "port", "5432"))
	users := func(prefix string) {
		var all sync.WaitGroup
		for i := range 8 {
			id := numbered(prefix, i)
			all.Go(func() {
				if err := s.CreateUser(t.Context(), system("seed"), identity.User{ID: id, EmailKey: id, Role: identity.Viewer}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	users("before")
	front.lead(t, storetest.Pooler(t, direct, "pool_mode = transaction"))
	users("after")
	users("later")
}
