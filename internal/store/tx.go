package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/store/engine"
	"github.com/pico-auth/pico-auth/internal/trace"
)

// runner runs statements: a transaction, a pool, or a connection with prepared
// statements.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tx is the view of the database that one operation has. It does not outlive the
// call that made it, which is why it may hold that call's context.
type tx struct {
	ctx   context.Context
	run   runner
	now   time.Time
	locks bool // rows can be locked: PostgreSQL, and not a snapshot

	privilegedMaxAge time.Duration // of Config
	browserTimes     BrowserTimes  // of Config
	groupNames       bool          // of Config
	issuer           string        // of Config
	clients          *clientMemo

	trace trace.Context // of the request

	past bool // the schema may be that of previousVersion, without sessions in browsers

	// failed is the first error of a statement. PostgreSQL refuses all later
	// statements; SQLite may have rolled back by itself, and later ones would be
	// committed alone. So no later ones are sent.
	failed error

	events []Event // for Config.Committed, if the operation is committed
	ended  int64   // for OwnRevocations: when the operation ended a family, in microseconds since 1970; 0: it did not
}

func (s *Store) newTx(ctx context.Context, run runner) *tx {
	return &tx{
		ctx: ctx, run: run, locks: s.target.Engine == engine.Postgres,
		now: s.now().UTC().Truncate(time.Microsecond), privilegedMaxAge: s.privilegedMaxAge, browserTimes: s.browserTimes, groupNames: s.groupNames, issuer: s.issuer,
		clients: &s.clients,
	}
}

// kept is an error of an operation whose changes are committed in spite of it.
type kept struct{ error }

// Unwrap returns the error that the caller gets.
func (k kept) Unwrap() error { return k.error }

// outcome reports whether the changes of an operation that returned err are
// committed, and what its caller gets. A failure that the operation did not return
// still counts.
func (t *tx) outcome(err error) (commit bool, answer error) {
	var keep kept
	switch {
	case t.failed != nil && err == nil:
		return false, t.failed
	case t.failed == nil && errors.As(err, &keep):
		return true, keep.error
	default:
		return err == nil, err
	}
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	if err := t.ready(args); err != nil {
		return 0, err
	}
	res, err := t.run.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := res.RowsAffected()
	return n, t.fail(err)
}

// scanner is one row.
type scanner interface{ Scan(dest ...any) error }

// each runs a query and calls row for each row of the result.
func (t *tx) each(row func(scanner) error, query string, args ...any) (err error) {
	if err := t.ready(args); err != nil {
		return err
	}
	rows, err := t.run.QueryContext(t.ctx, query, args...)
	if err != nil {
		return t.fail(err)
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = t.fail(e)
		}
	}()
	for rows.Next() {
		if err := row(rows); err != nil {
			return t.fail(err)
		}
	}
	return t.fail(rows.Err())
}

// get runs a query and scans its first row, if there is one.
func (t *tx) get(dest []any, query string, args ...any) (found bool, err error) {
	err = t.each(func(r scanner) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	}, query, args...)
	return found && err == nil, err
}

// collect runs a query and returns its rows, never nil.
func collect[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	all := []T{}
	err := t.each(func(r scanner) error {
		v, err := scan(r)
		all = append(all, v)
		return err
	}, query, args...)
	return all, err
}

// ready refuses what must not reach a driver: any statement after a failure, and
// text that the engines treat differently.
func (t *tx) ready(args []any) error {
	if t.failed != nil {
		return t.failed
	}
	for _, arg := range args {
		if text, ok := arg.(string); ok && (!utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0) {
			return t.fail(engine.ErrUnstorable)
		}
	}
	return nil
}

func (t *tx) fail(err error) error {
	if err != nil && t.failed == nil {
		t.failed = err
	}
	return err
}

// stamp is the time of the operation as stored.
func (t *tx) stamp() string { return FormatTime(t.now) }

// forUpdate is appended to a SELECT whose row the operation will change, of
// the table with that alias. SQLite has one writer and needs none.
func (t *tx) forUpdate(alias string) string {
	if !t.locks {
		return ""
	}
	return " FOR UPDATE OF " + alias
}

// forShare is appended to a SELECT whose row must not change before the commit,
// of the table with that alias.
func (t *tx) forShare(alias string) string {
	if !t.locks {
		return ""
	}
	return " FOR SHARE OF " + alias
}

// lock locks rows that the transaction changes later, so that it locks in the
// same order as others do: that of the rows too.
func (t *tx) lock(table, alias, which string, args ...any) error {
	if !t.locks {
		return nil
	}
	_, err := t.exec("SELECT 1 FROM "+table+" "+alias+" WHERE "+which+" ORDER BY "+alias+".ctid"+t.forUpdate(alias), args...)
	return err
}

// selection is some rows of a table.
type selection struct {
	table, key, which string // which may have an order and a limit
	args              []any
}

// deleteUnlocked deletes the rows, but for those that another transaction has locked, and
// returns how many.
func (t *tx) deleteUnlocked(of selection) (int64, error) {
	which := of.which
	if t.locks {
		which += " FOR UPDATE SKIP LOCKED"
	}
	return t.exec("DELETE FROM "+of.table+" WHERE "+of.key+" IN (SELECT "+of.key+" FROM "+of.table+" WHERE "+which+")", of.args...)
}

// unlocked is used in place of forUpdate and forShare when a SELECT locks nothing.
func unlocked(string) string { return "" }

// alone waits until no other transaction holds the lock named what, and holds it
// until the commit. SQLite has one writer.
func (t *tx) alone(what string) error {
	if !t.locks {
		return nil
	}
	_, err := t.exec("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", what)
	return err
}

// NewID returns a new id for a row. Version 7 sorts by time, which keeps
// insertions at the end of the index.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// NewIDAt is NewID for a row that was made at that time.
func NewIDAt(at time.Time) string {
	id := uuid.Must(uuid.NewV7())
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli())<<16)
	copy(id[:6], ms[:6])
	return id.String()
}

// idsBefore is a text that ids made before that time are less than, and later ones
// are not.
func idsBefore(at time.Time) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}

// oneIf returns a boolean as stored.
func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// prepared runs statements that it prepares once. Their number is limited by
// the number of queries in this package.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	stmts   sync.Map // query -> *sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	fresh, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if s, lost := p.stmts.LoadOrStore(query, fresh); lost {
		_ = fresh.Close() //nolint:sqlclosecheck // another goroutine was faster; ours was never used
		return s.(*sql.Stmt), nil
	}
	return fresh, nil
}

// close releases the statements. Without it database/sql keeps the connection
// open, and its locks with it, after the pool was closed.
func (p *prepared) close() error {
	var all error
	p.stmts.Range(func(_, s any) bool {
		all = errors.Join(all, s.(*sql.Stmt).Close())
		return true
	})
	p.stmts.Clear()
	return all
}

// ExecContext implements runner.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // kept until the connection is closed
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements runner.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // kept until the connection is closed
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// echoing logs the text of each statement. Parameters may be secrets.
type echoing struct {
	runner
	log *slog.Logger
}

// echo returns the function that wraps each runner.
func (cfg Config) echo() func(runner) runner {
	if !cfg.Echo {
		return func(r runner) runner { return r }
	}
	return func(r runner) runner { return echoing{runner: r, log: cfg.Log} }
}

// ExecContext implements runner.
func (e echoing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	e.log.InfoContext(ctx, "sql", "statement", oneLine(query))
	return e.runner.ExecContext(ctx, query, args...)
}

// QueryContext implements runner.
func (e echoing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	e.log.InfoContext(ctx, "sql", "statement", oneLine(query))
	return e.runner.QueryContext(ctx, query, args...)
}

func oneLine(query string) string { return strings.Join(strings.Fields(query), " ") }
