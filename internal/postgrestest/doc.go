// Package postgrestest starts a PostgreSQL server of the machine's own binaries
// for tests and for the bench, and leaves nothing behind however they end.
//
// It owns the server's processes and folder. It does not own any database in it:
// storetest, which calls it for one package as testrun does for many, and
// bench/site make their own. Where there are no Unix sockets and users it finds
// no server.
package postgrestest

import "errors"

// SharedServer is the variable of the environment in which a run of many test
// packages names the server that it started for all of them.
const SharedServer = "TEST_SHARED_POSTGRES"

// Quick are the settings of a server that loses what the machine loses. With
// commits "on" what was committed survives the server's immediate stop.
func Quick(commits string) []string {
	return []string{"fsync=off", "synchronous_commit=" + commits, "full_page_writes=off", "max_connections=300", "shared_buffers=64MB"}
}

// ErrMissing says that the machine has no PostgreSQL to start.
var ErrMissing = errors.New("no PostgreSQL: set TEST_DATABASE_URL, or install the package postgresql")
