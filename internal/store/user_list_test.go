package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// named stores a user of that id, address and name.
func (w *world) named(id, email, name, org string, role identity.Role) {
	w.t.Helper()
	w.ok(w.s.CreateUser(w.t.Context(), system("seed"), identity.User{ID: id, Email: email, DisplayName: name, PasswordHash: "x", Role: role, OrgID: org}))
	w.clock.Advance(time.Millisecond)
}

// all are the ids on all pages of that length.
func (w *world) all(by identity.Actor, f store.ListFilter) []string {
	w.t.Helper()
	found := []string{}
	for range 100 {
		p, err := w.s.Users(w.t.Context(), by, f)
		w.ok(err)
		found = append(found, ids(p.Items)...)
		if len(p.Items) > f.Limit && f.Limit > 0 {
			w.t.Errorf("%d on a page of %d", len(p.Items), f.Limit)
		}
		if f.Cursor = p.Next; f.Cursor == "" {
			return found
		}
	}
	w.t.Fatalf("the list does not end: %q", found)
	return nil
}

func TestUsersAreFoundByTheBeginningOfAddressOrName(t *testing.T) {
	onEach(t, func(w *world) {
		w.named("root", "root@example.org", "Zed", "default", identity.Superadmin)
		w.named("1", "Anna@B\u00fccher.example", "\u00c9va M\u00fcller", "default", identity.Viewer)
		w.named("2", "annabel@example.org", "Stra\u00dfe", "acme", identity.OrgAdmin)
		w.named("3", "z@example.org", "Annabel Lee", "acme", identity.Viewer)
		w.named("4", "b@example.org", "anna", "acme", identity.Viewer)
		w.named("5", "a_b@example.org", "100%", "acme", identity.Operator)
		w.named("6", "axb@example.org", " Ann", "acme", identity.Viewer)
		root, boss := identity.Actor{Kind: identity.ActorUser, ID: "root"}, identity.Actor{Kind: identity.ActorUser, ID: "2"}
		for _, c := range []struct {
			by   identity.Actor
			f    store.ListFilter
			want string
		}{
			{root, store.ListFilter{Query: "anna"}, "1 2 4 3"}, // by address, then by name
			{root, store.ListFilter{Query: "ANNA"}, "1 2 4 3"},
			{root, store.ListFilter{Query: " anna "}, "1 2 4 3"},
			{root, store.ListFilter{Query: "ann"}, "1 2 6 4 3"},
			{boss, store.ListFilter{Query: "anna"}, "2 4 3"},
			{root, store.ListFilter{Query: "anna", OrgID: "default"}, "1"},
			{root, store.ListFilter{Query: "anna", Sort: "-created_at"}, "4 3 2 1"},
			{root, store.ListFilter{Query: "anna", Sort: "email"}, "1 2 4 3"},
			{root, store.ListFilter{Query: "anna", Role: identity.Viewer}, "1 4 3"},
			{root, store.ListFilter{Query: "e\u0301VA m\u00dc"}, "1"},
			{root, store.ListFilter{Query: "STRASSE"}, "2"},
			{root, store.ListFilter{Query: "anna@b\u00fccher.example"}, "1"},
			{root, store.ListFilter{Query: "anna@"}, "1"},
			{root, store.ListFilter{Query: "a_"}, "5"}, // nothing is a wildcard
			{root, store.ListFilter{Query: "%"}, ""},
			{root, store.ListFilter{Query: "100%"}, "5"},
			{root, store.ListFilter{Query: "nna"}, ""},
			{root, store.ListFilter{Query: "\U0010ffff"}, ""},
			{root, store.ListFilter{Role: identity.Operator}, "5"},
			{root, store.ListFilter{Sort: "email"}, "5 1 2 6 4 root 3"},
			{root, store.ListFilter{Sort: "-email"}, "3 root 4 6 2 1 5"},
			{boss, store.ListFilter{Sort: "display_name"}, "5 6 4 3 2"},
			{boss, store.ListFilter{Sort: "-display_name"}, "2 3 4 6 5"},
			{root, store.ListFilter{Sort: "-created_at"}, "6 5 4 3 2 1 root"},
			{root, store.ListFilter{Sort: "created_at"}, "root 1 2 3 4 5 6"},
		} {
			for _, limit := range []int{0, 1, 2, 3, 5} {
				c.f.Limit = limit
				if got := strings.Join(w.all(c.by, c.f), " "); got != c.want {
					w.t.Errorf("%+v: %s, want %s", c.f, got, c.want)
				}
			}
			p, err := w.s.Users(w.t.Context(), c.by, c.f)
			if n := len(strings.Fields(c.want)); err != nil || p.Total != n {
				w.t.Errorf("%+v: total %d of %d, %v", c.f, p.Total, n, err)
			}
		}
		_, err := w.s.SetStatus(w.t.Context(), system("x"), "4", identity.Suspended)
		w.ok(err)
		if got := w.all(root, store.ListFilter{Status: identity.Suspended}); !slices.Equal(got, []string{"4"}) {
			w.t.Errorf("suspended: %q", got)
		}
		p, err := w.s.Users(w.t.Context(), root, store.ListFilter{Sort: "email", Limit: 1})
		w.ok(err)
		for _, f := range []store.ListFilter{
			{Sort: "last_login_at"},
			{Sort: "password_hash"},
			{Role: "root"},
			{Status: "gone' OR 1 = 1"},
			{Cursor: p.Next},
			{Sort: "-email", Cursor: p.Next},
			{Query: "a", Cursor: "x"},
			{Sort: "email", Cursor: "AAAA"},
		} {
			_, err := w.s.Users(w.t.Context(), root, f)
			w.refused(err, fault.Invalid, "validation_failed")
		}
	})
}

// Users come and go between two pages.
func TestPagesStayStableUnderInserts(t *testing.T) {
	onEach(t, func(w *world) {
		for i := range 6 {
			w.named(numbered("u", i), numbered("m", 2*i)+"@example.org", numbered("m", 2*i), "default", identity.Viewer)
		}
		for _, f := range []store.ListFilter{{Sort: "email"}, {Sort: "-display_name"}, {Query: "m-0"}} {
			f.Limit = 2
			p, err := w.s.Users(w.t.Context(), system("").By, f)
			w.ok(err)
			seen := ids(p.Items)
			w.named("new", "m-000a@example.org", "m-010a", "default", identity.Viewer) // before the cursor of each
			f.Cursor = p.Next
			seen = append(seen, w.all(system("").By, f)...)
			w.ok(w.s.DeleteUser(w.t.Context(), system("x"), "new"))
			slices.Sort(seen)
			if diff := cmp.Diff([]string{"u-000", "u-001", "u-002", "u-003", "u-004", "u-005"}, slices.Compact(seen)); diff != "" || len(seen) != 6 {
				w.t.Errorf("%+v: %q", f, seen)
			}
		}
	})
}

// seedUsers stores users without the store.
func seedUsers(t *testing.T, url string, n int) {
	t.Helper()
	count := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", n)
	script := "INSERT INTO organizations (id, created_at) VALUES ('big', '2026-11-21T12:00:00.000000Z'), ('small', '2026-11-21T12:00:00.000000Z');" +
		"INSERT INTO users (id, email, email_key, display_name, name_key, password_hash, role, org_id, status, created_at) " + count +
		`SELECT 'id-' || i, 'user' || i || '@example.org', 'user' || i || '@example.org', 'Name ' || i, 'name ' || i, 'x',
			CASE WHEN i % 5000 = 1 THEN 'org_admin' ELSE 'viewer' END, CASE WHEN i % 2000 = 1 THEN 'small' ELSE 'big' END,
			CASE WHEN i % 5000 = 2 THEN 'suspended' ELSE 'active' END, '2026-11-21T12:00:00.' || (100000 + i) || 'Z' FROM n;`
	if !strings.HasPrefix(url, "sqlite") {
		script += "ANALYZE;"
	}
	storetest.Exec(t, url, script)
}

// Each page is a range of an index in its order: its cost does not depend on the
// number of users, and neither does that of the total of a search.
func TestNoPageOfUsersReadsOrSortsTheTable(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		seedUsers(t, url, 30_000)
		s := storetest.OpenURL(t, url)
		seen := s.Record()
		operator := identity.Actor{Kind: identity.ActorSystem}
		for _, f := range []store.ListFilter{
			{},
			{OrgID: "small"},
			{Sort: "-created_at"},
			{Sort: "email"},
			{Sort: "-email", OrgID: "big"},
			{Sort: "display_name"},
			{Sort: "-display_name", OrgID: "small"},
			{Role: identity.OrgAdmin},
			{Status: identity.Suspended},
			{Query: "user"},
			{Query: "name 1"},
			{Query: "user1", OrgID: "small"},
			{Query: "name", OrgID: "small"},
		} {
			f.Limit = 20
			for range 2 { // and the next page
				p, err := s.Users(t.Context(), operator, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, q := range *seen {
					plan, err := s.Plan(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					total := strings.HasPrefix(q.Query, "SELECT COUNT(*) FROM users")
					if bad := badPlan(plan); bad != "" && !total {
						t.Errorf("%+v: %s\n%s\n%s", f, bad, q.Query, plan)
					}
				}
				*seen = nil
				if f.Cursor = p.Next; f.Cursor == "" {
					break
				}
			}
		}
	})
}

// Few are read and sorted, wherever they are in the order of the list; of many a page
// is soon found, and their names need no count.
func TestASearchInAnotherOrderReadsNoTable(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		seedUsers(t, url, 30_000)
		s := storetest.OpenURL(t, url)
		seen := s.Record()
		for query, counts := range map[string]int{"unknown": 2, "name 1234": 2, "user": 1} {
			for _, sort := range store.UserSorts() {
				if _, err := s.Users(t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{Query: query, Sort: sort, Limit: 20}); err != nil {
					t.Fatal(err)
				}
				counted := 0
				for _, q := range *seen {
					plan, err := s.Plan(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(q.Query, "SELECT COUNT(*)") {
						counted++
					} else if counts == 2 && (strings.Contains(plan, "Seq Scan on users") || strings.Contains(plan, "SCAN u")) {
						t.Errorf("%s by %s:\n%s\n%s", query, sort, q.Query, plan)
					}
				}
				if *seen = nil; counted != counts {
					t.Errorf("%s by %s: %d counts", query, sort, counted)
				}
			}
		}
	})
}

// badPlan names what a plan must not have.
func badPlan(plan string) string {
	for _, bad := range []string{"Seq Scan on users", "Sort ", "SCAN u\n", "TEMP B-TREE"} {
		if strings.Contains(plan+"\n", bad) {
			return bad
		}
	}
	return ""
}

// A total above 10,000 is counted once in ten seconds, a smaller one each time.
func TestALargeTotalIsKeptForAMoment(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		seedUsers(t, url, 12_000)
		clock := storetest.NewClock()
		w := &world{t: t, clock: clock, s: storetest.OpenURL(t, url, storetest.WithClock(clock))}
		total := func(f store.ListFilter) int {
			f.Limit = 1
			p, err := w.s.Users(t.Context(), system("").By, f)
			w.ok(err)
			return p.Total
		}
		if got := []int{total(store.ListFilter{}), total(store.ListFilter{OrgID: "small"}), total(store.ListFilter{Query: "user"})}; !slices.Equal(got, []int{12_000, 6, 1000}) {
			t.Errorf("totals %d", got)
		}
		w.named("new", "new@example.org", "", "small", identity.Viewer)
		if got := []int{total(store.ListFilter{}), total(store.ListFilter{OrgID: "small"})}; !slices.Equal(got, []int{12_000, 7}) {
			t.Errorf("at once %d", got)
		}
		clock.Advance(10 * time.Second)
		if got := total(store.ListFilter{}); got != 12_001 {
			t.Errorf("later %d", got)
		}
	})
}
