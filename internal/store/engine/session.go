package engine

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// sweepSessions is the shortest time between two sweeps of a pool: while a server takes
// no writes, reads keep their connections for so long.
const sweepSessions = time.Second

// openedAt is where a connection keeps the time of its opening, in pgconn's custom data.
const openedAt = "pico-auth opened"

// sessions knows which connections of a pool are still good. A server that became
// read-only, a standby or is shutting down says so in the answer to a statement, but it is
// the session that is no good: the server keeps it, and new ones may be fine.
type sessions struct {
	swept atomic.Int64 // connections opened before are replaced; Unix nanoseconds
}

// options are those of the pool whose connections it knows.
func (s *sessions) options() []stdlib.OptionOpenDB {
	return []stdlib.OptionOpenDB{
		stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
			c.PgConn().CustomData()[openedAt] = time.Now().UnixNano()
			return nil
		}),
		stdlib.OptionResetSession(func(_ context.Context, c *pgx.Conn) error {
			if at, ok := c.PgConn().CustomData()[openedAt].(int64); ok && at < s.swept.Load() {
				return driver.ErrBadConn // database/sql opens another one
			}
			return nil
		}),
	}
}

// keep is pgconn.Config.OnPgError: false closes the connection. A session on which a
// write was refused as read-only was opened when that was the default, or its server is a
// standby now: so are those that were opened before.
func (s *sessions) keep(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	if !endsSession(err) {
		return true
	}
	if err.Code == readOnly {
		now, last := time.Now().UnixNano(), s.swept.Load()
		if now-last >= int64(sweepSessions) {
			s.swept.CompareAndSwap(last, now)
		}
	}
	return false
}

// readOnly is read_only_sql_transaction.
const readOnly = "25006"

// endsSession reports whether no later statement on the connection can be expected to
// succeed: a connection exception, a shutdown, a server that takes no writes.
func endsSession(err *pgconn.PgError) bool {
	switch err.Code {
	case readOnly, "57P01", "57P02", "57P03":
		return true
	default:
		return strings.HasPrefix(err.Code, "08") || strings.EqualFold(err.Severity, "FATAL")
	}
}
