package engine

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

const (
	// busyTimeout is how many milliseconds SQLite waits for the lock of another
	// process.
	busyTimeout = "busy_timeout(5000)"

	connectTimeout = 5 * time.Second

	// Connections to PostgreSQL are replaced regularly, so that a server added
	// behind a load balancer gets its share.
	connectionLife = time.Hour
	connectionIdle = 5 * time.Minute
	// A pooler in session mode gives no other client the server's side of an idle
	// connection.
	pooledIdle = 30 * time.Second
)

// OpenFile returns a pool on a SQLite file, connecting at first use. The pragmas,
// such as "query_only(1)", apply to each connection. The file must exist: a
// connection opened after it was removed must not create an empty one.
func OpenFile(path string, pragmas ...string) (*sql.DB, error) {
	pragmas = append([]string{"foreign_keys(1)"}, pragmas...)
	// The driver gives no promise about the order of two of the same name.
	if !slices.ContainsFunc(pragmas, func(pragma string) bool { return strings.HasPrefix(pragma, "busy_timeout(") }) {
		pragmas = append(pragmas, busyTimeout)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": pragmas}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter on Windows
	}
	u := url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// OpenServer returns a pool on the PostgreSQL server, connecting at first use.
func (t Target) OpenServer() *sql.DB {
	var db *sql.DB
	db = sql.OpenDB(t.newConnector(t.Server, func() {
		db.SetMaxOpenConns(t.pooled)
		db.SetConnMaxIdleTime(pooledIdle)
	}))
	db.SetMaxOpenConns(t.pool)
	db.SetMaxIdleConns(t.pool) // opening a connection costs far more than keeping it
	db.SetConnMaxLifetime(connectionLife)
	db.SetConnMaxIdleTime(connectionIdle)
	return db
}

// OpenUnbounded is OpenServer without statement timeouts: a migration of a large
// table may take long.
func (t Target) OpenUnbounded() *sql.DB {
	return sql.OpenDB(t.newConnector(unbounded(t.Server), func() {}))
}
