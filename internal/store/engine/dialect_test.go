package engine

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
	for code, want := range map[int]Condition{
		sqlite3.SQLITE_CONSTRAINT_UNIQUE: Unique, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Unique,
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Reference, sqlite3.SQLITE_CONSTRAINT_NOTNULL: Ordinary,
		sqlite3.SQLITE_BUSY: Temporary, sqlite3.SQLITE_BUSY_SNAPSHOT: Temporary, sqlite3.SQLITE_FULL: Temporary, sqlite3.SQLITE_IOERR_FSYNC: Temporary,
		sqlite3.SQLITE_READONLY_DBMOVED: Temporary, sqlite3.SQLITE_CORRUPT_INDEX: Damaged, sqlite3.SQLITE_NOTADB: Damaged,
		sqlite3.SQLITE_ERROR: Ordinary, sqlite3.SQLITE_MISUSE: Ordinary,
	} {
		if got := sqliteCondition(code); got != want {
			t.Errorf("code %d: %d, want %d", code, got, want)
		}
	}
}

func TestConditionsOfPostgreSQL(t *testing.T) {
	for code, want := range map[string]Condition{
		"23505": Unique, "23503": Reference, "23502": Ordinary, "42P01": Ordinary, "25P02": Ordinary,
		"22021": Unstored, "40001": Conflict, "40P01": Conflict,
		"57014": Temporary, "55P03": Temporary, "25006": Temporary, "53300": Temporary, "53100": Temporary, "58030": Temporary, "28P01": Temporary, "3D000": Temporary,
		"57P01": Lost, "57P03": Lost, "08006": Lost, "25P03": Lost, "XX001": Damaged, "XX002": Damaged, "XX000": Ordinary,
	} {
		err := fmt.Errorf("query: %w", &pgconn.PgError{Code: code})
		if got := ConditionOf(err); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

func TestConditionsOfConnections(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Condition
	}{
		{nil, Ordinary},
		{context.Canceled, Ordinary},
		{io.ErrUnexpectedEOF, Lost},
		{driver.ErrBadConn, Lost},
		{&pgconn.ConnectError{}, Lost},
		{errors.New("write failed: broken pipe"), Lost},
		{context.DeadlineExceeded, Temporary},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, Lost},
		{fs.ErrNotExist, Temporary},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, Temporary},
		{errors.New("anything"), Ordinary},
	} {
		if got := ConditionOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestClassifyKeepsRefusalsAndHidesNothing(t *testing.T) {
	refusal := fault.New(fault.Conflict, "x", "x")
	if got := Classify(fmt.Errorf("query: %w", refusal)); !errors.Is(got, refusal) {
		t.Errorf("a refusal became %v", got)
	}
	if got := Classify(&pgconn.PgError{Code: "22021"}); fault.KindOf(got) != fault.Invalid {
		t.Errorf("bytes that cannot be stored: %v", got)
	}
	cause := &pgconn.PgError{Code: "53300"}
	if got := Classify(cause); fault.KindOf(got) != fault.Unavailable || !errors.Is(got, error(cause)) {
		t.Errorf("too many connections: %v", got)
	}
	damage := &pgconn.PgError{Code: "XX001"}
	if got := Classify(damage); !errors.Is(got, ErrDamaged) || fault.KindOf(got) != fault.Internal || !errors.Is(got, error(damage)) {
		t.Errorf("a damaged page: %v", got)
	}
	if errors.Is(Classify(cause), ErrDamaged) {
		t.Error("a temporary outage is reported as damage")
	}
	if !Violates(&pgconn.PgError{Code: "23505", ConstraintName: "users_email_key_key"}, "users.email_key") {
		t.Error("PostgreSQL's constraint is not recognized")
	}
	if Violates(&pgconn.PgError{Code: "23505", ConstraintName: "users_pkey"}, "users.email_key") || Violates(nil, "users.email_key") {
		t.Error("another constraint is recognized as it")
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
		t.Errorf("over an existing file: %v", err)
	}
	if err := badCopy(path, copyInto(t.Context(), nil, path)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("copy over an existing file: %v", err)
	}
}
