package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestConditionsOfSQLite(t *testing.T) {
	for code, want := range map[int]condition{
		sqlite3.SQLITE_CONSTRAINT_UNIQUE: unique, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: unique,
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: reference, sqlite3.SQLITE_CONSTRAINT_NOTNULL: ordinary,
		sqlite3.SQLITE_BUSY: away, sqlite3.SQLITE_BUSY_SNAPSHOT: away, sqlite3.SQLITE_FULL: away, sqlite3.SQLITE_IOERR_FSYNC: away,
		sqlite3.SQLITE_READONLY_DBMOVED: away, sqlite3.SQLITE_CORRUPT_INDEX: damaged, sqlite3.SQLITE_NOTADB: damaged,
		sqlite3.SQLITE_ERROR: ordinary, sqlite3.SQLITE_MISUSE: ordinary,
	} {
		if got := sqliteCondition(code); got != want {
			t.Errorf("code %d: %d, want %d", code, got, want)
		}
	}
}

func TestConditionsOfPostgreSQL(t *testing.T) {
	for code, want := range map[string]condition{
		"23505": unique, "23503": reference, "23502": ordinary, "42P01": ordinary, "25P02": ordinary,
		"22021": unstored, "40001": conflict, "40P01": conflict,
		"57014": away, "55P03": away, "25006": away, "53300": away, "53100": away, "58030": away, "28P01": away, "3D000": away,
		"57P01": lost, "57P03": lost, "08006": lost, "25P03": lost, "XX001": damaged, "XX002": damaged, "XX000": ordinary,
	} {
		err := fmt.Errorf("verb: %w", &pgconn.PgError{Code: code})
		if got := conditionOf(err); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

func TestConditionsOfConnections(t *testing.T) {
	for _, c := range []struct {
		err  error
		want condition
	}{
		{nil, ordinary},
		{context.Canceled, ordinary},
		{io.ErrUnexpectedEOF, lost},
		{driver.ErrBadConn, lost},
		{&pgconn.ConnectError{}, lost},
		{errors.New("write failed: broken pipe"), lost},
		{context.DeadlineExceeded, away},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, lost},
		{fs.ErrNotExist, away},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, away},
		{errors.New("anything"), ordinary},
	} {
		if got := conditionOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestClassifyKeepsRefusalsAndHidesNothing(t *testing.T) {
	refusal := fault.New(fault.Conflict, "x", "x")
	if got := classify(fmt.Errorf("verb: %w", refusal)); !errors.Is(got, refusal) {
		t.Errorf("a refusal became %v", got)
	}
	if got := classify(&pgconn.PgError{Code: "22021"}); fault.KindOf(got) != fault.Invalid {
		t.Errorf("bytes that cannot be stored: %v", got)
	}
	cause := &pgconn.PgError{Code: "53300"}
	if got := classify(cause); fault.KindOf(got) != fault.Unavailable || !errors.Is(got, error(cause)) {
		t.Errorf("too many connections: %v", got)
	}
	damage := &pgconn.PgError{Code: "XX001"}
	if got := classify(damage); !errors.Is(got, ErrDamaged) || fault.KindOf(got) != fault.Unavailable || !errors.Is(got, error(damage)) {
		t.Errorf("a damaged page: %v", got)
	}
	if errors.Is(classify(cause), ErrDamaged) {
		t.Error("an outage that passes is taken for damage")
	}
	if !violates(&pgconn.PgError{Code: "23505", ConstraintName: "users_email_key_key"}, "users.email_key") {
		t.Error("PostgreSQL's constraint is not recognised")
	}
	if violates(&pgconn.PgError{Code: "23505", ConstraintName: "users_pkey"}, "users.email_key") || violates(nil, "users.email_key") {
		t.Error("another constraint is taken for it")
	}
}

func TestTimesSortAsText(t *testing.T) {
	var column timeColumn
	if err := column.Scan([]byte("x")); err == nil {
		t.Error("bytes are no time")
	}
	if _, err := parseTime("2026-11-22 10:00:00"); err == nil {
		t.Error("a time of another form was read")
	}
}

func TestAFinishedCopyGetsItsNameOnce(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "copy")
	if err := publish(filepath.Join(folder, "nothing"), path); fault.KindOf(err) != fault.Invalid {
		t.Errorf("nothing to publish: %v", err)
	}
	// A folder cannot be linked, as no file can on some file systems.
	for _, name := range []string{"first", "second"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(filepath.Join(folder, "first"), path); err != nil {
		t.Errorf("without links: %v", err)
	}
	if err := publish(filepath.Join(folder, "second"), path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("over what is there: %v", err)
	}
	if err := copyInto(t.Context(), nil, path); fault.KindOf(err) != fault.Invalid {
		t.Errorf("copy over what is there: %v", err)
	}
}
