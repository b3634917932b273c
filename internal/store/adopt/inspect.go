package adopt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// legacyTable is a table of the original and its columns.
type legacyTable struct {
	name     string
	columns  []string
	required bool // all versions had it
}

// legacyTables are the original's, in an order in which they can be dropped
// in spite of references between them. Its table of mailbox credentials,
// email_credentials, is not included: it is left as it is.
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

// shape is what the catalogue shows of a database of the original.
type shape struct {
	legacy   []string // existing tables of the original, in the order of legacyTables
	problems []string // what depends on the original's tables, or conflicts with ours, and forbids adoption
}

// errUnknown means that a database is not the original's.
var errUnknown = errors.New("adopt: the database is not a Python server's")

// inspect reads the catalogue only.
func inspect(ctx context.Context, q engine.Querier, kind string) (shape, error) {
	found, err := store.Inspect(ctx, q, kind)
	if err != nil {
		return shape{}, err
	}
	if !found.Adoptable() {
		return shape{}, errUnknown
	}
	c := catalogue{q: q, engine: kind}
	sh, err := c.match(ctx, found.Tables)
	if err != nil && !errors.Is(err, errUnknown) {
		return shape{}, fmt.Errorf("read the catalogue: %w", err)
	}
	return sh, err
}

// match fails with errUnknown if a table or a column is missing that every
// version of the original had.
func (c catalogue) match(ctx context.Context, tables []string) (sh shape, err error) {
	for _, t := range legacyTables() {
		if !slices.Contains(tables, t.name) {
			if t.required {
				return shape{}, errUnknown
			}
			continue
		}
		sh.legacy = append(sh.legacy, t.name)
		columns, err := c.columns(ctx, t.name)
		if err != nil {
			return shape{}, err
		}
		for _, name := range t.columns {
			if !slices.Contains(columns, name) {
				return shape{}, errUnknown
			}
		}
		for _, name := range columns {
			if !slices.Contains(t.columns, name) {
				sh.problems = append(sh.problems, fmt.Sprintf(
					"the table %s has a column %q that the Python server does not know and that would be lost", t.name, name))
			}
		}
	}
	obstacles, err := c.obstacles(ctx, tables)
	sh.problems = append(sh.problems, obstacles...)
	return sh, err
}

// obstacles lists what would be lost or broken by replacing the original's
// tables; the original made none of it.
func (c catalogue) obstacles(ctx context.Context, tables []string) (problems []string, err error) {
	for _, name := range store.TableNames() {
		if slices.Contains(tables, name) && !isLegacy(name) {
			problems = append(problems, fmt.Sprintf(
				"there is a table %s already that is not this server's; rename it first", name))
		}
	}
	dependents, err := c.dependents(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range dependents {
		if isLegacy(d.table) && (d.kind != "foreign key" || !isLegacy(d.owner)) {
			problems = append(problems, fmt.Sprintf(
				"the table %s has a %s that the Python server did not make: %q; drop it first", d.table, d.kind, d.owner))
		}
	}
	return problems, nil
}

func isLegacy(table string) bool {
	return slices.ContainsFunc(legacyTables(), func(t legacyTable) bool { return t.name == table })
}

// catalogue reads the catalogue of an engine.
type catalogue struct {
	q      engine.Querier
	engine string
}

// dependent is something that refers to a table.
type dependent struct {
	kind  string // trigger, foreign key, view
	owner string // its name, or of the table that has the foreign key
	table string // what it refers to
}

func (c catalogue) columns(ctx context.Context, table string) ([]string, error) {
	if c.engine == engine.Postgres {
		return engine.Names(ctx, c.q, `SELECT CAST(column_name AS TEXT) FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, table)
	}
	return engine.Names(ctx, c.q, `SELECT lower(name) FROM pragma_table_xinfo($1) ORDER BY cid`, table)
}

// dependents lists what refers to any table. A view on SQLite is no obstacle:
// it looks up its tables by name each time it is read.
func (c catalogue) dependents(ctx context.Context) ([]dependent, error) {
	query := `SELECT 'trigger', name, lower(tbl_name) FROM sqlite_master WHERE type = 'trigger'
		UNION SELECT 'foreign key', lower(m.name), lower(f."table")
			FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 1, 2, 3`
	if c.engine == engine.Postgres {
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
