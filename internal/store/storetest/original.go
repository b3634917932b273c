package storetest

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// EachEmpty runs test with the URL of a database without tables on each engine.
// Exec puts a database of the original server there.
func EachEmpty(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, EmptyPostgres(t)) })
}

// Exec runs SQL on the database of the URL without the store. No store may have
// it open.
func Exec(t testing.TB, url, script string) {
	t.Helper()
	db := openRaw(t, url)
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Errorf("run SQL on the test database: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// openRaw opens the database of the URL without the store.
func openRaw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:///"); ok {
		driver, name = "sqlite", filepath.FromSlash(path)
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
