package store

import (
	"context"
	"database/sql"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// What tests of transactions need besides the exported methods.

type Tx = tx

const (
	QueueLength = queueLength
	MaxBatch    = maxBatch
	MaxAttempts = maxAttempts
)

func (s *Store) Write(ctx context.Context, op func(*Tx) error) error { return s.write(ctx, op) }

func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error { return s.read(ctx, fn) }

func (t *tx) Exec(query string, args ...any) (int64, error) { return t.exec(query, args...) }

// Exclusively runs work as a migration runs.
func (s *Store) Exclusively(ctx context.Context, work func(context.Context) error) error {
	return exclusively(ctx, s.reads, migrationLock, work)
}

func (t *tx) Get(dest []any, query string, args ...any) (bool, error) {
	return t.get(dest, query, args...)
}

func (t *tx) Audit(ev Event) error { return t.audit(ev) }

// RotateInSteps is RotateRefresh without the single statement.
func (s *Store) RotateInSteps(ctx context.Context, by identity.Actor, p PresentedRefresh, next NewRefresh) (g Rotation, err error) {
	if next.ID == "" {
		next.ID = NewID()
	}
	err = s.write(ctx, func(t *tx) error {
		g, err = t.rotate(by, p, next)
		return err
	})
	return g, err
}

func Keep(err error) error { return kept{err} }

// CommitAs makes a SQLite store that was not written to yet commit in another way
// than the product, for comparison.
func (s *Store) CommitAs(t testing.TB, synchronous string, together bool) {
	t.Helper()
	if _, err := s.writer.db.ExecContext(t.Context(), "PRAGMA synchronous = "+synchronous); err != nil {
		t.Fatal(err)
	}
	if !together {
		s.writer.most = 1
	}
}

// Fuse makes one statement fail.
type Fuse struct {
	left atomic.Int64 // statements until then; negative: never
}

// Arm lets n statements pass and the one after them fail.
func (f *Fuse) Arm(n int) { f.left.Store(int64(n)) }

// Disarm lets all statements pass, and reports whether one had failed.
func (f *Fuse) Disarm() (blown bool) { return f.left.Swap(-1<<40) < 0 }

func (f *Fuse) burn() error {
	if f.left.Add(-1) == -1 {
		return fs.ErrPermission // stands for a disk failure
	}
	return nil
}

type fused struct {
	runner
	fuse *Fuse
}

func (f fused) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := f.fuse.burn(); err != nil && query != "ROLLBACK" {
		return nil, err
	}
	return f.runner.ExecContext(ctx, query, args...)
}

func (f fused) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := f.fuse.burn(); err != nil {
		return nil, err
	}
	return f.runner.QueryContext(ctx, query, args...)
}

// Fuse puts a fuse into a store that was not written to yet.
func (s *Store) Fuse() *Fuse {
	f := &Fuse{}
	f.Disarm()
	s.wrap = func(r runner) runner { return fused{runner: r, fuse: f} }
	s.reader = s.wrap(s.reader)
	return f
}

// Dump returns all rows of all tables.
func (s *Store) Dump(ctx context.Context) (string, error) {
	all, err := collect(s.newTx(ctx, s.reads), func(r scanner) (row string, err error) {
		err = r.Scan(&row)
		return row, err
	}, dump())
	slices.Sort(all)
	return strings.Join(all, "\n"), err
}

// dump is one query for all tables: a test asks it after every statement.
var dump = sync.OnceValue(func() string {
	var parts []string
	for _, table := range Tables() {
		row := "'" + table.Name + "'"
		for _, column := range table.Columns {
			row += " || COALESCE('|' || CAST(" + column + " AS TEXT), '|NULL|')"
		}
		parts = append(parts, "SELECT "+row+" FROM "+table.Name)
	}
	return strings.Join(parts, " UNION ALL ")
})

// Explain returns the lines of SQLite's plan for a statement.
func (s *Store) Explain(ctx context.Context, statement string) ([]string, error) {
	args := make([]any, strings.Count(statement, "$"))
	for i := range args {
		args[i] = "x"
	}
	return collect(s.newTx(ctx, s.reads), func(r scanner) (line string, err error) {
		var ignored any
		err = r.Scan(&ignored, &ignored, &ignored, &line)
		return line, err
	}, "EXPLAIN QUERY PLAN "+statement, args...)
}

// Statement is a query with its arguments.
type Statement struct {
	Query string
	Args  []any
}

type recording struct {
	runner
	seen *[]Statement
}

func (r recording) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	*r.seen = append(*r.seen, Statement{query, args})
	return r.runner.QueryContext(ctx, query, args...)
}

// Record notes the queries of a store that one goroutine uses.
func (s *Store) Record() *[]Statement {
	seen := &[]Statement{}
	s.wrap = func(r runner) runner { return recording{r, seen} }
	s.reader = s.wrap(s.reader)
	return seen
}

// Plan returns the engine's plan for a query with its arguments.
func (s *Store) Plan(ctx context.Context, q Statement) (string, error) {
	t := s.newTx(ctx, s.reads)
	var lines []string
	err := t.each(func(r scanner) error {
		var ignored any
		var line string
		dest := []any{&line}
		if s.writer != nil {
			dest = []any{&ignored, &ignored, &ignored, &line}
		}
		err := r.Scan(dest...)
		lines = append(lines, line)
		return err
	}, map[bool]string{true: "EXPLAIN QUERY PLAN ", false: "EXPLAIN "}[s.writer != nil]+q.Query, q.Args...)
	return strings.Join(lines, "\n"), err
}

// Of is the subject of an event.
type Of struct{ User, Org, Session, Family, Client string }

// End applies the event, as the exported methods do.
func (s *Store) End(ctx context.Context, event EndReason, of Of) (ended bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		ended, err = t.end(event, subjects{userID: of.User, orgID: of.Org, sessionID: of.Session, familyID: of.Family, clientID: of.Client})
		return err
	})
	return ended, err
}

// StartFamily stores a family of the session, as a code exchange will.
func (s *Store) StartFamily(ctx context.Context, u identity.User, sessionID string, f NewFamily) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.startFamily(identity.Actor{}, u, sessionID, f)
		return err
	})
}

// EndReasons are all events.
func EndReasons() []EndReason { return slices.Sorted(maps.Keys(endings)) }

// RevokedJTIs lists the ids of all revoked access tokens.
func (s *Store) RevokedJTIs(ctx context.Context) ([]string, error) {
	jtis := []string{}
	err := s.Revocations(ctx, time.Time{}, func(r Revocation) { jtis = append(jtis, r.JTI) })
	return jtis, err
}

// EndsSessions reports whether the event ends sessions.
func (r EndReason) EndsSessions() bool { return endings[r].sessions != none }

// Listing runs fn as a list.
func (s *Store) Listing(ctx context.Context, fn func()) error {
	return s.listing(ctx, func(*tx) error {
		fn()
		return nil
	})
}
