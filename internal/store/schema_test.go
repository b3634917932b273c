package store_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// unused are columns that only processes of an earlier release read.
var unused = map[string][]string{"signing_keys": {"publish_ahead_ms"}}

// Databases are copied, checked for completeness and adopted by this list.
func TestTablesAreThoseOfTheSchemaWithAllTheirColumns(t *testing.T) {
	url := storetest.SQLite(t)
	if err := storetest.OpenURL(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	names := column(storetest.Rows(t, url, `SELECT name FROM sqlite_master WHERE type = 'table'
		AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version' ORDER BY 1`))
	if diff := cmp.Diff(names, store.TableNames()); diff != "" {
		t.Errorf("tables (-schema +list):\n%s", diff)
	}
	for _, table := range store.Tables() {
		want := column(storetest.Rows(t, url, "SELECT name FROM pragma_table_xinfo('"+table.Name+"') ORDER BY 1"))
		got := slices.Sorted(slices.Values(slices.Concat(table.Columns, unused[table.Name])))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("columns of %s (-schema +list):\n%s", table.Name, diff)
		}
	}
}

func column(rows [][]string) (list []string) {
	for _, row := range rows {
		list = append(list, row[0])
	}
	return list
}
