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

// retryAfter is the Retry-After for an unavailable database. Most outages (a lock,
// a restart, a full queue) are shorter.
const retryAfter = 2 * time.Second

// Unavailable is the fault of a database that is unreachable, busy or full.
func Unavailable(cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unavailable", Message: "the database is not available at the moment",
		RetryAfter: retryAfter, Cause: cause,
	}
}

// ErrDamaged is permanent: a later try cannot succeed, and an operator has to act.
var ErrDamaged = fault.New(fault.Internal, "database_damaged", "the database is damaged; restore a backup, or examine it with `migrate --check`")

// DamagedBy is ErrDamaged with its cause.
func DamagedBy(cause error) error {
	lasting := *ErrDamaged
	lasting.Cause = cause
	return &lasting
}

// ErrUnstorable refuses text that PostgreSQL cannot hold and SQLite should not.
var ErrUnstorable = fault.New(fault.Invalid, "validation_failed", "text must be valid UTF-8 without NUL")

// Condition is what an error of a driver means.
type Condition uint8

// The conditions. From Temporary on the transaction cannot continue.
const (
	Ordinary  Condition = iota // a defect of this program, or no error of a driver
	Unique                     // a unique constraint would be violated
	Reference                  // a foreign key would be violated
	Unstored                   // the text cannot be stored
	Temporary                  // busy, full, read-only, unreachable: a later try may succeed
	Lost                       // the connection was lost, and its transaction
	Conflict                   // the transaction lost to another one: try again at once
	Damaged                    // the file is damaged
)

// Fatal reports whether the transaction cannot continue, as opposed to the one
// statement.
func (c Condition) Fatal() bool { return c >= Temporary }

// ConditionOf classifies an error of either driver.
func ConditionOf(err error) Condition {
	if err == nil {
		return Ordinary // before the variables, which are allocated
	}
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var netErr net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return Ordinary
	case errors.As(err, &lite):
		return sqliteCondition(lite.Code())
	case errors.As(err, &pg):
		return postgresCondition(pg.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return Temporary // a time limit expired; an immediate retry would wait as long
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &netErr), pgconn.SafeToRetry(err), isClosed(err):
		return Lost
	default:
		return Ordinary
	}
}

// isClosed recognizes the errors of database/sql and pgx for a lost connection that
// have no value to compare with.
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
		return Temporary
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
	case "55P03", readOnly, "57014": // lock not available, read-only, statement timeout
		return Temporary
	case "25P03", "25P04": // idle in transaction, transaction timeout: the server hung up
		return Lost
	case "XX001", "XX002":
		return Damaged
	}
	switch {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return Lost
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), strings.HasPrefix(code, "28"), code == "3D000":
		return Temporary
	default:
		return Ordinary
	}
}

// RefusesWrites reports whether err means that no write can succeed: a full disk,
// or a server that became a standby.
func RefusesWrites(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "53100" || pg.Code == readOnly)
}

// IsReadOnly reports whether err means that the session takes no writes. Nothing was
// done, and another session may take them.
func IsReadOnly(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == readOnly
}

// TakesWrites returns the error of a write on a session that takes none. A migration
// asks before it writes: goose hides the reason of its first failure.
func TakesWrites(ctx context.Context, q Querier) error {
	var refused bool
	err := q.QueryRowContext(ctx, "SELECT current_setting('transaction_read_only') = 'on'").Scan(&refused)
	if err == nil && refused {
		err = &pgconn.PgError{Severity: "ERROR", Code: readOnly, Message: "the session is read-only"}
	}
	return err
}

// IsPassing reports whether the server that err is about may answer soon: it is
// unreachable, starting, full or a standby, or its role or database is not made yet.
func IsPassing(err error) bool {
	c := ConditionOf(err)
	return (c == Lost || c == Temporary) && !refusesParameters(err) && !refusesTransactions(err)
}

// IsNoTable reports whether err means that a table does not exist.
func IsNoTable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
}

// IsNoColumn reports whether err means that a column does not exist.
func IsNoColumn(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42703"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such column")
}

// Violates reports whether err violates the unique constraint on the column,
// which the two engines name differently: "users.email_key" is
// users_email_key_key in PostgreSQL.
func Violates(err error, column string) bool {
	if ConditionOf(err) != Unique {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.Contains(pg.ConstraintName, strings.ReplaceAll(column, ".", "_"))
	}
	return strings.Contains(err.Error(), column)
}

// Classify turns an error of a driver into a fault if a caller can use that. Faults
// and cancellations pass through.
func Classify(err error) error {
	var already *fault.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	switch ConditionOf(err) {
	case Temporary, Lost, Conflict:
		return Unavailable(err)
	case Damaged:
		return DamagedBy(err)
	case Unstored:
		return ErrUnstorable
	default:
		return err
	}
}
