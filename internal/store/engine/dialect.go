package engine

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

// Unavailable says that the database is away, busy or full.
func Unavailable(cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unavailable", Message: "the database is not available at the moment",
		RetryAfter: retryAfter, Cause: cause,
	}
}

// ErrDamaged is an outage that does not pass by itself.
var ErrDamaged = &fault.Error{
	Kind: fault.Unavailable, Code: "database_damaged", RetryAfter: retryAfter,
	Message: "the database is damaged; restore a backup, or look at it with `migrate --check`",
}

// ErrUnstorable refuses text that PostgreSQL cannot hold and SQLite should not.
var ErrUnstorable = fault.New(fault.Invalid, "validation_failed", "text must be valid UTF-8 without NUL")

// Condition is what an error of a driver means.
type Condition uint8

// The conditions. From Away on the transaction cannot go on.
const (
	Ordinary  Condition = iota // a defect of ours, or no error of a driver
	Unique                     // a unique constraint would break
	Reference                  // a foreign key would break
	Unstored                   // the text cannot be stored
	Away                       // busy, full, read-only, gone: later is fine
	Lost                       // the connection is gone, and its transaction
	Conflict                   // the transaction lost to another: again, at once
	Damaged                    // the file is no sound database
)

// Fatal reports whether the transaction cannot go on, as opposed to the one
// statement.
func (c Condition) Fatal() bool { return c >= Away }

// ConditionOf classifies an error of either driver.
func ConditionOf(err error) Condition {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var netErr net.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return Ordinary
	case errors.As(err, &lite):
		return sqliteCondition(lite.Code())
	case errors.As(err, &pg):
		return postgresCondition(pg.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return Away // a time limit was used up, so trying again at once would use up another
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &netErr), pgconn.SafeToRetry(err), isClosed(err):
		return Lost
	default:
		return Ordinary
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

func sqliteCondition(code int) Condition {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return Unique
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return Reference
	}
	switch code & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return Damaged
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_INTERRUPT:
		return Away
	default:
		return Ordinary
	}
}

// postgresCondition reads the classes of PostgreSQL's appendix A.
func postgresCondition(code string) Condition {
	switch code {
	case "23505":
		return Unique
	case "23503":
		return Reference
	case "22021", "22P05":
		return Unstored
	case "40001", "40P01":
		return Conflict
	case "55P03", "25006", "57014": // lock not available, read-only, statement timeout
		return Away
	case "25P03", "25P04": // idle in transaction, transaction timeout: the server hung up
		return Lost
	case "XX001", "XX002":
		return Damaged
	}
	switch {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return Lost
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), strings.HasPrefix(code, "28"), code == "3D000":
		return Away
	default:
		return Ordinary
	}
}

// RefusesWrites reports whether err says that nothing at all can be written: a
// full disk, or a server that became a standby.
func RefusesWrites(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "53100" || pg.Code == "25006")
}

// IsNoTable reports whether err says that a table is not there.
func IsNoTable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
}

// IsNoColumn reports whether err says that a column is not there.
func IsNoColumn(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42703"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such column")
}

// Violates reports whether err breaks the unique constraint on the column,
// which the two engines name differently: "users.email_key" is
// users_email_key_key to PostgreSQL.
func Violates(err error, column string) bool {
	if ConditionOf(err) != Unique {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.Contains(pg.ConstraintName, strings.ReplaceAll(column, ".", "_"))
	}
	return strings.Contains(err.Error(), column)
}

// Classify turns what a driver said into a fault where that means something to
// a caller. Faults and cancellations pass through.
func Classify(err error) error {
	var already *fault.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	switch ConditionOf(err) {
	case Away, Lost, Conflict:
		return Unavailable(err)
	case Damaged:
		lasting := *ErrDamaged
		lasting.Cause = err
		return &lasting
	case Unstored:
		return ErrUnstorable
	default:
		return err
	}
}
