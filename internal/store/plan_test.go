package store_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// statements collects the statements of the store.
type statements struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (*statements) Enabled(context.Context, slog.Level) bool { return true }
func (s *statements) WithAttrs([]slog.Attr) slog.Handler     { return s }
func (s *statements) WithGroup(string) slog.Handler          { return s }

func (s *statements) Handle(_ context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "statement" {
			s.seen[a.Value.String()] = true
		}
		return true
	})
	return nil
}

func echoTo(log *statements) storetest.Option {
	return func(c *store.Config) { c.Echo, c.Log = true, slog.New(log) }
}

// The cost of the statements of a login, a refresh, a request and a purge must not
// depend on the number of users: none of them reads a whole table.
func TestNoFrequentStatementReadsAWholeTable(t *testing.T) {
	log := &statements{seen: map[string]bool{}}
	clock := storetest.NewClock()
	s := storetest.OpenURL(t, storetest.SQLite(t), storetest.WithClock(clock), echoTo(log))
	w := &world{t: t, s: s, clock: clock}
	for _, step := range everyVerb(w) {
		w.ok(step.do())
	}
	checked := 0
	for statement := range log.seen {
		verb, _, several := strings.Cut(statement, " ")
		list := strings.Contains(statement, "ORDER BY") || strings.Contains(statement, "COUNT(*)")
		if !several || verb != "UPDATE" && verb != "DELETE" && (verb != "SELECT" || list) {
			continue
		}
		plan, err := s.Explain(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		checked++
		for _, line := range plan {
			if strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "INDEX users_superadmin") {
				t.Errorf("%s\n  %s", statement, strings.Join(plan, "\n  "))
				break
			}
		}
	}
	if checked < 25 {
		t.Errorf("only %d statements were checked", checked)
	}
}

// A client that logs in without pause leaves thousands of ended sessions; its next
// login must not read them in the transaction of the writer.
func TestALoginBeyondTheLimitReadsLiveSessionsOnly(t *testing.T) {
	log := &statements{seen: map[string]bool{}}
	clock := storetest.NewClock()
	s := storetest.OpenURL(t, storetest.SQLite(t), storetest.WithClock(clock), echoTo(log))
	w := &world{t: t, s: s, clock: clock}
	u := w.add("u", identity.Viewer, "default")
	w.ok(w.limited(u, "a", 1))
	clear(log.seen)
	w.ok(w.limited(u, "b", 1))
	checked := 0
	for statement := range log.seen {
		if !strings.HasPrefix(statement, "UPDATE ") && !strings.HasPrefix(statement, "SELECT ") && !strings.HasPrefix(statement, "DELETE ") {
			continue
		}
		plan, err := s.Explain(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		checked++
		if lines := strings.Join(plan, "\n  "); strings.Contains(lines, "refresh_families_by_user") || strings.Contains(lines, "sessions_by_user") {
			t.Errorf("%s\n  %s", statement, lines)
		}
	}
	if checked < 4 {
		t.Errorf("only %d statements were checked", checked)
	}
}

// An application that signs in silently without pause leaves thousands of ended families.
func TestAGrantBeyondTheLimitReadsLiveFamiliesOnly(t *testing.T) {
	for _, scope := range []string{"openid", "offline_access"} {
		log := &statements{seen: map[string]bool{}}
		clock := storetest.NewClock()
		s := storetest.OpenURL(t, storetest.SQLite(t), storetest.WithClock(clock), echoTo(log))
		w := &world{t: t, s: s, clock: clock}
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "one", false).Session.ID
		for _, id := range []string{"a", "b"} {
			clear(log.seen)
			f := w.family(id, clock.Now().Add(month), w.ofClient(id))
			f.ClientID, f.Scope, f.Limit = "app", scope, 1
			w.ok(s.StartFamily(t.Context(), u, session, f))
		}
		checked := 0
		for statement := range log.seen {
			if strings.HasPrefix(statement, "INSERT ") {
				continue
			}
			plan, err := s.Explain(t.Context(), statement)
			if err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			checked++
			if lines := strings.Join(plan, "\n  "); strings.Contains(lines, "refresh_families_by_user") {
				t.Errorf("%s\n  %s", statement, lines)
			}
		}
		if checked < 3 {
			t.Errorf("only %d statements were checked", checked)
		}
	}
}

// Each statement of a sign-in at a client costs it CPU, and on PostgreSQL a round trip.
func TestASignInAtAClientTakesTwelveStatements(t *testing.T) {
	log := &statements{seen: map[string]bool{}}
	clock := storetest.NewClock()
	s := storetest.OpenURL(t, storetest.SQLite(t), storetest.WithClock(clock), echoTo(log))
	w := &world{t: t, s: s, clock: clock}
	w.client("app")
	session := w.browse(w.add("u", identity.Viewer, "default"), "c", false).Session.ID
	clock.Advance(time.Hour)
	first := store.NewFamily{
		ClientID: "app", Granted: store.Granted{Scope: "openid email"}, ExpiresAt: clock.Now().Add(month), First: w.next("t"), Limit: 9,
	}
	var code store.Code
	var all []string
	for _, step := range []func() error{
		func() error { _, err := s.Authorizing(t.Context(), "app", "c"); return err },
		func() error { return w.issue(session, "code", anyone) },
		func() error { _, _, err := s.ClientSecrets(t.Context(), "app"); return err },
		func() (err error) { code, err = s.Code(t.Context(), "code"); return err },
		func() error {
			_, err := s.UseCode(t.Context(), identity.Actor{}, store.CodeUse{Hash: "code", Code: code, May: anyone}, &first)
			return err
		},
	} {
		clear(log.seen)
		w.ok(step())
		for statement := range log.seen {
			if strings.Contains(statement, " FROM ") || strings.HasPrefix(statement, "INSERT") || strings.HasPrefix(statement, "UPDATE") {
				all = append(all, statement)
			}
		}
	}
	if len(all) != 12 {
		t.Errorf("%d statements:\n%s", len(all), strings.Join(all, "\n"))
	}
}

// A suspension of a client holds the writer, and refresh families are as many as
// sessions: it must not read those of others. A used code is kept for an hour: what ends
// codes reads those of the last minutes.
func TestTheEndOfAClientReadsItsFamiliesAndRecentCodesOnly(t *testing.T) {
	log := &statements{seen: map[string]bool{}}
	clock := storetest.NewClock()
	s := storetest.OpenURL(t, storetest.SQLite(t), storetest.WithClock(clock), echoTo(log))
	w := &world{t: t, s: s, clock: clock}
	u := w.add("u", identity.Viewer, "default")
	w.registered("app", nil)
	w.device("DEVICE", "app")
	w.ok(w.decide(w.signedIn(u, "session"), "DEVICE", true))
	clear(log.seen)
	w.ok(s.WithdrawConsent(t.Context(), act(u), "app"))
	w.ok(s.RevokeClientTokens(t.Context(), system("revoke"), "app", everyActor))
	w.ok(s.DeleteClient(t.Context(), system("delete"), "app", everyActor))
	checked := 0
	for statement := range log.seen {
		index := "refresh_families_by_client"
		switch {
		case strings.HasPrefix(statement, "DELETE FROM authorization_requests") && strings.Contains(statement, "code_hash IS NULL"):
			index = "authorization_requests_open" // of those that are in progress
		case strings.HasPrefix(statement, "DELETE FROM authorization_requests"):
			index = "authorization_requests_by_purge (purge_at>? AND purge_at<?)"
		case !strings.Contains(statement, "UPDATE refresh_families") || strings.Contains(statement, "user_id = "):
			continue
		}
		plan, err := s.Explain(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		checked++
		if lines := strings.Join(plan, "\n  "); !strings.Contains(lines, index) || strings.Contains(lines, "SCAN") && !strings.Contains(lines, "SCAN authorization_requests USING INDEX "+index) {
			t.Errorf("%s\n  %s", statement, lines)
		}
	}
	if checked != 4 {
		t.Errorf("%d statements were checked", checked)
	}
}
