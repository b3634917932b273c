package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// retryAfter is what a client is told when the database is away. Most such
// moments (a lock, a restart, a full queue) are over by then.
const retryAfter = 2 * time.Second

// unavailable says that the database is away, busy or full.
func unavailable(cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unavailable", Message: "the database is not available at the moment",
		RetryAfter: retryAfter, Cause: cause,
	}
}

// condition is what an error of a driver means to this package.
type condition uint8

const (
	ordinary  condition = iota // a defect of ours, or no error of a driver
	unique                     // a unique constraint would break
	reference                  // a foreign key would break
	unstored                   // the text cannot be stored
	away                       // busy, full, read-only, gone: later is fine
	lost                       // the connection is gone, and its transaction
	conflict                   // the transaction lost to another: again, at once
	damaged                    // the file is no sound database
)

// fatal reports whether the transaction cannot go on, as opposed to the one
// statement.
func (c condition) fatal() bool { return c >= away }

// conditionOf classifies an error of either driver.
func conditionOf(err error) condition {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var netErr net.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ordinary
	case errors.As(err, &lite):
		return sqliteCondition(lite.Code())
	case errors.As(err, &pg):
		return postgresCondition(pg.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return away // a time limit was used up, so trying again at once would use up another
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &netErr), pgconn.SafeToRetry(err), isClosed(err):
		return lost
	default:
		return ordinary
	}
}

// isClosed recognises what database/sql and pgx say about a connection that
// went away, for which they have no value to compare with.
func isClosed(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	text := err.Error()
	for _, phrase := range []string{"sql: database is closed", "conn closed", "unexpected EOF", "connection reset", "broken pipe"} {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

func sqliteCondition(code int) condition {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return unique
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return reference
	}
	switch code & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_INTERRUPT:
		return away
	default:
		return ordinary
	}
}

// postgresCondition reads the classes of PostgreSQL's appendix A.
func postgresCondition(code string) condition {
	switch code {
	case "23505":
		return unique
	case "23503":
		return reference
	case "22021", "22P05":
		return unstored
	case "40001", "40P01":
		return conflict
	case "55P03", "25006", "57014": // lock not available, read-only, statement timeout
		return away
	case "25P03", "25P04": // idle in transaction, transaction timeout: the server hung up
		return lost
	case "XX001", "XX002":
		return damaged
	}
	switch {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return lost
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), strings.HasPrefix(code, "28"), code == "3D000":
		return away
	default:
		return ordinary
	}
}

// refusesWrites reports whether err says that nothing at all can be written: a
// full disk, or a server that became a standby.
func refusesWrites(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "53100" || pg.Code == "25006")
}

// isNoTable reports whether err says that a table is not there.
func isNoTable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
}

// violates reports whether err breaks the unique constraint on the column,
// which the two engines name differently: "users.email_key" is
// users_email_key_key to PostgreSQL.
func violates(err error, column string) bool {
	if conditionOf(err) != unique {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.Contains(pg.ConstraintName, strings.ReplaceAll(column, ".", "_"))
	}
	return strings.Contains(err.Error(), column)
}

// classify turns what a driver said into a fault where that means something to
// a caller. Faults and cancellations pass through.
func classify(err error) error {
	var already *fault.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	switch conditionOf(err) {
	case away, lost, conflict:
		return unavailable(err)
	case damaged:
		lasting := *ErrDamaged
		lasting.Cause = err
		return &lasting
	case unstored:
		return errUnstorable
	default:
		return err
	}
}

// errUnstorable refuses text that PostgreSQL cannot hold and SQLite should not.
var errUnstorable = fault.New(fault.Invalid, "validation_failed", "text must be valid UTF-8 without NUL")
