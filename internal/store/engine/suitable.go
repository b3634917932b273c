package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// suitability is what a PostgreSQL server says of the database and of the role that
// asks.
type suitability struct {
	database, role, encoding string

	path   string   // search_path as it is set
	usable []string // its schemas that exist and that the role may use
	schema string   // the first of them, where tables are made; empty: none
	create bool     // the role may create tables there
}

// Unsuitable returns a sentence for each property of the PostgreSQL database that this
// program needs and that is missing: the schemas of search_path, the encoding, and the
// rights of the role on those of the tables that exist. readOnly are further tables
// that are read only.
func (t Target) Unsuitable(ctx context.Context, q Querier, tables, readOnly []string) ([]string, error) {
	var s suitability
	if err := s.ask(ctx, q); err != nil {
		return nil, err
	}
	var faults []string
	if s.encoding != "UTF8" {
		faults = append(faults, fmt.Sprintf("the database %q has the encoding %s; it must be UTF8 (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)", s.database, s.encoding))
	}
	if set := t.Server.RuntimeParams["search_path"]; t.Pooled() && set != "" && set != s.path {
		faults = append(faults, fmt.Sprintf("the connection pooler ignores search_path of database.url; set it for the role (ALTER ROLE %s SET search_path = %s)", ident(s.role), set))
	}
	missing, err := s.schemas(ctx, q)
	if faults = append(faults, missing...); err != nil || len(faults) > 0 {
		return faults, err
	}
	return s.rights(ctx, q, tables, readOnly)
}

// Unmigratable is Unsuitable for what only a migration needs: the role must be able to
// create tables, and to alter those of the tables that exist.
func (t Target) Unmigratable(ctx context.Context, q Querier, tables []string) ([]string, error) {
	var s suitability
	if err := s.ask(ctx, q); err != nil {
		return nil, err
	}
	var faults []string
	if !s.create {
		faults = append(faults, fmt.Sprintf("the role %q may not create tables in the schema %q; run GRANT CREATE ON SCHEMA %s TO %s", s.role, s.schema, ident(s.schema), ident(s.role)))
	}
	foreign, err := Names(ctx, q, `SELECT CAST(relname AS TEXT) FROM pg_class WHERE relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace)
		AND relkind IN ('r', 'p') AND relname = ANY(string_to_array($1, ',')) AND NOT pg_has_role(relowner, 'USAGE') ORDER BY 1`, strings.Join(tables, ","))
	if len(foreign) > 0 {
		faults = append(faults, fmt.Sprintf("the role %q does not own the tables %s in the schema %q and cannot migrate them; run ALTER TABLE ... OWNER TO %s, or migrate as their owner (pico-auth migrate)",
			s.role, strings.Join(foreign, ", "), s.schema, ident(s.role)))
	}
	return faults, err
}

// NotSuitable is the fault of a database with these properties missing, nil without
// any. A retry can help: they are mended on the server.
func NotSuitable(faults []string) error {
	if len(faults) == 0 {
		return nil
	}
	return fault.New(fault.Forbidden, "database_unsuitable", strings.Join(faults, "\n"))
}

func (s *suitability) ask(ctx context.Context, q Querier) error {
	var usable string
	err := q.QueryRowContext(ctx, `SELECT CAST(current_database() AS TEXT), CAST(current_user AS TEXT), current_setting('server_encoding'),
		current_setting('search_path'), array_to_string(current_schemas(false), chr(10)), COALESCE(CAST(current_schema() AS TEXT), ''),
		COALESCE(has_schema_privilege(CAST(current_schema() AS TEXT), 'CREATE'), false)`).
		Scan(&s.database, &s.role, &s.encoding, &s.path, &usable, &s.schema, &s.create)
	s.usable = strings.Split(usable, "\n")
	return err
}

// schemas returns a sentence for each schema of search_path that the server skips
// until the first usable one: tables would be made in another schema than the operator
// named. That there is none of the role's name ("$user") is usual.
func (s *suitability) schemas(ctx context.Context, q Querier) (faults []string, err error) {
	for _, name := range splitPath(s.path) {
		if name == s.schema {
			return faults, nil
		}
		if name == "$user" || slices.Contains(s.usable, name) {
			continue
		}
		var exists bool
		if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", name).Scan(&exists); err != nil {
			return nil, err
		}
		if exists {
			faults = append(faults, fmt.Sprintf("the role %q may not use the schema %q of search_path; run GRANT USAGE, CREATE ON SCHEMA %s TO %s", s.role, name, ident(name), ident(s.role)))
		} else {
			faults = append(faults, fmt.Sprintf("the schema %q of search_path does not exist in the database %q; create it (CREATE SCHEMA %s AUTHORIZATION %s), or correct search_path", name, s.database, ident(name), ident(s.role)))
		}
	}
	if s.schema == "" && len(faults) == 0 {
		faults = append(faults, fmt.Sprintf("search_path (%s) names no schema of the database %q that the role %q may use", s.path, s.database, s.role))
	}
	return faults, nil
}

// rights returns a sentence for each set of rights that is missing on tables.
func (s *suitability) rights(ctx context.Context, q Querier, tables, readOnly []string) (faults []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT missing, string_agg(relname, ', ' ORDER BY relname) FROM (
			SELECT CAST(c.relname AS TEXT) AS relname, string_agg(p, ', ') AS missing
			FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
			WHERE c.relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace) AND c.relkind IN ('r', 'p')
				AND (c.relname = ANY(string_to_array($1, ',')) OR p = 'SELECT' AND c.relname = ANY(string_to_array($2, ',')))
				AND NOT has_table_privilege(c.oid, p)
			GROUP BY 1) AS each GROUP BY 1 ORDER BY 1`, strings.Join(tables, ","), strings.Join(readOnly, ","))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var missing, names string
		if err := rows.Scan(&missing, &names); err != nil {
			return nil, err
		}
		faults = append(faults, fmt.Sprintf("the role %q lacks the rights %s on the tables %s in the schema %q; run GRANT %s ON ALL TABLES IN SCHEMA %s TO %s",
			s.role, missing, names, s.schema, missing, ident(s.schema), ident(s.role)))
	}
	return faults, rows.Err()
}

// ident is the name as SQL has it.
func ident(name string) string {
	if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == "" && (name[0] < '0' || name[0] > '9') {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

// splitPath returns the names in a search_path, as PostgreSQL's
// SplitIdentifierString does: without quotes a name is in lower case.
func splitPath(path string) (names []string) {
	for path = strings.TrimSpace(path); path != ""; path = strings.TrimSpace(path) {
		var name string
		if quoted, ok := strings.CutPrefix(path, `"`); ok {
			name, path = unquote(quoted)
			path = strings.TrimPrefix(strings.TrimSpace(path), ",")
		} else {
			name, path, _ = strings.Cut(path, ",")
			name = strings.ToLower(strings.TrimSpace(name))
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// unquote returns the name before the closing quote, and what follows that.
func unquote(text string) (name, rest string) {
	for {
		part, after, _ := strings.Cut(text, `"`)
		name += part
		if !strings.HasPrefix(after, `"`) {
			return name, after
		}
		name, text = name+`"`, after[1:]
	}
}
