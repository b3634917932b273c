package storetest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// pristine is a database after the migrations.
type pristine struct {
	schema string            // everything except rows
	rows   map[string][]byte // of each table, as COPY writes them
}

// schemaOf returns one text with every column, index, constraint, trigger,
// function and setting of a database.
const schemaOf = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
	SELECT attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' ||
		COALESCE(pg_get_expr(adbin, adrelid), '') AS line
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE relnamespace = 'public'::regnamespace AND attnum > 0
	UNION ALL SELECT pg_get_indexdef(indexrelid) || ' ' || indisvalid
	FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace
	UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
	FROM pg_constraint WHERE connamespace = 'public'::regnamespace
	UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
	UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
	UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_temp%' AND nspname NOT LIKE 'pg\_toast%'
	UNION ALL SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
) AS lines`

// connect opens a connection of its own.
func (s *server) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.url(name))
}

func (s *server) inspect(ctx context.Context, name string) (p pristine, err error) {
	conn, err := s.connect(ctx, name)
	if err != nil {
		return p, err
	}
	defer func() { _ = conn.Close(ctx) }() // an error would have no consequence
	if err := conn.QueryRow(ctx, schemaOf).Scan(&p.schema); err != nil {
		return p, err
	}
	rows, err := conn.Query(ctx, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		return p, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return p, err
	}
	p.rows = map[string][]byte{}
	for _, table := range tables {
		var all bytes.Buffer
		if _, err := conn.PgConn().CopyTo(ctx, &all, "COPY "+table+" TO STDOUT"); err != nil {
			return p, err
		}
		p.rows[table] = all.Bytes()
	}
	return p, nil
}

// reuse returns a database that equals the template, empty if there is none.
func (s *server) reuse() (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		name, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	return name
}

// recycle resets the database to the template. It refuses if that needs more than
// rows, or if a connection is still open: making a database costs 50 times as much
// as emptying it, and data of another test would make failures hard to explain.
func (s *server) recycle(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.mu.Lock()
	conn := s.conns[name]
	delete(s.conns, name)
	s.mu.Unlock()
	if conn == nil {
		var err error
		if conn, err = s.connect(ctx, name); err != nil {
			return false
		}
	}
	if !s.reset(ctx, conn) {
		_ = conn.Close(ctx) // an error would have no consequence
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = map[string]*pgx.Conn{}
	}
	s.idle, s.conns[name] = append(s.idle, name), conn
	return true
}

func (s *server) reset(ctx context.Context, conn *pgx.Conn) bool {
	var schema string
	err := conn.QueryRow(ctx, schemaOf).Scan(&schema)
	return err == nil && schema == s.fresh.schema && alone(ctx, conn) && s.empty(ctx, conn) == nil
}

// alone waits briefly for connections that were closed to end.
func alone(ctx context.Context, conn *pgx.Conn) bool {
	for range 50 {
		var others int
		err := conn.QueryRow(ctx, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&others)
		if err != nil {
			return false
		}
		if others == 0 {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

// empty replaces all rows with those of the template.
func (s *server) empty(ctx context.Context, conn *pgx.Conn) error {
	tables := slices.Sorted(maps.Keys(s.fresh.rows))
	script := "BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM " + strings.Join(tables, "; DELETE FROM ")
	if _, err := conn.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	for _, table := range tables {
		if rows := s.fresh.rows[table]; len(rows) > 0 {
			if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(rows), "COPY "+table+" FROM STDIN"); err != nil {
				return err
			}
		}
	}
	_, err := conn.Exec(ctx, "COMMIT")
	return err
}
