package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// sessions are the ids of the sessions that the user sees of themselves.
func (w *world) sessions(u identity.User) (ids []string) {
	w.t.Helper()
	page, err := w.s.Sessions(w.t.Context(), by(u), u.ID, store.ListFilter{})
	w.ok(err)
	for _, s := range page.Items {
		ids = append(ids, s.ID)
	}
	if page.Total != len(ids) {
		w.t.Errorf("total %d of %v", page.Total, ids)
	}
	return ids
}

func TestASessionIsListedAsItIs(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		start := store.Act{Action: "login", By: identity.Actor{Address: "192.0.2.7", UserAgent: "curl/8"}}
		started := w.clock.Now()
		_, err := w.s.StartSession(w.t.Context(), start, w.proof(u), w.family("s", started.Add(month), w.next("t0")))
		w.ok(err)
		w.clock.Advance(time.Hour)
		_, err = w.rotate("t0", "t1")
		w.ok(err)
		page, err := w.s.Sessions(w.t.Context(), by(u), u.ID, store.ListFilter{})
		w.ok(err)
		want := []identity.Session{{
			ID: "s", ClientID: identity.FirstPartyClient, CreatedAt: started, LastUsedAt: started.Add(time.Hour), ExpiresAt: started.Add(time.Hour + week),
			EndsAt: started.Add(month), Address: "192.0.2.7", UserAgent: "curl/8",
			AuthTime: started, Methods: []string{"pwd"}, ACR: identity.ACROneFactor,
		}}
		if diff := cmp.Diff(want, page.Items); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A session is listed until its idle or its absolute end, which is also when its
// refresh token is refused.
func TestAnExpiredSessionIsNeitherListedNorRefreshed(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		_, err := w.start(u, "absolute", w.clock.Now().Add(time.Hour), w.next("a"))
		w.ok(err)
		w.login(u, "idle")
		if got := w.sessions(u); len(got) != 2 {
			w.t.Errorf("listed %v", got)
		}
		w.clock.Advance(time.Hour)
		if got := w.sessions(u); !slices.Equal(got, []string{"family-idle"}) {
			w.t.Errorf("after the absolute end of one: %v", got)
		}
		w.ended("a")
		w.clock.Advance(week - time.Hour - time.Second)
		if got := w.sessions(u); len(got) != 1 {
			w.t.Errorf("before the idle end: %v", got)
		}
		w.clock.Advance(time.Second)
		if got := w.sessions(u); len(got) != 0 {
			w.t.Errorf("after the idle end: %v", got)
		}
		w.ended("idle")
	})
}

func TestAUserEndsOneOrAllOfTheOwnSessions(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		s := newScene(w, "scene")
		w.ok(w.s.EndUserSession(w.t.Context(), store.Act{Action: "session.end", By: by(s.ada)}, s.ada.ID, s.id("c")))
		if diff := cmp.Diff(effect{Sessions: "c", Families: "c c1 c3", Refused: "c c1 c3", Listed: "c c1 c3"}, s.effect(query)); diff != "" {
			w.t.Errorf("one (-want +got):\n%s", diff)
		}
		if ev := w.lastEvent(); ev.Action != "session.end" || ev.TargetID != s.ada.ID || ev.OrgID != "scene" || ev.Detail != "session "+s.id("c") {
			w.t.Errorf("audit event %+v", ev)
		}
		if got := w.sessions(s.ada); !slices.Equal(slices.Sorted(slices.Values(got)), []string{s.id("a"), s.id("b"), s.id("c2")}) {
			w.t.Errorf("listed: %v", got)
		}
		for _, id := range []string{s.id("c"), s.id("v"), "unknown"} { // ended, another user's, none
			before := w.eventCount()
			w.notFound(w.s.EndUserSession(w.t.Context(), act(s.ada), s.ada.ID, id))
			if w.eventCount() != before {
				w.t.Errorf("%s: an audit event", id)
			}
		}
		w.ok(w.endAll(store.Act{Action: "session.end_all", By: by(s.ada)}, s.ada.ID))
		const everything = "a b c c1 c2 c3"
		if diff := cmp.Diff(effect{Sessions: "a b c", Families: everything, Refused: everything, Listed: everything}, s.effect(query)); diff != "" {
			w.t.Errorf("all (-want +got):\n%s", diff)
		}
		if ev := w.lastEvent(); ev.Action != "session.end_all" || ev.TargetID != s.ada.ID {
			w.t.Errorf("audit event %+v", ev)
		}
	})
}

// Actor x target: what administrators may do to the sessions of a user is what they
// may do to the user.
func TestSessionsOfOthersAreForTheirAdministrators(t *testing.T) {
	onEach(t, func(w *world) {
		actors := map[string]identity.Actor{
			"viewer":     by(w.add("viewer", identity.Viewer, "acme")),
			"org_admin":  by(w.add("admin", identity.OrgAdmin, "acme")),
			"superadmin": by(w.add("root", identity.Superadmin, "other")),
			"suspended":  by(w.add("gone", identity.OrgAdmin, "acme")),
			"anonymous":  {},
			"system":     {Kind: identity.ActorSystem},
		}
		_, err := w.s.SetStatus(w.t.Context(), system("s"), actors["suspended"].ID, identity.Suspended)
		w.ok(err)
		st, _, err := w.s.InsertServiceToken(w.t.Context(), system("t"), identity.ServiceToken{Name: "t", Role: identity.Superadmin, OrgID: "acme"}, "h")
		w.ok(err)
		actors["service token"] = identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}
		targets := map[string]identity.User{
			"viewer": w.add("v", identity.Viewer, "acme"), "superadmin": w.add("s", identity.Superadmin, "acme"), "elsewhere": w.add("e", identity.Viewer, "globex"),
		}
		want := map[string]map[string]fault.Kind{
			"viewer":        {"viewer": fault.Forbidden, "superadmin": fault.Forbidden, "elsewhere": fault.Forbidden},
			"suspended":     {"viewer": fault.Forbidden, "superadmin": fault.Forbidden, "elsewhere": fault.Forbidden},
			"anonymous":     {"viewer": fault.Forbidden, "superadmin": fault.Forbidden, "elsewhere": fault.Forbidden},
			"org_admin":     {"superadmin": fault.Forbidden, "elsewhere": fault.NotFound},
			"service token": {"superadmin": fault.Forbidden},
		}
		for who, actor := range actors {
			for whose, u := range targets {
				g := w.login(u, who+whose)
				act := store.Act{Action: "test", By: actor}
				_, listing := w.s.Sessions(w.t.Context(), actor, u.ID, store.ListFilter{})
				one := w.s.EndUserSession(w.t.Context(), act, u.ID, g.SessionID)
				w.login(u, "second"+who+whose)
				all := w.endAll(act, u.ID)
				for verb, err := range map[string]error{"list": listing, "end one": one, "end all": all} {
					kind, refused := want[who][whose]
					if refused != (err != nil) || refused && fault.KindOf(err) != kind {
						w.t.Errorf("%s, %s of %s: %v", who, verb, whose, err)
					}
				}
				if left := len(w.sessions(u)); (left > 0) != (all != nil) {
					w.t.Errorf("%s: %d sessions of %s are left", who, left, whose)
				}
				w.ok(w.endAll(system("reset"), u.ID))
			}
		}
	})
}

// A login concurrent with the end of all sessions came before it, and its session
// has ended, or came after it. So did a refresh: no token of it is valid.
func TestASessionSurvivesTheEndOfAllOnlyIfItStartedLater(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		survived := 0
		for round := range 40 {
			u := w.add(numbered("u", round), identity.Viewer, "default")
			name := u.DisplayName
			w.login(u, "live-"+name)
			u = w.user(u.ID)
			var rotated error
			race(3, func(i int) error {
				switch (i + round) % 3 { // the writer of SQLite keeps the order of the calls
				case 0:
					w.ok(w.endAll(store.Act{Action: "session.end_all", By: by(u)}, u.ID))
				case 1:
					_, err := w.start(u, "started-"+name, w.clock.Now().Add(month), w.next("started-"+name))
					w.ok(err)
				case 2:
					_, rotated = w.rotate("live-"+name, "rotated-"+name)
				}
				return nil
			})
			if rotated != nil && fault.KindOf(rotated) != fault.Unauthenticated {
				w.t.Errorf("refresh: %v", rotated)
			}
			w.ended("rotated-" + name)
			events := query("SELECT action FROM audit_events WHERE target_id = '" + u.ID + "' AND action IN ('login', 'session.end_all') ORDER BY id")
			later := strings.Join(events, " ") == "login session.end_all login"
			if got := len(w.sessions(u)) == 1; got != later {
				w.t.Errorf("the session survived: %t, in the order %v", got, events)
			}
			_, err := w.rotate("started-"+name, "again-"+name)
			if later != (err == nil) {
				w.t.Errorf("its refresh token: %v, in the order %v", err, events)
			}
			if later {
				survived++
			}
		}
		if survived == 0 || survived == 40 {
			w.t.Errorf("%d of 40 sessions started later: they did not race", survived)
		}
	})
}

// They outlive sessions, so they are listed, and ended, on their own.
func TestFamiliesOfOfflineAccessAreListedOnTheirOwn(t *testing.T) {
	onEach(t, func(w *world) {
		u, other := w.add("u", identity.Viewer, "default"), w.add("other", identity.Viewer, "default")
		start := store.Act{Action: "login", By: identity.Actor{Address: "192.0.2.7", UserAgent: "curl/8"}}
		b, err := w.s.StartBrowserSession(w.t.Context(), start, w.proof(w.user(u.ID)), store.BrowserSignIn{CookieHash: "c"})
		w.ok(err)
		foreign := w.browse(other, "d", false)
		w.clock.Advance(time.Second)
		w.of(u, b.Session.ID, "app", "openid", "plain")
		w.of(u, b.Session.ID, "app", "openid offline_access", "kept")
		w.of(other, foreign.Session.ID, "app", "offline_access", "foreign")
		if diff := cmp.Diff([]string{b.Session.ID, "kept"}, w.sessions(u)); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		w.ok(w.s.EndUserSession(w.t.Context(), act(u), u.ID, b.Session.ID))
		w.clock.Advance(time.Minute)
		w.ok(w.refresh("app", "kept", "kept1"))
		page, err := w.s.Sessions(w.t.Context(), by(u), u.ID, store.ListFilter{})
		w.ok(err)
		if len(page.Items) != 1 || page.Items[0].ID != "kept" || page.Items[0].ClientID != "app" || page.Items[0].Address != "192.0.2.7" ||
			!page.Items[0].LastUsedAt.Equal(w.clock.Now()) || !page.Items[0].ExpiresAt.Equal(w.clock.Now().Add(week)) {
			w.t.Errorf("listed %+v", page.Items)
		}
		w.notFound(w.s.EndUserSession(w.t.Context(), act(u), u.ID, "foreign"))
		w.notFound(w.s.EndUserSession(w.t.Context(), act(u), u.ID, "plain"))
		w.ok(w.s.EndUserSession(w.t.Context(), act(u), u.ID, "kept"))
		if left := w.sessions(u); len(left) != 0 {
			w.t.Errorf("left %v", left)
		}
		w.notFound(w.s.EndUserSession(w.t.Context(), act(u), u.ID, "kept"))
		if err := w.refresh("app", "kept1", "kept2"); err == nil {
			w.t.Error("it is still refreshed")
		}
	})
}

func (w *world) endAll(act store.Act, userID string) error {
	_, err := w.s.EndUserSessions(w.t.Context(), act, userID)
	return err
}
