// Package postgrestest starts a PostgreSQL server of the machine's own binaries
// for tests and for the bench, and leaves nothing behind however they end.
//
// It owns the server's processes and folder. It does not own any database in it:
// storetest, which calls it for the tests, and bench/site make their own. Where
// there are no Unix sockets and users it finds no server.
package postgrestest

import "errors"

// ErrMissing says that the machine has no PostgreSQL to start.
var ErrMissing = errors.New("no PostgreSQL: set TEST_DATABASE_URL, or install the package postgresql")
