package storetest

import (
	"database/sql"
	"strings"
	"testing"
)

// LoseIndexEntry makes an index of the SQLite database at url lack a row of its table,
// as a lost write does: every page stays readable. No process may have it open.
func LoseIndexEntry(t testing.TB, url string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:///"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'refresh_families_by_user'",
		"PRAGMA writable_schema = ON",
		"DELETE FROM sqlite_schema WHERE name = 'refresh_families_by_user'",
		"PRAGMA schema_version = 1000000", // makes this connection read the schema again
		"INSERT INTO refresh_families (id, user_id, created_at, expires_at) SELECT 'lost', id, created_at, created_at FROM users LIMIT 1",
		"INSERT INTO sqlite_schema SELECT * FROM kept",
		"PRAGMA schema_version = 1000001",
		"DROP TABLE kept",
		"PRAGMA writable_schema = OFF",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
