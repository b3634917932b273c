package transfer_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

// populate makes users enough for more than one INSERT, and one of everything
// else.
func populate(t *testing.T, s *store.Store) {
	t.Helper()
	act := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}, Detail: "ünï\ncode"}
	for i := range 1100 {
		u := identity.User{
			ID: "u" + string(rune('a'+i%26)) + strconv.Itoa(i), Email: strconv.Itoa(i) + "@example.com", EmailKey: strconv.Itoa(i) + "@example.com",
			DisplayName: "Zoë " + strconv.Itoa(i), PasswordHash: "$2a$04$x", Role: identity.Viewer, OrgID: "org" + strconv.Itoa(i%3), Status: identity.Active,
		}
		if err := s.CreateUser(t.Context(), act, u); err != nil {
			t.Fatal(err)
		}
	}
	g, err := s.InsertGroup(t.Context(), act, identity.Group{Name: "g", OrgID: "org0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddMember(t.Context(), act, g.ID, "ua0"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.InsertServiceToken(t.Context(), act,
		identity.ServiceToken{Name: "svc", Role: identity.Viewer, OrgID: "org1"}, "hash"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRegistration(t.Context(), act, false); err != nil {
		t.Fatal(err)
	}
}

func TestCopyToPostgresIsCompleteAndCanBeRepeated(t *testing.T) {
	dest := storetest.EmptyPostgres(t)
	source := storetest.SQLite(t)
	s := storetest.OpenURL(t, source)
	populate(t, s)
	var told int64
	copied, err := transfer.Copy(t.Context(), store.Config{URL: source}, dest, func(table string, rows int64, done bool) {
		if table == "users" && done {
			told = rows
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if told != 1100 {
		t.Errorf("the progress reported %d users", told)
	}
	counts := map[string]int64{}
	for _, c := range copied {
		counts[c.Table] = c.Rows
	}
	if counts["users"] != 1100 || counts["group_members"] != 1 || counts["service_tokens"] != 1 || counts["organizations"] != 4 {
		t.Errorf("copied %v", counts)
	}
	d := storetest.OpenURL(t, dest)
	u, err := d.UserByEmail(t.Context(), "7@example.com")
	if err != nil || u.DisplayName != "Zoë 7" || u.OrgID != "org1" {
		t.Errorf("%+v, %v", u, err)
	}
	if enabled, set, err := d.Registration(t.Context()); enabled || !set || err != nil {
		t.Errorf("registration %t %t %v", enabled, set, err)
	}
	again, err := transfer.Copy(t.Context(), store.Config{URL: source}, dest, nil)
	if err != nil || again[1] != copied[1] {
		t.Errorf("the repetition: %v, %v", again, err)
	}
}

func TestCopyNeverOverwrites(t *testing.T) {
	dest := storetest.EmptyPostgres(t)
	d := storetest.OpenURL(t, dest)
	act := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorSystem}}
	if err := d.SetRegistration(t.Context(), act, true); err != nil {
		t.Fatal(err)
	}
	source := storetest.SQLite(t)
	populate(t, storetest.OpenURL(t, source))
	var f *fault.Error
	if _, err := transfer.Copy(t.Context(), store.Config{URL: source}, dest, nil); !errors.As(err, &f) || f.Code != "copy_not_empty" {
		t.Fatalf("copied over a database in use: %v", err)
	}
	if page, err := d.Users(t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{}); err != nil || page.Total != 0 {
		t.Errorf("%d users arrived, %v", page.Total, err)
	}
}

func TestTablesThatAreNotCopiedAreNamed(t *testing.T) {
	source := storetest.SQLite(t)
	if err := storetest.OpenURL(t, source).Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, source, "CREATE TABLE email_credentials (id TEXT); CREATE TABLE notes (id TEXT)")
	left, err := transfer.Uncopied(t.Context(), store.Config{URL: source})
	if err != nil || !slices.Equal(left, []string{"email_credentials", "notes"}) {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestCopyDoesNotAdoptItsDestination(t *testing.T) {
	dest := storetest.EmptyPostgres(t)
	original, err := os.ReadFile("../testdata/original-0.1.sql")
	if err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, dest, string(original))
	source := storetest.SQLite(t)
	if err := storetest.OpenURL(t, source).Close(); err != nil {
		t.Fatal(err)
	}
	cfg := store.Config{URL: source, Adopt: adopt.New(adopt.Config{})}
	var f *fault.Error
	if _, err := transfer.Copy(t.Context(), cfg, dest, nil); !errors.As(err, &f) || f.Code != "foreign_database" {
		t.Errorf("copied onto a Python server's database: %v", err)
	}
	if left := storetest.Rows(t, dest, "SELECT email FROM users WHERE email = 'bob'"); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

func TestCopyRefusesOtherDirections(t *testing.T) {
	for _, c := range [][2]string{
		{"sqlite:///a.db", "sqlite:///b.db"}, {"postgres://h/d", "postgres://h/e"}, {"sqlite:///a.db", "mysql://h/d"}, {"nonsense", "postgres://h/d"},
	} {
		if _, err := transfer.Copy(t.Context(), store.Config{URL: c[0]}, c[1], nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v", c, err)
		}
	}
}
