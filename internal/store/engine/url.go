package engine

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// The engines by name.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Target is a parsed database URL.
type Target struct {
	Engine string          // SQLite or Postgres
	Path   string          // SQLite: absolute path of the file
	Server *pgx.ConnConfig // PostgreSQL: how to connect
	pool   int             // PostgreSQL: maximum connections
	pooled int             // PostgreSQL: the same through a connection pooler
	pooler *atomic.Bool    // PostgreSQL: a connection pooler was found
}

// Pooled reports whether the connections go through a connection pooler such as
// PgBouncer. It is known after the first connection.
func (t Target) Pooled() bool { return t.pooler != nil && t.pooler.Load() }

// AssumePooler makes all connections those through a connection pooler, as if it had
// been found.
func (t Target) AssumePooler() {
	if t.pooler != nil {
		t.pooler.Store(true)
	}
}

// File is the target of a SQLite file.
func File(path string) Target { return Target{Engine: SQLite, Path: path} }

// defaultPool keeps a database server of eight cores busy. Ten replicas need
// ?pool_max_conns=9 to stay within PostgreSQL's default of 100 connections.
const defaultPool = 16

// defaultPooled lets three replicas share the 20 connections that PgBouncer opens to
// the server: in session mode each of ours takes one.
const defaultPooled = 6

// Parse parses the forms of database.url, including those of SQLAlchemy. Its errors
// contain no part of the URL except the scheme and the names of parameters, since
// the URL may contain a password.
func Parse(raw string) (Target, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return Target{}, badURL("is not a URL such as sqlite:///auth.db or postgresql://user:password@host/name")
	}
	dialect, _, _ := strings.Cut(strings.ToLower(scheme), "+") // the part after + names a Python driver
	switch dialect {
	case "sqlite":
		return parseSQLite(rest)
	case "postgres", "postgresql":
		return parsePostgres(rest)
	default:
		return Target{}, badURL("names a database that is neither sqlite nor postgresql")
	}
}

func badURL(sentence string) error {
	return fault.New(fault.Invalid, "database_url", "database.url "+sentence)
}

// sqliteIgnored are parameters of Python's driver that have no meaning here.
var sqliteIgnored = []string{"timeout", "check_same_thread", "isolation_level", "cached_statements", "detect_types"}

// parseSQLite parses what follows sqlite://. As in SQLAlchemy the path begins
// after the third slash and is not percent-decoded.
func parseSQLite(rest string) (Target, error) {
	name, query, _ := strings.Cut(rest, "?")
	host, path, found := strings.Cut(name, "/")
	switch {
	case host != "":
		return Target{}, badURL("needs three slashes before a relative path (sqlite:///auth.db) and four before an absolute one")
	case !found, path == "", path == ":memory:", strings.HasPrefix(path, "file:"):
		return Target{}, badURL("must name a file: a database in memory would forget every user at the next start")
	case strings.ContainsAny(path, "\x00\r\n"):
		return Target{}, badURL("has a control character in its path")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return Target{}, badURL("has malformed parameters")
	}
	for name := range params {
		if !slices.Contains(sqliteIgnored, name) {
			return Target{}, badURL("has a parameter that is not supported for SQLite; remove everything after the question mark")
		}
	}
	abs, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return Target{}, fault.Wrap(fault.Invalid, "database_url", "the working folder cannot be read", err)
	}
	return File(abs), nil
}

// postgresIgnored are parameters of Python's drivers that have no meaning here.
var postgresIgnored = []string{
	"prepared_statement_cache_size", "prepared_statement_name_func", "statement_cache_size", "command_timeout", "timeout",
}

// sslModes maps the values of asyncpg's ssl= to libpq's sslmode=.
var sslModes = map[string]string{
	"disable": "disable", "allow": "allow", "prefer": "prefer", "require": "require",
	"verify-ca": "verify-ca", "verify-full": "verify-full",
	"true": "verify-full", "1": "verify-full", "false": "disable", "0": "disable",
}

// parsePostgres parses what follows postgresql://.
func parsePostgres(rest string) (Target, error) {
	name, query, _ := strings.Cut(rest, "?")
	user, server, err := splitServer(name)
	if err != nil {
		return Target{}, badURL("is malformed; special characters in user and password must be percent-encoded, and a port is a number")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return Target{}, badURL("has malformed parameters")
	}
	if params.Has("ssl") {
		mode, ok := sslModes[strings.ToLower(params.Get("ssl"))]
		if !ok {
			return Target{}, badURL("has an unknown value of ssl; use disable, prefer, require, verify-ca or verify-full")
		}
		params.Del("ssl")
		params.Set("sslmode", mode)
	}
	if mode := params.Get("sslmode"); mode != "" && sslModes[mode] != mode {
		return Target{}, badURL("has an unknown value of sslmode; use disable, allow, prefer, require, verify-ca or verify-full")
	}
	pool, pooled := defaultPool, defaultPooled
	if params.Has("pool_max_conns") {
		if pool, err = strconv.Atoi(params.Get("pool_max_conns")); err != nil || pool < 2 || pool > 1000 {
			return Target{}, badURL("has an invalid pool_max_conns; use a number from 2 to 1000")
		}
		pooled = pool
		params.Del("pool_max_conns")
	}
	for _, name := range postgresIgnored {
		params.Del(name)
	}
	if params.Has(targetAttrs) && !slices.Contains(takesWrites, params.Get(targetAttrs)) {
		return Target{}, badURL("has a target_session_attrs of servers that take no writes; use read-write")
	}
	if err := readableFiles(params); err != nil {
		return Target{}, err
	}
	joinHosts(params)
	encoded := strings.ReplaceAll(params.Encode(), "+", "%20") // as libpq reads it
	cfg, err := pgx.ParseConfig("postgresql://" + user + server + "?" + encoded)
	switch {
	case err != nil && strings.Contains(err.Error(), "invalid port"):
		return Target{}, badURL("has an invalid port; use a number from 1 to 65535")
	case err != nil:
		return Target{}, badURL("is not a valid PostgreSQL URL") // the cause may quote the URL
	}
	if cfg.ValidateConnect == nil && !params.Has(targetAttrs) && hasSeveralHosts(cfg) {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // the others are standbys
	}
	setTimeouts(cfg)
	setDialing(cfg)
	return Target{Engine: Postgres, Server: cfg, pool: pool, pooled: pooled, pooler: new(atomic.Bool)}, nil
}

// readableFiles refuses files of TLS that cannot be read. pgx would, too, but without
// naming the parameter.
func readableFiles(params url.Values) error {
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		path := params.Get(name)
		if path == "" || name == "sslrootcert" && path == "system" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			return badURL("names a file in " + name + " that cannot be read: " + reason(err))
		}
		_ = f.Close()
	}
	return nil
}

// setTimeouts limits the time of a statement, unless the URL does. A statement of
// the store takes milliseconds: one that takes seconds waits for a lock that will
// not be released.
func setTimeouts(cfg *pgx.ConnConfig) {
	for name, value := range map[string]string{
		"application_name":                    "pico-auth",
		"client_encoding":                     "UTF8", // whatever the role has
		"statement_timeout":                   "10s",
		"lock_timeout":                        "5s",
		"idle_in_transaction_session_timeout": "30s",
	} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
}

// unbounded is cfg without the limits on a statement.
func unbounded(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	c := cfg.Copy()
	for _, name := range bounds {
		c.RuntimeParams[name] = "0"
	}
	return c
}
