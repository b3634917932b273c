package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

// versionSeven is a database of the last release that lowered the letters of an
// e-mail key, with these users: id, address and key.
func versionSeven(t *testing.T, url string, users ...[3]string) string {
	t.Helper()
	var script strings.Builder
	for _, name := range []string{"0001_schema", "0002_keys", "0003_key_life", "0004_key_ahead", "0005_sessions", "0006_key_algorithms", "0007_audit_actor"} {
		text, err := os.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		script.Write(text)
	}
	script.WriteString("INSERT INTO organizations (id, created_at) VALUES ('default', '2026-11-21T12:00:00.000000Z');\n")
	for _, u := range users {
		script.WriteString("INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status, created_at) VALUES ('" +
			u[0] + "', '" + u[1] + "', '" + u[2] + "', 'Name of " + u[0] + "', '$2b$04$x', 'viewer', 'default', 'active', '2026-11-21T12:00:00.000000Z');\n")
	}
	if strings.HasPrefix(url, "sqlite") {
		return script.String() + gooseSQLite + "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1);"
	}
	return script.String() + goosePostgres + "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true), (3, true), (4, true), (5, true), (6, true), (7, true);"
}

// odd are the addresses whose key changes, with the keys that the last release
// stored: it lowered each letter.
var odd = [][3]string{
	{"sigma", "\u03a3\u03b1\u03c2@b.gr", "\u03c3\u03b1\u03c2@b.gr"},
	{"dotted", "\u0130lker@b.tr", "ilker@b.tr"},
	{"sharp", "Stra\u00dfe@b.de", "stra\u00dfe@b.de"},
	{"longs", "a\u017f@b.de", "a\u017f@b.de"},
	{"swap", "\u0130s@b.tr", "is@b.tr"}, // longer than its new key's holder below
	{"swapped", "i\u017f@b.tr", "i\u017f@b.tr"},
	{"idn", "Ada@B\u00dcCHER.de", "ada@xn--bcher-kva.de"},
	{"plain", "Bob@Example.org", "bob@example.org"},
	{"legacy", " Carl ", " carl "},
}

func TestTheUpgradeRewritesTheKeysThatChange(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		storetest.Exec(t, url, versionSeven(t, url, odd...))
		plan, err := transfer.Check(t.Context(), store.Config{URL: url})
		if err != nil || !plan.OK() || len(plan.Collisions) > 0 {
			t.Fatalf("%+v, %v", plan, err)
		}
		s := storetest.OpenURL(t, url)
		want := [][]string{
			{"dotted", "\u0130lker@b.tr", "i\u0307lker@b.tr"},
			{"idn", "Ada@b\u00fccher.de", "ada@xn--bcher-kva.de"},
			{"legacy", " Carl ", "carl"},
			{"longs", "a\u017f@b.de", "as@b.de"},
			{"plain", "Bob@Example.org", "bob@example.org"},
			{"sharp", "Stra\u00dfe@b.de", "strasse@b.de"},
			{"sigma", "\u03a3\u03b1\u03c2@b.gr", "\u03c3\u03b1\u03c3@b.gr"},
			{"swap", "\u0130s@b.tr", "i\u0307s@b.tr"},
			{"swapped", "i\u017f@b.tr", "is@b.tr"},
		}
		if diff := cmp.Diff(want, storetest.Rows(t, url, "SELECT id, email, email_key FROM users ORDER BY id")); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		for _, u := range want {
			if got, err := s.UserByEmail(t.Context(), identity.EmailKey(u[1])); err != nil || got.ID != u[0] || got.PasswordForm != identity.FormRaw {
				t.Errorf("%s: %+v, %v", u[1], got, err)
			}
		}
		if _, err := s.UserByEmail(t.Context(), identity.EmailKey("ilker@b.tr")); fault.KindOf(err) != fault.NotFound {
			t.Errorf("another mailbox finds the user: %v", err)
		}
	})
}

func TestTwoUsersWithOneKeyStopTheUpgradeAndTheNamedCommandResolvesIt(t *testing.T) {
	pairs := [][3]string{
		{"s1", "\u03c3\u03b1\u03c2@b.gr", "\u03c3\u03b1\u03c2@b.gr"},
		{"s2", "\u03c3\u03b1\u03c3@b.gr", "\u03c3\u03b1\u03c3@b.gr"}, // final sigma
		{"z1", "stra\u00dfe@b.de", "stra\u00dfe@b.de"},
		{"z2", "strasse@b.de", "strasse@b.de"},
		{"z3", "STRA\u1e9eE@b.de", "stra\u00df\u200be@b.de"},
		{"q1", "o''\u00df@b.de", "o''\u00df@b.de"},
		{"q2", "o''ss@b.de", "o''ss@b.de"},
		{"+1", "fu\u00df@b.de", "fu\u00df@b.de"},
		{"-2", "fuss@b.de", "fuss@b.de"},
	}
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		storetest.Exec(t, url, versionSeven(t, url, pairs...)+`
INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, idle_expires_at, expires_at)
	VALUES ('f', 's2', '2026-11-21T12:00:00.000000Z', '2026-11-21T12:00:00.000000Z', 'pwd', '1', '2026-11-21T12:00:00.000000Z', '2099', '2099');
INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id) VALUES ('f', 's2', '2026-11-21T12:00:00.000000Z', '2099', 'f');
UPDATE users SET last_login_at = '2026-11-21T12:00:00.000000Z' WHERE id = 'z2';`)
		cfg := store.Config{URL: url}
		plan, err := transfer.Check(t.Context(), cfg)
		if err != nil || plan.OK() || len(plan.Collisions) != 4 ||
			!strings.Contains(plan.Collisions[0], "pico-auth user set-email") || !strings.Contains(strings.Join(plan.Collisions, ""), "pico-auth user set-email s2 2-\u03c3\u03b1\u03c3@b.gr") {
			t.Fatalf("%+v, %v", plan, err)
		}
		all := strings.Join(plan.Collisions, "\n")
		for _, command := range []string{"z1 2-stra\u00dfe@b.de", "z3 3-STRA\u1e9eE@b.de", `q2 '2-o'\''ss@b.de'`, "-- -2 2-fuss@b.de"} { // each other free address, and none for the user who signed in
			if !strings.Contains(all, "pico-auth user set-email "+command) || strings.Contains(all, "set-email z2") {
				t.Errorf("no %s in %s", command, all)
			}
		}
		refused := func() string {
			t.Helper()
			_, err := store.Open(t.Context(), cfg)
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind != fault.Invalid || f.Code != store.ErrEmailCollision {
				t.Fatalf("opened: %v", err)
			}
			return f.Message
		}
		if text := refused(); !strings.Contains(text, `"s1"`) || !strings.Contains(text, `"z3"`) {
			t.Errorf("%s", text)
		}
		if v := column(storetest.Rows(t, url, "SELECT MAX(version_id) FROM goose_db_version")); v[0] != "7" {
			t.Errorf("the refused upgrade left version %s", v[0])
		}

		set := func(id, email string) error {
			return store.ResolveEmail(t.Context(), cfg, system(identity.ActionUpdateUser), id, email)
		}
		for id, email := range map[string]string{"s2": "\u03a3\u0391\u03a3@b.gr", "z2": "s@b.de\u200b"} {
			email, err := identity.ParseEmail(email)
			if err == nil {
				err = set(id, email)
			}
			if err == nil {
				t.Errorf("%s has a used or invalid address", id)
			}
		}
		if err := set("unknown", "x@b.gr"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown user: %v", err)
		}
		for id, email := range map[string]string{"s2": "other@b.gr", "z2": "z2@b.de", "z3": "z3@b.de", "q2": "q2@b.de", "-2": "2@b.de"} {
			if err := set(id, email); err != nil {
				t.Fatal(err)
			}
		}
		if v := column(storetest.Rows(t, url, "SELECT MAX(version_id) FROM goose_db_version")); v[0] != "7" {
			t.Errorf("the schema is of version %s", v[0])
		}
		if plan, err := transfer.Check(t.Context(), cfg); err != nil || !plan.OK() {
			t.Errorf("%+v, %v", plan, err)
		}
		s := storetest.OpenURL(t, url)
		u, err := s.UserByID(t.Context(), "s2")
		if err != nil || u.Email != "other@b.gr" || u.CredentialsVersion != 1 {
			t.Errorf("%+v, %v", u, err)
		}
		if got := column(storetest.Rows(t, url, "SELECT end_reason FROM sessions UNION ALL SELECT end_reason FROM refresh_families")); !cmp.Equal(got, []string{"email_change", "email_change"}) {
			t.Errorf("the session and its family: %q", got)
		}
		if got := column(storetest.Rows(t, url, "SELECT target_id FROM audit_events WHERE action = 'user.update' ORDER BY target_id")); !cmp.Equal(got, []string{"-2", "q2", "s2", "z2", "z3"}) {
			t.Errorf("audit events about %q", got)
		}
		if err := set("s2", "again@b.gr"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("after the upgrade: %v", err)
		}
	})
}

// A process of the previous release goes on for a while after the upgrade, and stores
// users as it did.
func TestUsersThatThePreviousReleaseStoresAreCompleted(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var log lockedBuffer
		clock := storetest.NewClock()
		w := &world{t: t, clock: clock, s: storetest.OpenURL(t, url, storetest.WithClock(clock), func(c *store.Config) {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})}
		insert := func(id, email, key string) {
			before{w}.exec(`INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status, created_at)
				VALUES ($1, $2, $3, $4, 'hash', 'viewer', 'default', 'active', $5)`, id, email, key, "\u00c9va "+id, clock.Now().Format(stored))
		}
		mine := w.add("strasse", identity.Viewer, "default") // strasse@example.org
		insert("a", "\u03c3\u03b1\u03c2@b.gr", "\u03c3\u03b1\u03c2@b.gr")
		insert("b", "Plain@b.gr", "plain@b.gr")
		insert("c", "stra\u00dfe@example.org", "stra\u00dfe@example.org")
		find := func(q string) []string {
			p, err := w.s.Users(t.Context(), system("").By, store.ListFilter{Query: q})
			w.ok(err)
			return ids(p.Items)
		}
		if got := find("\u00e9va"); len(got) != 0 {
			t.Errorf("found before: %q", got)
		}
		runs := 0
		for after := ""; runs == 0 || after != ""; runs++ {
			more, err := w.s.CompleteUsers(t.Context(), after, 1)
			w.ok(err)
			after = more
		}
		if runs != 4 {
			t.Errorf("%d batches", runs)
		}
		if got := find("\u00e9va"); !cmp.Equal(got, []string{"a", "b"}) {
			t.Errorf("found by name: %q", got)
		}
		if u, err := w.s.UserByEmail(t.Context(), identity.EmailKey("\u03a3\u0391\u03a3@b.gr")); err != nil || u.ID != "a" {
			t.Errorf("%+v, %v", u, err)
		}
		if u, err := w.s.UserByEmail(t.Context(), identity.EmailKey("stra\u00dfe@example.org")); err != nil || u.ID != mine.ID {
			t.Errorf("the address of two is that of %q, %v", u.ID, err)
		}
		if text := log.String(); !strings.Contains(text, "pico-auth user set-email c NEW-ADDRESS") || strings.Contains(text, "stra") {
			t.Errorf("log: %s", text)
		}
		if w.s.Engine() == "postgres" { // a file must not be checked while it is open
			plan, err := transfer.Check(t.Context(), store.Config{URL: url})
			if err != nil || !plan.OK() || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], `id "c"`) {
				t.Errorf("%+v, %v", plan, err)
			}
		}
		_, err := w.s.UpdateUser(t.Context(), system("x"), "c", store.UserChange{Email: "free@example.org"})
		w.ok(err)
		if _, err := w.s.CompleteUsers(t.Context(), "", 10); err != nil || len(find("\u00e9va")) != 3 {
			t.Errorf("not completed after it has another address: %v", err)
		}
	})
}

// A change of the name must not make the user look complete: the key of the address
// would keep the form of the previous release, and another user could take the mailbox.
func TestAUserThatThePreviousReleaseStoredIsCompletedAfterAChangeOfTheName(t *testing.T) {
	onEach(t, func(w *world) {
		before{w}.exec(`INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status, created_at)
			VALUES ('a', $1, $1, '', 'hash', 'viewer', 'default', 'active', $2)`, "\u03c3\u03b1\u03c2@b.gr", w.clock.Now().Format(stored))
		_, err := w.s.UpdateOwn(w.t.Context(), act(identity.User{ID: "a"}), map[string]string{"display_name": "Eve"}, nil)
		w.ok(err)
		_, err = w.s.CompleteUsers(w.t.Context(), "", 10)
		w.ok(err)
		if u, err := w.s.UserByEmail(w.t.Context(), identity.EmailKey("\u03a3\u0391\u03a3@b.gr")); err != nil || u.ID != "a" {
			w.t.Errorf("%+v, %v", u, err)
		}
		if got := w.all(system("").By, store.ListFilter{Query: "eve"}); len(got) != 1 {
			w.t.Errorf("found by the new name: %q", got)
		}
	})
}

// lockedBuffer is a log that is written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func ids(users []identity.User) []string {
	all := []string{}
	for _, u := range users {
		all = append(all, u.ID)
	}
	return all
}
