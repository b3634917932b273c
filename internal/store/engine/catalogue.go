package engine

import (
	"context"
	"database/sql"
)

// Querier is a database, a connection or a transaction to read from.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tables lists the tables of the database, sorted, without those of SQLite itself
// and of other schemas of PostgreSQL.
func Tables(ctx context.Context, q Querier, engine string) ([]string, error) {
	if engine == Postgres {
		return Names(ctx, q, `SELECT CAST(table_name AS TEXT) FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`)
	}
	return Names(ctx, q, `SELECT lower(name) FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`)
}

// Names runs a query whose rows are one text each.
func Names(ctx context.Context, q Querier, query string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
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
