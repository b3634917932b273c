package store_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

// TestADatabaseThatLacksSomethingStopsTheStart on both engines, with a message, and
// `migrate --check` reports the same.
func TestADatabaseThatLacksSomethingStopsTheStart(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"a table":           {"DROP TABLE group_members", "lacks a table or a column"},
		"the leases":        {"DROP TABLE leases", "lacks a table or a column"},
		"a column":          {"ALTER TABLE groups RENAME COLUMN description TO details", "lacks a table or a column"},
		"the settings' row": {"DELETE FROM settings", "lacks \"superadmin_guard\""},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.EachURL(t, func(t *testing.T, url string) {
				if err := storetest.OpenURL(t, url).Close(); err != nil {
					t.Fatal(err)
				}
				storetest.Rows(t, url, c.statement)
				s, err := store.Open(t.Context(), store.Config{URL: url})
				if err == nil {
					_ = s.Close()
					t.Fatal("it was opened")
				}
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				plan, err := transfer.Check(t.Context(), store.Config{URL: url})
				if err != nil || plan.OK() || !strings.Contains(strings.Join(plan.Problems, " "), c.want) {
					t.Errorf("check: %+v, %v", plan.Problems, err)
				}
			})
		})
	}
}
