package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// copyTable is a table of the schema and its columns, all of them text but the
// one that is named.
type copyTable struct {
	name    string
	columns []string
}

// copyTables are the tables in an order that foreign keys allow. Leases are left
// out: whoever has one is not there.
func copyTables() []copyTable {
	return []copyTable{
		{"organizations", []string{"id", "status", "created_at"}},
		{"users", []string{
			"id", "email", "email_key", "display_name", "password_hash", "role", "org_id", "status",
			"default_password", "created_at", "last_login_at",
		}},
		{"groups", []string{"id", "name", "name_key", "description", "org_id", "created_at", "updated_at"}},
		{"group_members", []string{"group_id", "user_id", "joined_at"}},
		{"refresh_families", []string{"id", "user_id", "created_at", "expires_at", "ended_at", "end_reason"}},
		{"refresh_tokens", []string{
			"id", "user_id", "family_id", "token_hash", "expires_at", "created_at", "used_at",
			"access_jti", "access_expires_at",
		}},
		{"service_tokens", []string{"id", "name", "token_hash", "role", "org_id", "description", "created_at", "revoked_at"}},
		{"settings", []string{"key", "value"}},
		{"signing_keys", []string{
			"kid", "algorithm", "status", "public_key", "sealed_key", "created_at", "activated_at", "retired_at",
			"removed_at", "counted_ms", "token_life_ms",
		}},
		{"audit_events", []string{"id", "at", "action", "outcome", "actor_id", "target_id", "org_id", "address", "request_id", "detail"}},
	}
}

// insertRows is how many rows one INSERT carries: twelve columns of so many
// stay far under the 65,535 parameters that PostgreSQL takes.
const insertRows = 500

// Copied is what became of one table.
type Copied struct {
	Table    string
	Rows     int64
	Checksum string // order-independent, over all columns; equal on both sides
}

// CopyProgress is told of each table as it grows; done ends it.
type CopyProgress func(table string, rows int64, done bool)

// Copy copies everything from the SQLite database of cfg to the PostgreSQL
// database of the URL to, in one transaction there, and compares counts and
// checksums before it commits. The source is only read, in one snapshot: what a
// running server writes meanwhile is not in the copy.
//
// The destination must be empty, or hold exactly what would be copied, which is
// what a repetition after a lost answer meets; anything else is refused with
// code "copy_not_empty". progress may be nil.
func Copy(ctx context.Context, cfg Config, to string, progress CopyProgress) ([]Copied, error) {
	cfg = cfg.withDefaults()
	if progress == nil {
		progress = func(string, int64, bool) {}
	}
	from, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := copyTarget(from, to); err != nil {
		return nil, err
	}
	source, closeSource, err := openUnchanged(from.path)
	if err != nil {
		return nil, err
	}
	copied, err := copyFrom(ctx, cfg, source, to, progress)
	return copied, errors.Join(explainSQLite(from.path, err), closeSource())
}

func copyTarget(from target, to string) error {
	dest, err := parseURL(to)
	switch {
	case err != nil:
		return err
	case from.engine != engineSQLite:
		return fault.New(fault.Invalid, "copy_source", "only a SQLite database is copied; PostgreSQL has pg_dump")
	case dest.engine != enginePostgres:
		return fault.New(fault.Invalid, "copy_destination", "the destination must be a PostgreSQL database; for SQLite use `pico-auth backup`")
	default:
		return nil
	}
}

func copyFrom(ctx context.Context, cfg Config, source *sql.DB, to string, progress CopyProgress) (copied []Copied, err error) {
	snapshot, err := source.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = snapshot.Rollback() }() // nothing was written
	if err := copySource(ctx, snapshot); err != nil {
		return nil, err
	}
	cfg.URL = to
	dest, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dest.Close()) }()
	own := openPostgres(migrationConfig(dest.target.pg)) // no bound on how long a statement may take
	defer func() { err = errors.Join(err, own.Close()) }()
	tx, err := own.BeginTx(ctx, nil)
	if err != nil {
		return nil, dest.classify(err)
	}
	copied, err = copyAll(ctx, snapshot, tx, progress)
	if err != nil {
		return nil, errors.Join(dest.classify(err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return nil, dest.classify(err)
	}
	return copied, nil
}

// copySource refuses a source that is not a database of this version.
func copySource(ctx context.Context, q querier) error {
	found, err := inspect(ctx, q, false)
	if err != nil {
		return err
	}
	if found.state != stateOurs || found.version != schemaTarget {
		return fault.New(fault.Invalid, "copy_source",
			"the source is not a database of this version of pico-auth; start the server on it once, or run `pico-auth migrate`")
	}
	return nil
}

// copyAll fills the destination and compares it with the source.
func copyAll(ctx context.Context, source, dest *sql.Tx, progress CopyProgress) ([]Copied, error) {
	// Nobody may read or write halfway: a server that starts now waits.
	for _, t := range copyTables() {
		if _, err := dest.ExecContext(ctx, "LOCK TABLE "+t.name+" IN ACCESS EXCLUSIVE MODE"); err != nil {
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
	for _, t := range copyTables() {
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
				"the destination is not empty and its table %s differs from the source's; nothing was changed", t.name))
		}
		if got != want {
			return nil, fmt.Errorf("table %s arrived with %d rows and checksum %s instead of %d and %s; nothing was kept",
				t.name, got.Rows, got.Checksum, want.Rows, want.Checksum)
		}
		copied = append(copied, got)
	}
	return copied, nil
}

// isFresh reports whether the destination holds only what a new schema has.
func isFresh(ctx context.Context, dest *sql.Tx) (bool, error) {
	for _, t := range copyTables() {
		query := "SELECT COUNT(*) FROM " + t.name
		switch t.name {
		case "organizations":
			query += " WHERE id <> 'default'"
		case "settings":
			query += " WHERE key NOT IN ('" + settingGuard + "', '" + settingKeySet + "')"
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
	// What a new schema has, the source has, too.
	for _, statement := range []string{"DELETE FROM organizations", "DELETE FROM settings"} {
		if _, err := dest.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, t := range copyTables() {
		if err := fillTable(ctx, source, dest, t, progress); err != nil {
			return fmt.Errorf("copy table %s: %w", t.name, err)
		}
	}
	return nil
}

func fillTable(ctx context.Context, source, dest *sql.Tx, t copyTable, progress CopyProgress) error {
	var total int64
	batch := make([]any, 0, insertRows*len(t.columns))
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := dest.ExecContext(ctx, insertMany(t, len(batch)/len(t.columns)), batch...)
		batch = batch[:0]
		progress(t.name, total, false)
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
	progress(t.name, total, true)
	return nil
}

func insertMany(t copyTable, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", t.name, strings.Join(t.columns, ", "))
	n := 0
	for row := range rows {
		if row > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for column := range t.columns {
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

// eachRow reads a whole table. A value is nil, a string or an int64, so that
// both engines give the same.
func eachRow(ctx context.Context, q querier, t copyTable, do func(row []any) error) (err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+strings.Join(t.columns, ", ")+" FROM "+t.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row, dest := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range row {
		dest[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = string(b)
			}
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// digest counts the rows of a table and adds up their hashes, byte by byte
// without carry, so that the order in which an engine gives them is of no
// matter. Every table has a primary key: no row can hide another.
func digest(ctx context.Context, q querier, t copyTable) (Copied, error) {
	var sum [sha256.Size]byte
	var text []byte
	d := Copied{Table: t.name}
	err := eachRow(ctx, q, t, func(row []any) error {
		text = text[:0]
		for _, v := range row {
			value := fmt.Sprint(v)
			if v == nil {
				value = "\x00" // no stored text has a NUL
			}
			text = fmt.Appendf(text, "%d:%s", len(value), value)
		}
		for i, b := range sha256.Sum256(text) {
			sum[i] += b
		}
		d.Rows++
		return nil
	})
	d.Checksum = hex.EncodeToString(sum[:])
	return d, err
}

// Uncopied names the tables of the source that Copy leaves behind: those that
// are not this program's, such as mailbox credentials of the original.
func Uncopied(ctx context.Context, cfg Config) ([]string, error) {
	from, err := parseURL(cfg.URL)
	if err != nil || from.engine != engineSQLite {
		return nil, err
	}
	db, closeDB, err := openUnchanged(from.path)
	if err != nil {
		return nil, err
	}
	found, err := inspect(ctx, db, false)
	left := slices.DeleteFunc(found.others, func(name string) bool {
		return slices.Contains(newTables(), name)
	})
	return left, errors.Join(err, closeDB())
}
