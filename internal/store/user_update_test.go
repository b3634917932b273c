package store_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestAnotherAddressEndsAllSessionsAndAnotherSpellingNone(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("ada", identity.Viewer, "acme")
		w.login(u, "a0")
		proof := w.proof(w.user(u.ID))
		got, err := w.s.UpdateUser(w.t.Context(), system("user.update"), u.ID, store.UserChange{Email: "ADA@example.org"})
		w.ok(err)
		if got.Email != "ADA@example.org" || w.reason(u, "family-a0") != "" || w.lastEvent().Detail != "email" {
			w.t.Errorf("another spelling: %+v", got)
		}
		_, err = w.s.UpdateUser(w.t.Context(), system("user.update"), u.ID, store.UserChange{
			Email: "lovelace@example.org", Profile: map[string]string{"nickname": "L", "display_name": ""},
		})
		w.ok(err)
		w.refuses(u, "family-a0", "jti-a0")
		w.ended("a0")
		if ev := w.lastEvent(); ev.Detail != "display_name email nickname" || strings.Contains(ev.Detail, "@") || ev.TargetID != u.ID || ev.OrgID != "acme" {
			w.t.Errorf("%+v", ev)
		}
		if _, err := w.s.StartSession(w.t.Context(), store.Act{Action: "login"}, proof, w.family("late", w.clock.Now().Add(month), w.next("late"))); fault.KindOf(err) != fault.Unauthenticated {
			w.t.Errorf("a proof from before starts a session: %v", err)
		}
		if _, err := w.s.UserByEmail(w.t.Context(), "ada@example.org"); fault.KindOf(err) != fault.NotFound {
			w.t.Errorf("the former address still finds the user: %v", err)
		}
		w.add("ada", identity.Viewer, "acme") // it is free
		_, err = w.s.UpdateUser(w.t.Context(), system("user.update"), u.ID, store.UserChange{Email: "Ada@example.org", Profile: map[string]string{"nickname": "X"}})
		w.refused(err, fault.Conflict, "email_taken")
		events := w.eventCount()
		got, err = w.s.UpdateUser(w.t.Context(), system("user.update"), u.ID, store.UserChange{Profile: map[string]string{"nickname": "L"}})
		w.ok(err)
		if got.Profile.Nickname != "L" || got.Email != "lovelace@example.org" || w.eventCount() != events {
			w.t.Errorf("nothing was changed: %+v, %d events more", got, w.eventCount()-events)
		}
		if stored := query("SELECT profile FROM users WHERE id = '" + u.ID + "'"); stored[0] != `{"nickname":"L"}` {
			w.t.Errorf("stored as %s", stored[0])
		}
	})
}

func TestAMovedUserLosesSessionsAndMemberships(t *testing.T) {
	onEach(t, func(w *world) {
		root, boss := w.add("root", identity.Superadmin, "default"), w.add("boss", identity.OrgAdmin, "acme")
		u := w.add("ada", identity.Operator, "acme")
		w.ok(w.s.AddMember(w.t.Context(), system("add"), w.group("g", "acme").ID, u.ID))
		w.login(u, "a0")
		to := func(org string) store.UserChange { return store.UserChange{OrgID: org} }
		_, err := w.s.UpdateUser(w.t.Context(), act(boss), u.ID, to("default"))
		w.forbidden(err)
		_, err = w.s.UpdateUser(w.t.Context(), act(root), u.ID, to("unknown"))
		w.refused(err, fault.Invalid, "validation_failed")
		got, err := w.s.UpdateUser(w.t.Context(), act(root), u.ID, to("default"))
		w.ok(err)
		if got.OrgID != "default" || w.reason(u, "family-a0") != store.EndOrgChange {
			w.t.Errorf("%+v, ended by %q", got, w.reason(u, "family-a0"))
		}
		w.accepts(u, "family-a0", "jti-a0") // here the database decides
		w.ended("a0")
		s, err := w.s.Standing(w.t.Context(), by(root), u.ID)
		w.ok(err)
		if len(s.Groups) != 0 || s.Sessions != 0 || s.Role != identity.Operator {
			w.t.Errorf("%+v", s)
		}
		_, err = w.s.Standing(w.t.Context(), by(boss), u.ID)
		w.notFound(err)
		_, err = w.s.UpdateUser(w.t.Context(), act(boss), u.ID, store.UserChange{Profile: map[string]string{"nickname": "x"}})
		w.notFound(err)

		closed := identity.Suspended
		_, err = w.s.UpdateOrganization(w.t.Context(), system("x"), "acme", nil, &closed)
		w.ok(err)
		_, err = w.s.UpdateUser(w.t.Context(), act(root), root.ID, to("acme"))
		w.refused(err, fault.Conflict, "last_superadmin")
	})
}

func TestUsersChangeTheirOwnProfileOnly(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("ada", identity.Viewer, "acme")
		w.clock.Advance(time.Second)
		got, err := w.s.UpdateOwn(w.t.Context(), act(u), map[string]string{"locale": "de-CH"}, nil)
		w.ok(err)
		if got.Profile.Locale != "de-CH" || !got.UpdatedAt.Equal(w.clock.Now()) {
			w.t.Errorf("%+v", got)
		}
		if diff := cmp.Diff(got, w.user(u.ID)); diff != "" {
			w.t.Errorf("stored (-returned +read):\n%s", diff)
		}
		_, err = w.s.UpdateOwn(w.t.Context(), system("x"), map[string]string{"locale": "de"}, nil)
		w.forbidden(err)
		_, err = w.s.SetStatus(w.t.Context(), system("x"), u.ID, identity.Suspended)
		w.ok(err)
		_, err = w.s.UpdateOwn(w.t.Context(), act(u), map[string]string{"locale": "de"}, nil)
		w.refused(err, fault.Unauthenticated, "invalid_token")
		w.refused(w.s.DeleteOwn(w.t.Context(), act(u), w.proof(u)), fault.Unauthenticated, "invalid_token")
	})
}

func TestTheOwnAccountIsDeletedByTheProofThatIsStillGood(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		w.refused(w.s.DeleteOwn(w.t.Context(), act(root), w.proof(root)), fault.Conflict, "last_superadmin")
		u, other := w.add("ada", identity.Viewer, "default"), w.add("bob", identity.Viewer, "default")
		w.refused(w.s.DeleteOwn(w.t.Context(), act(u), w.proof(other)), fault.Conflict, "password_changed")
		old := w.proof(u)
		w.ok(w.s.ResetPassword(w.t.Context(), system("x"), u.ID, "h"))
		w.refused(w.s.DeleteOwn(w.t.Context(), act(u), old), fault.Conflict, "password_changed")
		w.login(u, "a0")
		w.ok(w.s.DeleteOwn(w.t.Context(), act(u), w.proof(w.user(u.ID))))
		w.ended("a0")
		if ev := w.lastEvent(); ev.ActorID != u.ID || ev.TargetID != u.ID {
			w.t.Errorf("%+v", ev)
		}
		if _, err := w.s.UserByID(w.t.Context(), u.ID); fault.KindOf(err) != fault.NotFound {
			w.t.Errorf("%v", err)
		}
		w.ok(w.s.InsertUser(w.t.Context(), system("x"), identity.User{Email: "ada@example.org", PasswordHash: "x", Role: identity.Viewer, OrgID: "default", Status: identity.Active}))
		if again, err := w.s.UserByEmail(w.t.Context(), "ada@example.org"); err != nil || again.ID == u.ID {
			w.t.Errorf("the id is used again: %v", err)
		}
	})
}

// Without a limit of the age of a sign-in every access token would be enough.
func TestWithoutALimitOfTheSignInTheOwnAccountNeedsThePassword(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("ada", identity.Viewer, "default")
		g := w.login(u, "a0")
		by := store.Act{Action: identity.ActionDeleteUser, By: inSession(u, g.SessionID)}
		w.refused(w.s.DeleteOwn(w.t.Context(), by, identity.Proof{}), fault.Invalid, "validation_failed")
		w.ok(w.s.DeleteOwn(w.t.Context(), by, w.proof(w.user(u.ID))))
	})
}

func TestAnotherAddressIsNotVerified(t *testing.T) {
	onEach(t, func(w *world) {
		root, u := w.add("root", identity.Superadmin, "default"), w.add("ada", identity.Viewer, "acme")
		verified := true
		got, err := w.s.UpdateUser(w.t.Context(), act(root), u.ID, store.UserChange{EmailVerified: &verified})
		w.ok(err)
		if !got.EmailVerified || !w.user(u.ID).EmailVerified {
			w.t.Error("the address is not verified")
		}
		_, err = w.s.UpdateUser(w.t.Context(), act(root), u.ID, store.UserChange{Email: "ADA@example.org"}) // the same one
		w.ok(err)
		if !w.user(u.ID).EmailVerified {
			w.t.Error("another spelling of the address is not verified")
		}
		_, err = w.s.UpdateUser(w.t.Context(), act(root), u.ID, store.UserChange{Email: "eve@example.org"})
		w.ok(err)
		if w.user(u.ID).EmailVerified {
			w.t.Error("another address is verified")
		}
		_, err = w.s.UpdateUser(w.t.Context(), act(root), u.ID, store.UserChange{Email: "ada@example.org", EmailVerified: &verified})
		w.ok(err)
		if !w.user(u.ID).EmailVerified {
			w.t.Error("an address that was given as verified is not")
		}
	})
}

func TestUsersChangeTheirPartOfTheMetadataOnly(t *testing.T) {
	onEach(t, func(w *world) {
		root, u := w.add("root", identity.Superadmin, "default"), w.add("ada", identity.Viewer, "acme")
		_, err := w.s.UpdateUser(w.t.Context(), act(root), u.ID, store.UserChange{Metadata: map[string]json.RawMessage{"admin": json.RawMessage(`{"a":1}`)}})
		w.ok(err)
		got, err := w.s.UpdateOwn(w.t.Context(), act(u), nil, json.RawMessage(`{"admin":{"a":2}}`))
		w.ok(err)
		const want = `{"admin":{"a":1},"user":{"admin":{"a":2}}}`
		if got.Metadata != want {
			w.t.Errorf("%s", got.Metadata)
		}
		if _, err := w.s.UpdateOwn(w.t.Context(), act(u), nil, json.RawMessage(`{"a":"`+strings.Repeat("x", 8<<10)+`"}`)); fault.KindOf(err) != fault.Invalid {
			w.t.Errorf("too much: %v", err)
		}
		s, err := w.s.Standing(w.t.Context(), by(root), u.ID)
		w.ok(err)
		if s.Metadata != want {
			w.t.Errorf("%s", s.Metadata)
		}
	})
}
