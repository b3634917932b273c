package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// insertRows is how many rows one INSERT has: with fourteen columns each they
// stay far below the 65,535 parameters that PostgreSQL accepts.
const insertRows = 500

// CopyProgress is called for each table as it grows; done is its last call.
type CopyProgress func(table string, rows int64, done bool)

// Copy copies everything from the SQLite database of cfg to the PostgreSQL
// database of the URL to, in one transaction there, and compares counts and
// checksums before it commits. The source is only read, in one snapshot: later
// writes of a running server are not in the copy.
//
// The destination must be empty, or hold exactly what would be copied, as after a
// copy whose response was lost; anything else is refused with code
// "copy_not_empty". progress may be nil.
func Copy(ctx context.Context, cfg store.Config, to string, progress CopyProgress) ([]Copied, error) {
	if progress == nil {
		progress = func(string, int64, bool) {}
	}
	from, err := engine.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	dest, err := destination(from, to)
	if err != nil {
		return nil, err
	}
	if cfg.Pooler {
		dest.AssumePooler()
	}
	source, closeSource, err := engine.OpenUnchanged(from.Path)
	if err != nil {
		return nil, err
	}
	cfg.URL, cfg.Adopt = to, nil // the destination is not adopted
	copied, err := copyFrom(ctx, source, cfg, dest, progress)
	return copied, errors.Join(from.Explain(err), closeSource())
}

// destination refuses directions other than from SQLite to PostgreSQL.
func destination(from engine.Target, to string) (engine.Target, error) {
	dest, err := engine.Parse(to)
	switch {
	case err != nil:
		return dest, err
	case from.Engine != engine.SQLite:
		return dest, fault.New(fault.Invalid, "copy_source", "only a SQLite database is copied; PostgreSQL has pg_dump")
	case dest.Engine != engine.Postgres:
		return dest, fault.New(fault.Invalid, "copy_destination", "the destination must be a PostgreSQL database; for SQLite use `pico-auth backup`")
	default:
		return dest, nil
	}
}

// copyFrom copies from the open source to the destination, in which a store of cfg
// makes the tables first.
func copyFrom(ctx context.Context, source *sql.DB, cfg store.Config, to engine.Target, progress CopyProgress) (copied []Copied, err error) {
	snapshot, err := source.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = snapshot.Rollback() }() // nothing was written
	if err := copySource(ctx, snapshot); err != nil {
		return nil, err
	}
	made, err := store.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	dest := to.OpenUnbounded()
	defer func() { err = errors.Join(err, dest.Close()) }()
	tx, err := dest.BeginTx(ctx, nil)
	if err != nil {
		return nil, engine.Classify(err)
	}
	copied, err = copyAll(ctx, snapshot, tx, progress)
	if err != nil {
		return nil, errors.Join(engine.Classify(err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return nil, engine.Classify(err)
	}
	return copied, nil
}

// copySource refuses a source that is not a database of this version.
func copySource(ctx context.Context, q engine.Querier) error {
	found, err := store.Inspect(ctx, q, engine.SQLite)
	if err != nil {
		return err
	}
	if !found.Ours() || found.Version != store.SchemaVersion {
		return fault.New(fault.Invalid, "copy_source",
			"the source is not a database of this version of pico-auth; start the server on it once, or run `pico-auth migrate`")
	}
	return nil
}

// copyAll fills the destination and compares it with the source.
func copyAll(ctx context.Context, source, dest *sql.Tx, progress CopyProgress) ([]Copied, error) {
	// No other process reads or writes during the copy: a server that starts now waits.
	for _, t := range store.Tables() {
		if _, err := dest.ExecContext(ctx, "LOCK TABLE "+t.Name+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return nil, err
		}
	}
	fresh, err := isFresh(ctx, dest)
	if err != nil {
		return nil, err
	}
	if fresh {
		if err := fill(ctx, source, dest, progress); err != nil {
			return nil, err
		}
	}
	var copied []Copied
	for _, t := range store.Tables() {
		want, err := digest(ctx, source, t)
		if err != nil {
			return nil, err
		}
		got, err := digest(ctx, dest, t)
		if err != nil {
			return nil, err
		}
		if got != want && !fresh {
			return nil, fault.New(fault.Conflict, "copy_not_empty", fmt.Sprintf(
				"the destination is not empty and its table %s differs from the source's; nothing was changed", t.Name))
		}
		if got != want {
			return nil, fmt.Errorf("the copy of table %s has %d rows and checksum %s instead of %d and %s; the destination was rolled back",
				t.Name, got.Rows, got.Checksum, want.Rows, want.Checksum)
		}
		copied = append(copied, got)
	}
	return copied, nil
}

// isFresh reports whether the destination holds only the rows of a new schema.
func isFresh(ctx context.Context, dest *sql.Tx) (bool, error) {
	for _, t := range store.Tables() {
		query := "SELECT COUNT(*) FROM " + t.Name
		if t.Initial != "" {
			query += " WHERE NOT (" + t.Initial + ")"
		}
		var n int64
		if err := dest.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return false, err
		}
		if n > 0 {
			return false, nil
		}
	}
	return true, nil
}

func fill(ctx context.Context, source, dest *sql.Tx, progress CopyProgress) error {
	// The rows of a new schema are in the source, too.
	for _, t := range store.Tables() {
		if t.Initial == "" {
			continue
		}
		if _, err := dest.ExecContext(ctx, "DELETE FROM "+t.Name); err != nil { //nolint:gosec // a name of the schema
			return err
		}
	}
	for _, t := range store.Tables() {
		if err := fillTable(ctx, source, dest, t, progress); err != nil {
			return fmt.Errorf("copy table %s: %w", t.Name, err)
		}
	}
	return nil
}

func fillTable(ctx context.Context, source, dest *sql.Tx, t store.Table, progress CopyProgress) error {
	var total int64
	batch := make([]any, 0, insertRows*len(t.Columns))
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := dest.ExecContext(ctx, insertMany(t, len(batch)/len(t.Columns)), batch...)
		batch = batch[:0]
		progress(t.Name, total, false)
		return err
	}
	err := eachRow(ctx, source, t, func(row []any) error {
		batch = append(batch, row...)
		total++
		if len(batch) < cap(batch) {
			return nil
		}
		return flush()
	})
	if err := errors.Join(err, flush()); err != nil {
		return err
	}
	progress(t.Name, total, true)
	return nil
}

func insertMany(t store.Table, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", t.Name, strings.Join(t.Columns, ", "))
	n := 0
	for row := range rows {
		if row > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for column := range t.Columns {
			if column > 0 {
				b.WriteString(", ")
			}
			n++
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// Serving reports whether a server runs on the source: what it writes after the copy
// began is not in the copy.
func Serving(ctx context.Context, cfg store.Config) (bool, error) {
	from, err := engine.Parse(cfg.URL)
	if err != nil || from.Engine != engine.SQLite {
		return false, err
	}
	db, closeDB, err := engine.OpenUnchanged(from.Path)
	if err != nil {
		return false, err
	}
	serving, err := store.Serving(ctx, db)
	return serving, errors.Join(err, closeDB())
}

// Uncopied lists the tables of the source that Copy does not copy: those that
// are not this program's, such as mailbox credentials of the original.
func Uncopied(ctx context.Context, cfg store.Config) ([]string, error) {
	from, err := engine.Parse(cfg.URL)
	if err != nil || from.Engine != engine.SQLite {
		return nil, err
	}
	db, closeDB, err := engine.OpenUnchanged(from.Path)
	if err != nil {
		return nil, err
	}
	found, err := store.Inspect(ctx, db, engine.SQLite)
	ours := store.TableNames()
	left := slices.DeleteFunc(found.Tables, func(name string) bool { return slices.Contains(ours, name) })
	return left, errors.Join(err, closeDB())
}
