// Package postgrestest starts an installed PostgreSQL server for tests and the
// bench, and removes it even if they crash.
//
// It owns the server's processes and folder. It does not own the databases in it:
// storetest and bench/site create their own. storetest calls it for one package,
// testrun for many. Without Unix sockets and users it starts no server.
package postgrestest

import "errors"

// SharedServer is the environment variable with the URL of the server that testrun
// has started for all test packages.
const SharedServer = "TEST_SHARED_POSTGRES"

// Quick are the settings of a server that may lose data in a power cut. With commits
// "on" committed data survives an immediate stop of the server.
func Quick(commits string) []string {
	return []string{"fsync=off", "synchronous_commit=" + commits, "full_page_writes=off", "max_connections=300", "shared_buffers=64MB"}
}

// ErrMissing means that PostgreSQL is not installed.
var ErrMissing = errors.New("no PostgreSQL: set TEST_DATABASE_URL, or install the package postgresql")

// ErrNoPooler means that PgBouncer is not installed.
var ErrNoPooler = errors.New("no PgBouncer: install the package pgbouncer")
