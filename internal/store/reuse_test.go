package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// token is a presented refresh token that shares a part with its family.
func token(hash, shared string) store.PresentedRefresh {
	return store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{hash}, SharedHash: shared}
}

// sharing is next with the part.
func (w *world) sharing(hash, shared string) store.NewRefresh {
	next := w.next(hash)
	next.SharedHash = shared
	return next
}

// begin starts a session whose family has the shared part, and rotates it n times:
// the tokens are prefix-000 and so on.
func (w *world) begin(u identity.User, prefix, shared string, n int) store.Subject {
	w.t.Helper()
	g, err := w.start(w.user(u.ID), "family-"+prefix, w.clock.Now().Add(3*month), w.sharing(numbered(prefix, 0), shared))
	w.ok(err)
	for i := range n {
		_, err := w.exchange(token(numbered(prefix, i), shared), w.sharing(numbered(prefix, i+1), shared))
		w.ok(err)
	}
	return g
}

func (w *world) exchange(p store.PresentedRefresh, next store.NewRefresh) (store.Rotation, error) {
	return w.s.RotateRefresh(w.t.Context(), identity.Actor{Address: "192.0.2.9"}, p, next)
}

// purgeAll purges until there is no more.
func (w *world) purgeAll() {
	w.t.Helper()
	for more := true; more; {
		var err error
		_, more, err = w.s.Purge(w.t.Context(), 0, 0)
		w.ok(err)
	}
}

func TestAUsedTokenEndsItsFamilyAfterItsRowIsGone(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "acme")
		g := w.begin(u, "a", "part-a", 5)
		other := w.begin(u, "b", "part-b", 1)
		w.purgeAll()
		if n := len(query("SELECT id FROM refresh_tokens")); n != 8 {
			w.t.Fatalf("%d tokens are left, of which access tokens are valid", n)
		}
		w.clock.Advance(20 * time.Minute)
		w.purgeAll()
		if diff := cmp.Diff([]string{"a-005", "b-001"}, query("SELECT token_hash FROM refresh_tokens ORDER BY token_hash")); diff != "" {
			w.t.Fatalf("tokens (-want +got):\n%s", diff)
		}

		foreign := token("a-000", "part-a")
		foreign.ClientID = "app"
		for name, p := range map[string]store.PresentedRefresh{
			"without the part": token("a-000", ""), "of another family": token("a-000", "part-x"), "of another client": foreign,
		} {
			if _, err := w.exchange(p, w.sharing("never", p.SharedHash)); !errors.Is(err, identity.ErrInvalidToken) || errors.Is(err, store.ErrReuse) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		_, err := w.exchange(token("a-002", "part-a"), w.sharing("never", "part-a"))
		if !errors.Is(err, store.ErrReuse) || w.reason(u, g.SessionID) != store.EndReuse {
			w.t.Errorf("%v, and the session ended by %q", err, w.reason(u, g.SessionID))
		}
		if ev := w.lastEvent(); ev.Action != identity.ActionReuse || ev.TargetID != u.ID || ev.OrgID != "acme" {
			w.t.Errorf("audit row: %+v", ev)
		}
		events := w.eventCount()
		for _, hash := range []string{"a-002", "a-005"} {
			_, err = w.exchange(token(hash, "part-a"), w.sharing("never", "part-a"))
			if !errors.Is(err, identity.ErrInvalidToken) || errors.Is(err, store.ErrReuse) {
				w.t.Errorf("%s, after the end: %v", hash, err)
			}
		}
		if w.eventCount() != events || w.reason(u, other.SessionID) != "" {
			w.t.Error("one reuse ended or recorded more")
		}

		session, err := w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, token("b-000", "part-b"))
		w.ok(err)
		if session != other.SessionID || w.reason(u, other.SessionID) != store.EndLogout {
			w.t.Errorf("a used token logs %q out", session)
		}
	})
}

func TestAPurgeOfUsedTokensWaitsForTheAccessTokens(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		first := w.sharing("t0", "part")
		first.AccessExpiresAt = w.clock.Now().Add(time.Hour)
		_, err := w.start(u, "f", w.clock.Now().Add(month), first)
		w.ok(err)
		_, err = w.exchange(token("t0", "part"), w.sharing("t1", "part"))
		w.ok(err)
		w.clock.Advance(time.Hour + time.Minute)
		w.purgeAll()
		if n := len(query("SELECT id FROM refresh_tokens")); n != 2 {
			w.t.Fatal("a verifier whose clock is behind accepts the access token of a token that was purged")
		}
		_, err = w.exchange(token("t1", "part"), w.sharing("t2", "part")) // what a purge left goes after the next token
		w.ok(err)
		w.clock.Advance(20 * time.Minute)
		w.purgeAll()
		if diff := cmp.Diff([]string{"t2"}, query("SELECT token_hash FROM refresh_tokens")); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// One account refreshes as often as it is let, in all its sessions, and logs in
// again and again.
func TestOneAccountCannotFillTheTables(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		const limit, logins, rotations, rounds = 3, 8, 12, 4
		count := func(table string) int { return len(query("SELECT id FROM " + table)) }
		most := 0
		for round := range rounds {
			for login := range logins {
				prefix := numbered(numbered("t", round), login)
				f := w.family(prefix, w.clock.Now().Add(3*month), w.sharing(numbered(prefix, 0), prefix))
				f.Limit = limit
				_, err := w.s.StartSession(w.t.Context(), store.Act{Action: "login"}, w.proof(w.user(u.ID)), f)
				w.ok(err)
				for i := range rotations {
					_, err := w.exchange(token(numbered(prefix, i), prefix), w.sharing(numbered(prefix, i+1), prefix))
					w.ok(err)
				}
				w.clock.Advance(time.Second)
			}
			if live := len(query("SELECT id FROM sessions WHERE ended_at IS NULL")); live != limit {
				w.t.Fatalf("%d live sessions", live)
			}
			most = max(most, count("sessions"))
			w.clock.Advance(20 * time.Minute)
			w.purgeAll()
			// Of each session one token is left, and a session the limit ended goes
			// with the next login.
			if sessions, tokens := count("sessions"), count("refresh_tokens"); sessions > limit+logins || tokens > sessions || count("refresh_families") != sessions {
				w.t.Fatalf("round %d: %d sessions, %d families, %d tokens", round, sessions, count("refresh_families"), tokens)
			}
			jtis, err := w.s.RevokedJTIs(w.t.Context())
			w.ok(err)
			if len(jtis) != 0 {
				w.t.Fatalf("%d access tokens are listed after they expired", len(jtis))
			}
		}
		if most > 2*(limit+logins) {
			w.t.Errorf("up to %d sessions", most)
		}
	})
}

func TestTokensOfThePreviousReleaseGetAFamilyPart(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		storetest.Exec(t, url, versionSeven(t, url, [3]string{"u1", "u1", "u1"}))
		at := func(d time.Duration) string { return clock.Now().Add(d).Format(stored) }
		storetest.Exec(t, url, strings.NewReplacer("NOW", at(0), "WEEK", at(week), "LATER", at(3*month), "SOON", at(10*time.Minute)).Replace(`
INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, idle_expires_at, expires_at) VALUES
	('f1', 'u1', 'NOW', 'NOW', 'pwd', '1', 'NOW', 'WEEK', 'LATER');
INSERT INTO refresh_families (id, user_id, created_at, expires_at, session_id) VALUES ('f1', 'u1', 'NOW', 'LATER', 'f1');
INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, created_at, used_at, access_jti, access_expires_at) VALUES
	('1', 'u1', 'f1', 'old0', 'WEEK', 'NOW', 'NOW', 'jti-old0', 'SOON'), ('2', 'u1', 'f1', 'old1', 'WEEK', 'NOW', NULL, 'jti-old1', 'SOON');`))
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.user("u1")
		w.accepts(u, "f1", "jti-old0")
		for i, p := range []store.PresentedRefresh{token("old1", ""), token("new0", "part"), token("new1", "part")} {
			_, err := w.exchange(p, w.sharing("new"+itoa(i), "part"))
			w.ok(err)
		}
		// A process of the previous release issues a token without the part, which is
		// exchanged for one with a new part.
		b := before{w}
		if !b.rotate(u, "f1", "new2", "between") {
			t.Fatal("the previous release cannot continue")
		}
		_, err := w.exchange(token("between", ""), w.sharing("new3", "part-2"))
		w.ok(err)
		clock.Advance(20 * time.Minute)
		w.purgeAll()
		got := column(storetest.Rows(t, url, "SELECT token_hash FROM refresh_tokens ORDER BY token_hash"))
		if diff := cmp.Diff([]string{"between", "new0", "new1", "new2", "new3", "old0", "old1"}, got); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
		for hash, part := range map[string]string{"old0": "", "new0": "part", "between": ""} {
			storetest.Exec(t, url, "UPDATE refresh_families SET ended_at = NULL, end_reason = NULL")
			if _, err := w.exchange(token(hash, part), w.sharing("never", "part-3")); !errors.Is(err, store.ErrReuse) {
				t.Errorf("the used token %s: %v", hash, err)
			}
		}
	})
}

// After a change of password the session continues with tokens of another part.
func TestATokenFromBeforeAChangeOfPasswordEndsNothing(t *testing.T) {
	onEachURL(t, func(w *world, _ rows) {
		u := w.add("u", identity.Viewer, "default")
		g := w.begin(u, "a", "part", 2)
		self := by(u)
		self.SessionID = g.SessionID
		next := w.family("", w.clock.Now().Add(3*month), w.sharing("b", "part-b"))
		_, err := w.s.ChangePassword(w.t.Context(), store.Act{Action: "x", By: self}, w.proof(u), "new hash", next)
		w.ok(err)
		w.clock.Advance(20 * time.Minute)
		w.purgeAll()
		for _, hash := range []string{"a-000", "a-002"} {
			if _, err := w.exchange(token(hash, "part"), w.sharing("never", "part")); !errors.Is(err, identity.ErrInvalidToken) || errors.Is(err, store.ErrReuse) {
				w.t.Errorf("%s: %v", hash, err)
			}
		}
		for i := range 3 {
			_, err := w.exchange(token("b"+strings.Repeat("+", i), "part-b"), w.sharing("b"+strings.Repeat("+", i+1), "part-b"))
			w.ok(err)
		}
		if _, err := w.exchange(token("b", "part-b"), w.sharing("never", "part-b")); !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a token used after the change: %v", err)
		}
	})
}

func TestARefusedPermitLeavesTheTokenUnused(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		g := w.begin(u, "a", "part", 1)
		busy := fault.New(fault.Throttled, "rate_limited", "wait")
		p := token("a-001", "part")
		p.Issued = true
		p.Permit = func(user, family string) error {
			if user != u.ID || family != g.FamilyID {
				w.t.Errorf("asked about %s %s", user, family)
			}
			return busy
		}
		for range 2 {
			if _, err := w.exchange(p, w.sharing("never", "part")); !errors.Is(err, busy) {
				w.t.Errorf("got %v", err)
			}
		}
		p.Permit = nil
		_, err := w.exchange(p, w.sharing("a-002", "part"))
		w.ok(err)
		p.Permit = func(string, string) error { return busy } // does not protect from reuse
		if _, err := w.exchange(p, w.sharing("never", "part")); !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a used token: %v", err)
		}
	})
}
