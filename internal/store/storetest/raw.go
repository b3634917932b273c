package storetest

import (
	"context"
	"database/sql"
	"testing"
)

// Rows runs a query on the database of the URL without the store and returns its
// rows as text, NULL as "".
func Rows(t testing.TB, url, query string) [][]string {
	t.Helper()
	db := openRaw(t, url)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("query the test database: %v", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for rows.Next() {
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("query the test database: %v", err)
	}
	return all
}

// Hold runs the statement, such as BEGIN IMMEDIATE, on a connection to the
// database of the URL and keeps it open until release is called, which rolls back.
func Hold(t testing.TB, url, statement string) (release func()) {
	t.Helper()
	db := openRaw(t, url)
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("hold the test database: %v", err)
	}
	return func() {
		if _, err := db.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
