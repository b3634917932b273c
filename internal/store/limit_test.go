package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// limited starts a session with at most limit ones.
func (w *world) limited(u identity.User, id string, limit int) error {
	f := w.family(id, w.clock.Now().Add(month), w.next(id))
	f.Limit = limit
	_, err := w.s.StartSession(w.t.Context(), store.Act{Action: "login"}, w.proof(w.user(u.ID)), f)
	w.clock.Advance(time.Second)
	return err
}

func TestALoginBeyondTheLimitEndsTheLeastRecentlyUsedSession(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u, other := w.add("u", identity.Viewer, "acme"), w.add("other", identity.Viewer, "acme")
		w.ok(w.limited(other, "x", 1))
		for _, id := range []string{"a", "b", "c"} {
			w.ok(w.limited(u, id, 3))
		}
		w.clock.Advance(2 * time.Minute)
		_, err := w.rotate("a", "a1") // a refresh is a use
		w.ok(err)
		events := w.eventCount()
		w.ok(w.limited(u, "d", 3))
		if got := w.reason(u, "b"); got != store.EndLimit {
			w.t.Errorf("the least recently used one ended by %q", got)
		}
		w.refuses(u, "b", "jti-b")
		w.ended("b")
		var row store.Event
		rows, err := w.s.Events(w.t.Context(), w.eventCount()-events)
		w.ok(err)
		for _, ev := range rows {
			if ev.Action == identity.ActionEndSession {
				row = ev
			}
		}
		if row.Detail != "session b, limit" || row.ActorID != u.ID || row.TargetID != u.ID || row.OrgID != "acme" || len(rows) != 2 {
			w.t.Errorf("audit rows: %+v", rows)
		}
		if diff := cmp.Diff([]string{"a", "c", "d", "x"}, query("SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY id")); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		w.ok(w.limited(u, "e", 1)) // the setting was lowered
		if diff := cmp.Diff([]string{"e", "x"}, query("SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY id")); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAnExpiredSessionDoesNotCount(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		w.ok(w.limited(u, "a", 1))
		w.clock.Advance(week)
		w.ok(w.limited(u, "b", 1))
		if n := len(query("SELECT id FROM sessions WHERE end_reason = 'limit'")); n != 0 {
			w.t.Error("an expired session was ended")
		}
	})
}

func TestConcurrentLoginsKeepTheLimit(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.user(w.add("u", identity.Viewer, "default").ID)
		for _, err := range race(16, func(i int) error {
			f := w.family(itoa(i), w.clock.Now().Add(month), w.next(itoa(i)))
			f.Limit = 3
			_, err := w.s.StartSession(w.t.Context(), store.Act{Action: "login"}, w.proof(u), f)
			return err
		}) {
			w.ok(err)
		}
		if n := len(query("SELECT id FROM sessions WHERE ended_at IS NULL")); n != 3 {
			w.t.Errorf("%d sessions", n)
		}
	})
}

func TestFamiliesOfOfflineAccessHaveALimitOfTheirOwn(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "s")
		family := func(id, scope string) {
			f := w.family(id, w.clock.Now().Add(month), w.next(id))
			f.ClientID, f.Scope, f.Limit = "app", scope, 2
			w.ok(w.s.StartFamily(w.t.Context(), u, "family-s", f))
			w.clock.Advance(time.Second)
		}
		family("plain", "openid")
		family("a", "openid offline_access")
		family("b", "offline_access")
		_, err := w.exchange(store.PresentedRefresh{ClientID: "app", Hashes: []string{"a"}}, w.next("a1"))
		w.ok(err)
		w.clock.Advance(time.Second)
		family("c", "offline_access")
		family("plain2", "openid")
		got := query("SELECT id || ' ' || COALESCE(end_reason, '') FROM refresh_families WHERE client_id = 'app' ORDER BY id")
		if diff := cmp.Diff([]string{"a ", "b family_limit", "c ", "plain ", "plain2 "}, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		if w.reason(u, "family-s") != "" {
			w.t.Error("the session ended")
		}
	})
}

// The last use of a family is when its newest token was issued, also where an earlier access
// token expires later: the lifetime of the client's was lowered.
func TestTheLastUseOfAFamilyIsThatOfItsNewestToken(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "cookie", false).Session.ID
		w.of(u, session, "app", "openid offline_access", "a0")
		w.clock.Advance(time.Minute)
		w.of(u, session, "app", "openid offline_access", "b0")
		w.clock.Advance(time.Minute)
		short := w.ofClient("a1")
		short.AccessExpiresAt = w.clock.Now().Add(time.Minute)
		_ = w.refresh("app", "unknown", "none") // registers the client
		_, err := w.s.RotateRefresh(t.Context(), identity.Actor{}, store.PresentedRefresh{
			ClientID: "app", Hashes: []string{"a0"}, Admit: func(store.Subject) error { return nil },
		}, short)
		w.ok(err)
		used := w.clock.Now()
		page, err := w.s.Sessions(t.Context(), by(u), u.ID, store.ListFilter{Limit: 10})
		w.ok(err)
		for _, s := range page.Items {
			if s.ID == "a0" && !s.LastUsedAt.Equal(used) {
				t.Errorf("last used at %s, want %s", s.LastUsedAt, used)
			}
		}
		w.clock.Advance(time.Second)
		w.ok(w.s.StartFamily(t.Context(), u, session, store.NewFamily{
			ID: "c0", ClientID: "app", Granted: store.Granted{Scope: "openid offline_access"}, ExpiresAt: w.clock.Now().Add(month), First: w.ofClient("c0"), Limit: 2,
		}))
		w.is(identity.ErrInvalidToken, w.refresh("app", "b0", "b1"))
		w.ok(w.refresh("app", "a1", "a2"))
	})
}

// They outlive their sessions, and count wherever they began.
func TestFamiliesOfOfflineAccessCountAfterTheirSessions(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		for _, id := range []string{"a", "b", "c"} {
			actor, session := by(u), w.browse(u, id, false).Session.ID
			f := w.family(id, w.clock.Now().Add(month), w.ofClient(id))
			f.ClientID, f.Scope, f.Limit = "app", "openid offline_access", 2
			w.ok(w.s.StartFamily(w.t.Context(), u, session, f))
			w.ok(w.s.EndSession(w.t.Context(), store.Act{Action: "logout", By: actor}, session))
			w.clock.Advance(time.Hour)
		}
		got := query("SELECT id || ' ' || COALESCE(end_reason, '') FROM refresh_families ORDER BY id")
		if diff := cmp.Diff([]string{"a family_limit", "b ", "c "}, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAClientDoesNotEndWhatOthersHold(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "one", false).Session.ID
		for _, id := range []string{"phone", "mail", "app1", "app2", "app3", "app4", "app5"} {
			w.clock.Advance(time.Second)
			f := w.family(id, w.clock.Now().Add(month), w.ofClient(id))
			f.ClientID, f.Scope, f.Limit = strings.TrimRight(id, "12345"), "offline_access", 4
			w.ok(w.s.StartFamily(w.t.Context(), u, session, f))
		}
		live := query("SELECT id FROM refresh_families WHERE ended_at IS NULL ORDER BY id")
		if diff := cmp.Diff([]string{"app4", "app5", "mail", "phone"}, live); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestOneClientHasALimitOfFamiliesInOneSession(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		session, other := w.browse(u, "one", false).Session.ID, w.browse(u, "two", false).Session.ID
		family := func(id, client, session, scope string) {
			w.clock.Advance(time.Second)
			f := w.family(id, w.clock.Now().Add(month), w.ofClient(id))
			f.ClientID, f.Scope, f.Limit = client, scope, 2
			w.ok(w.s.StartFamily(w.t.Context(), u, session, f))
		}
		family("a", "app", session, "openid")
		family("offline", "app", session, "offline_access")
		family("b", "app", session, "openid")
		family("client", "another", session, "openid")
		family("session", "app", other, "openid")
		w.clock.Advance(time.Second)
		w.ok(w.refresh("app", "a", "a2"))
		family("c", "app", session, "openid")
		got := query("SELECT id || ' ' || COALESCE(end_reason, '') FROM refresh_families ORDER BY id")
		if diff := cmp.Diff([]string{"a ", "b family_limit", "c ", "client ", "offline ", "session "}, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		if w.reason(u, session) != "" {
			w.t.Error("the session ended")
		}
		w.clock.Advance(time.Hour) // no access token of it is valid any more
		_, _, err := w.s.Purge(w.t.Context(), 0, 0)
		w.ok(err)
		if got := query("SELECT id FROM refresh_families WHERE id = 'b'"); len(got) != 0 {
			w.t.Error("what the limit ended was not removed")
		}
	})
}

func TestAFamilyThatIsNotPermittedIsNotStored(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "one", false).Session.ID
		f := w.family("a", w.clock.Now().Add(month), w.ofClient("a"))
		refused := errors.New("refused")
		f.ClientID, f.Permit = "app", func(userID, sessionID string) error {
			if userID != u.ID || sessionID != session {
				t.Errorf("asked about %s and %s", userID, sessionID)
			}
			return refused
		}
		w.is(refused, w.s.StartFamily(w.t.Context(), u, session, f))
		if n := len(query("SELECT id FROM refresh_families")); n != 0 {
			t.Errorf("%d families", n)
		}
	})
}

func TestConcurrentGrantsKeepTheLimit(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.registered("app", nil)
		u := w.add("u", identity.Viewer, "default")
		actor, session := by(u), w.browse(u, "cookie", false).Session.ID
		actor.SessionID = session
		for i := range 8 {
			w.device(itoa(i), "app")
			w.ok(w.s.DecideDevice(w.t.Context(), store.Act{Action: "device.decide", By: actor}, itoa(i), true))
			_, err := w.s.IssueCodeAtOnce(w.t.Context(), store.Act{Action: "code"}, request("r-"+itoa(i), "app", "n", ""), session,
				store.NewCode{Hash: "code-" + itoa(i), ExpiresAt: w.clock.Now().Add(time.Minute), Ready: anyone})
			w.ok(err)
		}
		family := func(i int) store.NewFamily {
			return store.NewFamily{
				ClientID: "app", Granted: store.Granted{Scope: "openid"}, ExpiresAt: w.clock.Now().Add(month), First: w.ofClient("f" + itoa(i)), Limit: 3,
			}
		}
		for _, err := range race(16, func(i int) error {
			f := family(i)
			if i < 8 {
				_, err := w.s.RedeemDevice(w.t.Context(), identity.Actor{}, "hash-"+itoa(i), f)
				return err
			}
			c, err := w.s.Code(w.t.Context(), "code-"+itoa(i-8))
			if err == nil {
				_, err = w.s.UseCode(w.t.Context(), identity.Actor{}, store.CodeUse{Hash: "code-" + itoa(i-8), Code: c, May: anyone}, &f)
			}
			return err
		}) {
			w.ok(err)
		}
		if n := len(query("SELECT id FROM refresh_families WHERE ended_at IS NULL")); n != 3 {
			w.t.Errorf("%d families", n)
		}
	})
}
