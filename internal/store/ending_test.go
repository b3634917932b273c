package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// scene is one user with two sessions of the JSON login, a and b, and a session
// in a browser, c, in which the client app got the families c1 and, with
// offline_access, c2, and another client c3. v is another user of the same
// organization, with a session v that has the family v1 of app.
type scene struct {
	w        *world
	name     string // prefix of all ids in it
	ada, bob identity.User
}

func newScene(w *world, name string) *scene {
	s := &scene{w: w, name: name, ada: w.add("ada-"+name, identity.Viewer, name), bob: w.add("bob-"+name, identity.Viewer, name)}
	for session, u := range map[string]identity.User{"a": s.ada, "b": s.ada, "c": s.ada, "v": s.bob} {
		_, err := w.start(u, s.id(session), w.clock.Now().Add(month), w.next(s.id(session)))
		w.ok(err)
	}
	s.family(s.ada, "c", "c1", "app", "openid email")
	s.family(s.ada, "c", "c2", "app", "openid offline_access email")
	s.family(s.ada, "c", "c3", "other", "openid")
	s.family(s.bob, "v", "v1", "app", "openid")
	return s
}

// id is the stored id of the name in the scene; empty stays empty.
func (s *scene) id(name string) string {
	if name == "" {
		return ""
	}
	return s.name + "." + name
}

func (s *scene) family(u identity.User, session, name, client, scope string) {
	s.w.t.Helper()
	s.w.ok(s.w.s.StartFamily(s.w.t.Context(), u, s.id(session), store.NewFamily{
		ID: s.id(name), ClientID: s.id(client), Granted: store.Granted{Scope: scope}, ExpiresAt: s.w.clock.Now().Add(month), First: s.w.next(s.id(name)),
	}))
}

// effect is what an event did, by the names of the scene.
type effect struct {
	Sessions, Families string // that ended
	Refused, Listed    string // access tokens, by their families
	Version            int64  // of Ada's credentials
}

func (s *scene) effect(url rows) effect {
	s.w.t.Helper()
	ended := func(table string) string {
		return s.names(url("SELECT id FROM " + table + " WHERE ended_at IS NOT NULL AND id LIKE '" + s.name + ".%'"))
	}
	e := effect{Sessions: ended("sessions"), Families: ended("refresh_families"), Version: s.w.version(s.ada)}
	for _, f := range []struct {
		u               identity.User
		session, family string
	}{
		{s.ada, "a", "a"},
		{s.ada, "b", "b"},
		{s.ada, "c", "c"},
		{s.ada, "c", "c1"},
		{s.ada, "c", "c2"},
		{s.ada, "c", "c3"},
		{s.bob, "v", "v"},
		{s.bob, "v", "v1"},
	} {
		if s.w.bearer(f.u, s.id(f.session), "jti-"+s.id(f.family)).Ended.RefusedHere() {
			e.Refused = strings.TrimSpace(e.Refused + " " + f.family)
		}
	}
	jtis, err := s.w.s.RevokedJTIs(s.w.t.Context())
	s.w.ok(err)
	var listed []string
	for _, jti := range jtis {
		if id, ours := strings.CutPrefix(jti, "jti-"+s.name+"."); ours {
			listed = append(listed, id)
		}
	}
	slices.Sort(listed)
	e.Listed = strings.Join(listed, " ")
	return e
}

func (s *scene) names(ids []string) string {
	for i := range ids {
		ids[i] = strings.TrimPrefix(ids[i], s.name+".")
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

type endRow struct {
	event store.EndReason
	of    store.Of // by the names of the scene, without the user
	want  effect
}

// The table "What ends what", repeated by hand. The session in the browser also has
// a family of the JSON login, c, so that it can be made like the others.
func TestWhatEndsWhat(t *testing.T) {
	const everything = "a b c c1 c2 c3"
	all := effect{Sessions: "a b c", Families: everything, Refused: everything, Listed: everything}
	others := effect{Sessions: "b c", Families: everything, Refused: everything, Listed: everything, Version: 1}
	one := func(sessions, families string) effect {
		return effect{Sessions: sessions, Families: families, Refused: families, Listed: families}
	}
	everyone := all
	everyone.Sessions += " v"
	everyone.Families, everyone.Refused, everyone.Listed = everything+" v v1", everything+" v v1", everything+" v v1"
	reset := all
	reset.Version = 1
	listed := effect{Sessions: "a b c", Families: everything, Listed: everything}
	table := []endRow{
		{store.EndLogout, store.Of{Session: "a"}, one("a", "a")},
		{store.EndLogout, store.Of{Session: "c"}, one("c", "c c1 c3")},
		{store.EndLogout, store.Of{Session: "v"}, effect{}}, // of another user
		{store.EndLogoutAll, store.Of{}, all},
		{store.EndLimit, store.Of{Session: "b"}, one("b", "b")},
		{store.EndLimit, store.Of{Session: "c"}, one("c", "c c1 c3")},
		{store.EndFamilyLimit, store.Of{Family: "c2"}, one("", "c2")},
		{store.EndExpiry, store.Of{Session: "c"}, effect{Sessions: "c", Families: "c c1 c3"}},
		{store.EndPasswordChange, store.Of{Session: "a"}, others},
		{store.EndPasswordReset, store.Of{}, reset},
		{store.EndFactorRemoval, store.Of{Session: "a"}, others},
		{store.EndEmailChange, store.Of{Session: "a"}, others},
		{store.EndFactorAddition, store.Of{Session: "a"}, effect{Version: 1}},
		{store.EndRoleChange, store.Of{}, listed},
		{store.EndOrgChange, store.Of{}, listed},
		{store.EndSuspension, store.Of{}, all},
		{store.EndDeletion, store.Of{}, all},
		{store.EndOrgSuspension, store.Of{Org: "-"}, everyone},
		{store.EndReuse, store.Of{Family: "a"}, one("a", "a")}, // the only family of a JSON session
		{store.EndReuse, store.Of{Family: "c1"}, one("", "c1")},
		{store.EndReuse, store.Of{Family: "c2"}, one("", "c2")},
		{store.EndCodeReuse, store.Of{Family: "c1"}, one("", "c1")},
		{store.EndTokenRevocation, store.Of{Family: "c3"}, one("", "c3")},
		{store.EndConsent, store.Of{Client: "app"}, one("", "c1 c2")},
		{store.EndClientSuspension, store.Of{Client: "app", User: "-"}, effect{Families: "c1 c2 v1", Refused: "c1 c2 v1"}},
		{store.EndRehash, store.Of{}, effect{}},
	}
	untested := map[store.EndReason]bool{store.EndOwnChange: true} // written by earlier releases only
	for _, event := range store.EndReasons() {
		if !untested[event] && !slices.ContainsFunc(table, func(row endRow) bool { return row.event == event }) {
			t.Errorf("%s has no row", event)
		}
	}
	onEachURL(t, func(w *world, query rows) {
		for i, row := range table {
			s := newScene(w, numbered("scene", i))
			of := store.Of{User: s.ada.ID, Session: s.id(row.of.Session), Family: s.id(row.of.Family), Client: s.id(row.of.Client)}
			if row.of.Org != "" {
				of.User, of.Org = "", s.name
			}
			if row.of.User != "" {
				of.User = "" // of all users
			}
			ended, err := w.s.End(w.t.Context(), row.event, of)
			w.ok(err)
			got := s.effect(query)
			if diff := cmp.Diff(row.want, got); diff != "" {
				w.t.Errorf("%s %+v (-want +got):\n%s", row.event, row.of, diff)
			}
			if want := got.Sessions+got.Families != ""; ended != want {
				w.t.Errorf("%s %+v: reports %t", row.event, row.of, ended)
			}
			if again, err := w.s.End(w.t.Context(), row.event, of); again || err != nil {
				w.t.Errorf("%s %+v, again: %t, %v", row.event, row.of, again, err)
			}
		}
	})
}

// Only the scope offline_access itself outlives a logout, not a similar one.
func TestALogoutLeavesFamiliesOfOfflineAccessAlone(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "t")
		scopes := []string{"offline_access", "openid offline_access", "Offline_Access", "offline-access openid", "offline_access_x"}
		for i, scope := range scopes {
			w.ok(w.s.StartFamily(w.t.Context(), u, "family-t", store.NewFamily{
				ID: itoa(i), ClientID: "app", Granted: store.Granted{Scope: scope}, ExpiresAt: w.clock.Now().Add(month), First: w.next(itoa(i)),
			}))
		}
		w.ok(w.s.EndSession(w.t.Context(), act(u), "family-t"))
		got := query("SELECT scope FROM refresh_families WHERE ended_at IS NULL ORDER BY id")
		if diff := cmp.Diff(scopes[:2], got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Activation revives nothing: what a suspension ended stays ended.
func TestActivationRevivesNothing(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		s := newScene(w, "scene")
		for _, status := range []identity.Status{identity.Suspended, identity.Active} {
			_, err := w.s.SetStatus(w.t.Context(), system("status"), s.ada.ID, status)
			w.ok(err)
		}
		const everything = "a b c c1 c2 c3"
		want := effect{Sessions: "a b c", Families: everything, Refused: everything, Listed: everything}
		if diff := cmp.Diff(want, s.effect(query)); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		_, err := w.rotate(s.id("a"), "next")
		w.refused(err, fault.Unauthenticated, "invalid_token")
	})
}
