//go:build unix

package storetest

import (
	"errors"
	"os"
	"testing"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

// Pooler starts PgBouncer before the server of the PostgreSQL URL, with the defaults
// of Debian's package and the settings, and returns the URL of the same database
// through it. It is stopped when the test ends. Without PgBouncer the test is
// skipped, or fails with REQUIRE_POSTGRES=1.
func Pooler(t testing.TB, url string, settings ...string) string {
	t.Helper()
	pooled, stop, err := postgrestest.StartPooler(url, settings...)
	switch {
	case errors.Is(err, postgrestest.ErrNoPooler) && os.Getenv("REQUIRE_POSTGRES") != "1":
		t.Skipf("SKIPPED, NOTHING WAS TESTED THROUGH A POOLER: %v", err)
	case err != nil:
		t.Fatalf("PgBouncer for tests: %v", err)
	}
	t.Cleanup(stop)
	return pooled
}

// EachPooler runs test for each way in which PgBouncer may share sessions.
func EachPooler(t *testing.T, test func(t *testing.T, settings ...string)) {
	t.Helper()
	for name, settings := range map[string][]string{
		"session":     nil, // the default
		"transaction": {"pool_mode = transaction"},
		"ignoring":    {"pool_mode = transaction", "ignore_startup_parameters = statement_timeout,lock_timeout,idle_in_transaction_session_timeout"},
	} {
		t.Run(name, func(t *testing.T) { test(t, settings...) })
	}
}
