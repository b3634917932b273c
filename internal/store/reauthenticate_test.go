package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const maxAge = 15 * time.Minute

// onEachStrict is onEachURL with a limit of the age of authentications.
func onEachStrict(t *testing.T, test func(w *world, query rows)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		s := storetest.OpenURL(t, url, storetest.WithClock(clock), func(c *store.Config) { c.PrivilegedMaxAge = maxAge })
		test(&world{t: t, s: s, clock: clock}, func(query string) []string { return column(storetest.Rows(t, url, query)) })
	})
}

// inSession is the actor of an access token of the session.
func inSession(u identity.User, session string) identity.Actor {
	actor := by(u)
	actor.SessionID = session
	return actor
}

func (w *world) reauthenticate(u identity.User, session string, proof identity.Proof) error {
	return w.s.Reauthenticate(w.t.Context(), store.Act{Action: "session.reauthenticate", By: inSession(u, session)}, proof)
}

// privileged does the privileged acts and returns their errors.
func (w *world) privileged(by identity.Actor) map[string]error {
	w.t.Helper()
	act := store.Act{Action: "test", By: by}
	name := itoa(w.eventCount())
	victim := w.add("victim-"+name, identity.Viewer, "default")
	_, promote := w.s.SetRole(w.t.Context(), act, w.add("promoted-"+name, identity.Viewer, "default").ID, identity.Superadmin)
	_, _, token := w.s.InsertServiceToken(w.t.Context(), act, identity.ServiceToken{Name: name, Role: identity.Superadmin}, name)
	return map[string]error{
		"create":  w.s.CreateUser(w.t.Context(), act, identity.User{Email: "new-" + name, Role: identity.Superadmin}),
		"promote": promote,
		"token":   token,
		"reset":   w.s.ResetPassword(w.t.Context(), act, victim.ID, "new"),
		"keys":    w.s.NoteKey(w.t.Context(), act, "kid"),
	}
}

func (w *world) allowsPrivileged(by identity.Actor) {
	w.t.Helper()
	for name, err := range w.privileged(by) {
		if err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}

func (w *world) refusesPrivileged(by identity.Actor) {
	w.t.Helper()
	for name, err := range w.privileged(by) {
		if fault.KindOf(err) != fault.Unauthenticated {
			w.t.Errorf("%s: %v", name, err)
			continue
		}
		w.refused(err, fault.Unauthenticated, "reauthentication_required")
	}
}

func TestPrivilegedActsNeedARecentAuthenticationOfTheSession(t *testing.T) {
	onEachStrict(t, func(w *world, _ rows) {
		root := w.add("root", identity.Superadmin, "default")
		g := w.login(root, "t0")
		w.refusesPrivileged(by(root)) // the access token names no session
		w.refusesPrivileged(inSession(root, "unknown"))
		foreign := w.login(w.add("foreign", identity.Viewer, "default"), "s0")
		w.refusesPrivileged(inSession(root, foreign.SessionID))
		w.allowsPrivileged(identity.Actor{Kind: identity.ActorSystem})

		w.clock.Advance(maxAge - time.Second)
		w.allowsPrivileged(inSession(root, g.SessionID))
		w.clock.Advance(2 * time.Second)
		w.refusesPrivileged(inSession(root, g.SessionID))
		_, err := w.rotate("t0", "t1")
		w.ok(err)
		w.refusesPrivileged(inSession(root, g.SessionID)) // a refresh is no authentication

		w.ok(w.reauthenticate(root, g.SessionID, w.proof(w.user(root.ID))))
		w.allowsPrivileged(inSession(root, g.SessionID))
		w.ok(w.s.EndSession(w.t.Context(), act(root), g.SessionID))
		w.refusesPrivileged(inSession(root, g.SessionID))
	})
}

// What is not privileged needs no recent authentication: an org_admin's daily work,
// and the revocation of what has leaked.
func TestOtherActsNeedNoRecentAuthentication(t *testing.T) {
	onEachStrict(t, func(w *world, _ rows) {
		root, victim := w.add("root", identity.Superadmin, "default"), w.add("victim", identity.Superadmin, "default")
		_, _, err := w.s.InsertServiceToken(w.t.Context(), system("t"), identity.ServiceToken{Name: "leaked", Role: identity.Superadmin}, "h")
		w.ok(err)
		w.ok(w.s.CreateUser(w.t.Context(), act(root), identity.User{Email: "a", Role: identity.OrgAdmin}))
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(root), "", "leaked"))
		_, err = w.s.SetRole(w.t.Context(), act(root), victim.ID, identity.Viewer)
		w.ok(err)
		_, err = w.s.SetStatus(w.t.Context(), act(root), victim.ID, identity.Suspended)
		w.ok(err)
	})
}

func TestReauthenticationMovesOnlyTheTimeOfItsSession(t *testing.T) {
	onEachStrict(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		mine, other := w.login(u, "mine"), w.login(u, "other")
		before := query("SELECT id || auth_time FROM sessions WHERE id = '" + other.SessionID + "'")
		w.clock.Advance(time.Hour)
		u = w.user(u.ID)
		w.ok(w.reauthenticate(u, mine.SessionID, w.proof(u)))
		if got := query("SELECT auth_time FROM sessions WHERE id = '" + mine.SessionID + "'"); got[0] != store.FormatTime(w.clock.Now()) {
			w.t.Errorf("auth_time is %s", got)
		}
		if got := query("SELECT id || auth_time FROM sessions WHERE id = '" + other.SessionID + "'"); strings.Join(got, "") != strings.Join(before, "") {
			w.t.Errorf("the other session changed: %s, before %s", got, before)
		}
		ev := w.lastEvent()
		if ev.Action != "session.reauthenticate" || ev.TargetID != u.ID || ev.Detail != "session "+mine.SessionID {
			w.t.Errorf("audit event %+v", ev)
		}
	})
}

func TestReauthenticationIsRefused(t *testing.T) {
	onEachStrict(t, func(w *world, _ rows) {
		u, other := w.add("u", identity.Viewer, "default"), w.add("other", identity.Viewer, "default")
		g := w.login(u, "t")
		u = w.user(u.ID)
		proof := w.proof(u)
		invalid := func(err error) { w.t.Helper(); w.refused(err, fault.Unauthenticated, "invalid_token") }
		signInAgain := func(err error) { w.t.Helper(); w.refused(err, fault.Unauthenticated, "reauthentication_required") }
		invalid(w.reauthenticate(u, g.SessionID, identity.Proof{}))
		invalid(w.reauthenticate(u, g.SessionID, w.proof(other)))
		signInAgain(w.reauthenticate(u, "", proof)) // of the original: it names no session
		signInAgain(w.reauthenticate(u, "unknown", proof))
		signInAgain(w.reauthenticate(other, g.SessionID, w.proof(other)))
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "new"))
		invalid(w.reauthenticate(u, g.SessionID, proof))
		signInAgain(w.reauthenticate(u, g.SessionID, w.proof(w.user(u.ID)))) // the session has ended
		_, err := w.s.SetStatus(w.t.Context(), system("suspend"), u.ID, identity.Suspended)
		w.ok(err)
		invalid(w.reauthenticate(u, g.SessionID, w.proof(w.user(u.ID))))
	})
}

// A session that a process of the previous release started has the time of its family.
func TestAFamilyWithoutASessionIsReauthenticated(t *testing.T) {
	onEachStrict(t, func(w *world, _ rows) {
		b := before{w}
		u := b.register("u")
		b.login(u, "f", "t")
		u = w.user(u.ID)
		w.ok(w.reauthenticate(u, "f", w.proof(u)))
		p, err := w.s.Principal(w.t.Context(), inSession(u, "f"))
		if err != nil || !p.Recent {
			w.t.Errorf("%+v, %v", p, err)
		}
	})
}
