package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A connection pooler such as PgBouncer gives one session of the server to several
// clients, one transaction after another. Nothing that belongs to a session may be
// used there: no named statements, no SET, no lock of a session. Some also refuse the
// parameters of a start.
//
// connector opens connections for both. The first connection shows whether there is a
// pooler, and the finding is kept for all later ones.
type connector struct {
	direct, pooled driver.Connector
	begin          string // statements that follow BEGIN on a pooled connection
	timeout        time.Duration
	found          *atomic.Bool // a pooler, by this or another connector of the target
	limit          func()       // called when a pooler is found
}

// bounds limit a statement and a transaction. They are parameters of the start of a
// connection, or of each transaction behind a pooler.
var bounds = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}

// newConnector returns the connector of the configuration; limit is called when a
// pooler is found.
func (t Target) newConnector(cfg *pgx.ConnConfig, limit func()) connector {
	known := new(sessions)
	cfg = cfg.Copy()
	cfg.OnPgError = known.keep
	pooled := cfg.Copy()
	pooled.DefaultQueryExecMode = pgx.QueryExecModeExec
	pooled.StatementCacheCapacity, pooled.DescriptionCacheCapacity = 0, 0
	var begin strings.Builder
	for _, name := range bounds {
		fmt.Fprintf(&begin, "; SET LOCAL %s = '%s'", name, strings.ReplaceAll(cfg.RuntimeParams[name], "'", "''"))
	}
	maps.DeleteFunc(pooled.RuntimeParams, func(name, _ string) bool { return slices.Contains(bounds, name) })
	return connector{
		direct: stdlib.GetConnector(*cfg, known.options()...), pooled: stdlib.GetConnector(*pooled, known.options()...), begin: begin.String(),
		timeout: cfg.ConnectTimeout, found: t.pooler, limit: limit,
	}
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.direct.Driver() }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	if !c.found.Load() {
		conn, err := c.direct.Connect(ctx)
		if err != nil && !refusesParameters(err) {
			return nil, err
		}
		if err == nil {
			shared, err := c.isShared(ctx, conn)
			if err == nil && !shared {
				return conn, nil
			}
			if err := errors.Join(err, conn.Close()); err != nil {
				return nil, err
			}
		}
		c.found.Store(true)
	}
	c.limit()
	conn, err := c.pooled.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &pooledConn{Conn: conn.(*stdlib.Conn), begin: c.begin}, nil
}

// refusesParameters reports that the other side is PgBouncer, which accepts only the
// parameters that it knows. PostgreSQL refuses one in other words.
func refusesParameters(err error) bool {
	return err != nil && strings.Contains(err.Error(), "unsupported startup parameter")
}

// refusesTransactions reports that the other side is PgBouncer with pool_mode =
// statement.
func refusesTransactions(err error) bool {
	return err != nil && strings.Contains(err.Error(), "statement pooling mode")
}

// isShared reports whether a pooler is between this process and the server. The
// process ID that a pooler announces when a client connects is its own invention: it
// has no server for the client yet, and will have others later.
func (c connector) isShared(ctx context.Context, conn driver.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	session := conn.(*stdlib.Conn).Conn()
	var pid uint32
	err := session.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid)
	return pid != session.PgConn().PID(), err
}

// pooledConn is a connection through a pooler. Its bounds belong to a transaction; a
// statement outside of one is bounded by its context.
type pooledConn struct {
	*stdlib.Conn
	begin string
}

// BeginTx implements driver.ConnBeginTx, in one round trip.
func (c *pooledConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	begin := "BEGIN"
	switch sql.IsolationLevel(opts.Isolation) {
	case sql.LevelDefault:
	case sql.LevelRepeatableRead:
		begin += " ISOLATION LEVEL REPEATABLE READ"
	default:
		return nil, fmt.Errorf("unsupported isolation level %d", opts.Isolation)
	}
	if opts.ReadOnly {
		begin += " READ ONLY"
	}
	tx, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + c.begin})
	return pooledTx{ctx: ctx, tx: tx}, err
}

// PrepareContext implements driver.ConnPrepareContext. It prepares nothing: a named
// statement would stay in a session that is another client's afterwards.
func (c *pooledConn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return pooledStmt{conn: c, query: query}, nil
}

// pooledStmt is the text of a statement.
type pooledStmt struct {
	conn  *pooledConn
	query string
}

// Close implements driver.Stmt.
func (pooledStmt) Close() error { return nil }

// NumInput implements driver.Stmt: only the server knows the number.
func (pooledStmt) NumInput() int { return -1 }

// Exec implements driver.Stmt. database/sql calls ExecContext.
func (pooledStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }

// Query implements driver.Stmt. database/sql calls QueryContext.
func (pooledStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errors.ErrUnsupported }

// ExecContext implements driver.StmtExecContext.
func (s pooledStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s pooledStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

// pooledTx is a transaction on a pooledConn.
type pooledTx struct {
	ctx context.Context //nolint:containedctx // that of BeginTx, as database/sql has it
	tx  pgx.Tx
}

// Commit implements driver.Tx.
func (t pooledTx) Commit() error { return t.tx.Commit(t.ctx) }

// Rollback implements driver.Tx.
func (t pooledTx) Rollback() error { return t.tx.Rollback(t.ctx) }
