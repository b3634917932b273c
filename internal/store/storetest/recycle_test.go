package storetest

import (
	"slices"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestMain(m *testing.M) { Main(m) }

// used returns the URL of a database that a test used, with the rows it left.
func used(t *testing.T, left func(t *testing.T, url string)) (url string) {
	t.Helper()
	t.Run("uses it", func(t *testing.T) {
		url = Postgres(t)
		left(t, url)
	})
	return url
}

func TestARecycledDatabaseHasNothingOfThePreviousTest(t *testing.T) {
	before := used(t, func(t *testing.T, url string) {
		s := OpenURL(t, url)
		act := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}
		if _, err := s.InsertGroup(t.Context(), act, identity.Group{Name: "left", OrgID: "acme"}); err != nil {
			t.Fatal(err)
		}
		if err := s.SetRegistration(t.Context(), act, false); err != nil {
			t.Fatal(err)
		}
		Rows(t, url, "UPDATE settings SET value = '7' WHERE key = 'key_set_version'")
	})
	url := Postgres(t)
	if url != before {
		t.Fatalf("%s was not recycled", before)
	}
	for _, table := range Rows(t, url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") {
		query := "SELECT * FROM " + table[0] + " ORDER BY 1"
		want := Rows(t, shared.url(shared.template), query)
		if got := Rows(t, url, query); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: %v, want %v", table[0], got, want)
		}
	}
}

func TestADatabaseThatIsNoLongerLikeTheTemplateIsNotRecycled(t *testing.T) {
	for name, statement := range map[string]string{
		"a table":    "CREATE TABLE x (y TEXT)",
		"a column":   "ALTER TABLE users ADD COLUMN phone TEXT",
		"no column":  "ALTER TABLE users DROP COLUMN display_name",
		"no index":   "DROP INDEX groups_by_org",
		"a setting":  "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$",
		"a function": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
	} {
		before := used(t, func(t *testing.T, url string) { Exec(t, url, statement) })
		if url := Postgres(t); url == before {
			t.Errorf("%s: it was recycled", name)
		}
	}
}

func TestADatabaseInUseIsNotRecycled(t *testing.T) {
	var release func()
	before := used(t, func(t *testing.T, url string) {
		db := openRaw(t, url)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		release = func() { db.Close() }
	})
	defer release()
	if url := Postgres(t); url == before {
		t.Error("it was recycled")
	}
}
