package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// The states of a database before it is opened.
const (
	stateEmpty    = "empty"    // nothing there: the tables will be made
	stateOurs     = "ours"     // has a migration of ours applied
	stateOriginal = "original" // the Python server's tables: will be adopted
	stateForeign  = "foreign"  // somebody else's tables: left alone
)

// versionTable is where goose keeps what was applied. Other programs use goose,
// too: the versions are of ours only beside ourTable, which each version has.
const (
	versionTable = "goose_db_version"
	ourTable     = "refresh_families"
)

// querier is a database, a connection or a transaction to read from.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// legacyTable is a table of the original and its columns.
type legacyTable struct {
	name     string
	columns  []string
	required bool // all versions had it
}

// legacyTables are the original's, in the order in which they can be dropped
// whatever references somebody may have added between them. Its table of
// mailbox credentials, email_credentials, is not among them: it is left as it is.
func legacyTables() []legacyTable {
	return []legacyTable{
		{name: "group_members", columns: []string{"group_id", "user_id", "joined_at"}},
		{name: "groups", columns: []string{"id", "name", "description", "org_id", "created_at", "updated_at"}},
		{
			name: "refresh_tokens", required: true,
			columns: []string{"id", "user_id", "token_hash", "expires_at", "created_at"},
		},
		{
			name:    "service_tokens",
			columns: []string{"id", "name", "token_hash", "role", "org_id", "description", "created_at", "revoked_at"},
		},
		{name: "users", required: true, columns: []string{
			"id", "email", "display_name", "password_hash", "role",
			"org_id", "status", "created_at", "last_login_at",
		}},
	}
}

// newTables are the tables of our schema that the original does not have.
func newTables() []string {
	return []string{"organizations", "refresh_families", "settings", "audit_events", "signing_keys", "leases"}
}

// shape is what a look at the catalogue of a database tells.
type shape struct {
	state    string
	version  int64    // the newest migration applied; 0: none
	legacy   []string // tables of the original that are there, in the order of legacyTables
	others   []string // tables that are neither the original's nor goose's, sorted
	problems []string // what hangs on the original's tables, or is in the way of ours, and forbids adoption
}

// inspect looks at the catalogue and reads nothing else but the version.
func inspect(ctx context.Context, q querier, postgres bool) (shape, error) {
	c := catalogue{q: q, postgres: postgres}
	tables, err := c.tables(ctx)
	if err != nil {
		return shape{}, fmt.Errorf("read the catalogue: %w", err)
	}
	var sh shape
	if slices.Contains(tables, versionTable) {
		if sh.version, err = appliedVersion(ctx, q); err != nil {
			return shape{}, err
		}
	}
	for _, name := range tables {
		if name != versionTable && !isLegacy(name) {
			sh.others = append(sh.others, name)
		}
	}
	switch {
	case sh.version > 0 && slices.Contains(tables, ourTable):
		sh.state = stateOurs
		return sh, nil
	case sh.version > 0:
		sh.state, sh.legacy = stateForeign, slices.DeleteFunc(tables, func(name string) bool { return !isLegacy(name) })
		return sh, nil
	}
	if err := c.matchOriginal(ctx, tables, &sh); err != nil {
		return shape{}, fmt.Errorf("read the catalogue: %w", err)
	}
	return sh, nil
}

func appliedVersion(ctx context.Context, q querier) (version int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return version, nil
}

// matchOriginal decides between empty, original and foreign.
func (c catalogue) matchOriginal(ctx context.Context, tables []string, sh *shape) error {
	sh.state = stateOriginal
	for _, t := range legacyTables() {
		if !slices.Contains(tables, t.name) {
			if t.required {
				sh.state = stateForeign
			}
			continue
		}
		sh.legacy = append(sh.legacy, t.name)
		columns, err := c.columns(ctx, t.name)
		if err != nil {
			return err
		}
		for _, name := range t.columns {
			if !slices.Contains(columns, name) {
				sh.state = stateForeign
			}
		}
		for _, name := range columns {
			if !slices.Contains(t.columns, name) {
				sh.problems = append(sh.problems, fmt.Sprintf(
					"the table %s has a column %q that the Python server does not know and that would be lost", t.name, name))
			}
		}
	}
	switch {
	case len(sh.legacy) == 0 && len(sh.others) == 0:
		sh.state = stateEmpty
	case sh.state == stateOriginal:
		return c.findObstacles(ctx, sh)
	}
	if sh.state != stateOriginal {
		sh.problems = nil
	}
	return nil
}

// findObstacles adds what would be lost or broken by replacing the original's
// tables, none of which the original itself ever made.
func (c catalogue) findObstacles(ctx context.Context, sh *shape) error {
	for _, name := range newTables() {
		if slices.Contains(sh.others, name) {
			sh.problems = append(sh.problems, fmt.Sprintf(
				"there is a table %s already that is not this server's; rename it first", name))
		}
	}
	dependents, err := c.dependents(ctx)
	if err != nil {
		return err
	}
	for _, d := range dependents {
		if isLegacy(d.table) && (d.kind != "foreign key" || !isLegacy(d.owner)) {
			sh.problems = append(sh.problems, fmt.Sprintf(
				"the table %s has a %s hanging on it that the Python server did not make: %q; drop it first", d.table, d.kind, d.owner))
		}
	}
	return nil
}

// refusal returns why the database cannot be opened at all by a program whose
// newest migration is newest, nil where it can.
func (sh shape) refusal(newest int64) error {
	switch {
	case sh.state == stateForeign:
		return fault.New(fault.Invalid, "foreign_database", fmt.Sprintf(
			"the database holds tables that are neither this server's nor the Python server's (%s); "+
				"set database.url to another database", strings.Join(append(sh.legacy, sh.others...), ", ")))
	case sh.version > newest:
		return fault.New(fault.Invalid, "newer_database", fmt.Sprintf(
			"the database was written by a newer version of this program (schema %d, this program knows %d); "+
				"start that version, or restore a backup made by this one", sh.version, newest))
	default:
		return nil
	}
}

func isLegacy(table string) bool {
	return slices.ContainsFunc(legacyTables(), func(t legacyTable) bool { return t.name == table })
}

// catalogue asks an engine what there is.
type catalogue struct {
	q        querier
	postgres bool
}

// dependent is something that refers to a table.
type dependent struct {
	kind  string // trigger, foreign key, view
	owner string // its name, or of the table that has the foreign key
	table string // what it refers to
}

func (c catalogue) tables(ctx context.Context) ([]string, error) {
	if c.postgres {
		return c.names(ctx, `SELECT CAST(table_name AS TEXT) FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`)
	}
	return c.names(ctx, `SELECT lower(name) FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`)
}

func (c catalogue) columns(ctx context.Context, table string) ([]string, error) {
	if c.postgres {
		return c.names(ctx, `SELECT CAST(column_name AS TEXT) FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, table)
	}
	return c.names(ctx, `SELECT lower(name) FROM pragma_table_xinfo($1) ORDER BY cid`, table)
}

// dependents lists what refers to any table. On SQLite a view is no obstacle:
// it finds its tables by name each time it is read.
func (c catalogue) dependents(ctx context.Context) ([]dependent, error) {
	query := `SELECT 'trigger', name, lower(tbl_name) FROM sqlite_master WHERE type = 'trigger'
		UNION SELECT 'foreign key', lower(m.name), lower(f."table")
			FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 1, 2, 3`
	if c.postgres {
		query = `SELECT 'trigger', CAST(g.tgname AS TEXT), CAST(t.relname AS TEXT)
			FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_namespace n ON n.oid = t.relnamespace
			WHERE NOT g.tgisinternal AND n.nspname = current_schema()
		UNION SELECT 'foreign key', CAST(o.relname AS TEXT), CAST(t.relname AS TEXT)
			FROM pg_constraint k JOIN pg_class o ON o.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
			JOIN pg_namespace n ON n.oid = t.relnamespace WHERE k.contype = 'f' AND n.nspname = current_schema()
		UNION SELECT 'view', CAST(v.relname AS TEXT), CAST(t.relname AS TEXT)
			FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class
			JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
			WHERE d.classid = CAST('pg_rewrite' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
				AND v.oid <> t.oid AND n.nspname = current_schema() ORDER BY 1, 2, 3`
	}
	rows, err := c.q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []dependent
	for rows.Next() {
		var d dependent
		if err := rows.Scan(&d.kind, &d.owner, &d.table); err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

func (c catalogue) names(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := c.q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}
