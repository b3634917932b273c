package store

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

const (
	// busyTimeout is how many milliseconds SQLite waits for the lock of another
	// process.
	busyTimeout = "busy_timeout(5000)"

	connectTimeout = 5 * time.Second
	// poolTimeout bounds the wait for a connection to PostgreSQL: while all of
	// them hang in a network that is cut, the next caller is told so early.
	poolTimeout = 6 * time.Second
	// patience bounds a read, and an act with all its attempts, on PostgreSQL,
	// whatever the network does. It is longer than statement_timeout, so that a
	// server that can still speak does.
	patience = 12 * time.Second

	// Connections to PostgreSQL are renewed now and then, so that a server
	// added behind a load balancer gets its share.
	connectionLife = time.Hour
	connectionIdle = 5 * time.Minute
)

// openSQLite returns a pool on the file, connecting at first use. The pragmas,
// such as "query_only(1)", hold on each connection. The file must be there: a
// connection opened after somebody removed it must not put an empty one in its
// place.
func openSQLite(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_pragma": append([]string{busyTimeout, "foreign_keys(1)"}, pragmas...)}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter on Windows
	}
	u := url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// openPostgres returns a pool on the server, connecting at first use.
func openPostgres(cfg *pgx.ConnConfig) *sql.DB {
	return stdlib.OpenDB(*cfg)
}
