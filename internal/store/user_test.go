package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestUserIsReadAsStored(t *testing.T) {
	onEach(t, func(w *world) {
		u := identity.User{
			ID: "abcdef012345", Email: "Zoë@Example.org", EmailKey: "zoë@example.org", DisplayName: "Zoë",
			PasswordHash: "$2b$12$hash", Role: identity.Operator, OrgID: "acme", Status: identity.Suspended,
			DefaultPassword: true, CreatedAt: w.clock.Now().Add(-time.Hour), LastLoginAt: w.clock.Now(),
		}
		w.ok(w.s.CreateUser(w.t.Context(), system("seed"), u))
		want := u
		want.OrgStatus, want.PasswordForm = identity.Active, identity.FormNFC
		if diff := cmp.Diff(want, w.user(u.ID)); diff != "" {
			w.t.Errorf("by id (-want +got):\n%s", diff)
		}
		got, err := w.s.UserByEmail(w.t.Context(), "zoë@example.org")
		w.ok(err)
		if diff := cmp.Diff(&want, got); diff != "" {
			w.t.Errorf("by e-mail (-want +got):\n%s", diff)
		}
	})
}

func TestUnknownUsersAreNotFound(t *testing.T) {
	onEach(t, func(w *world) {
		_, err := w.s.UserByID(w.t.Context(), "nobody")
		w.notFound(err)
		_, err = w.s.UserByEmail(w.t.Context(), "nobody@example.org")
		w.notFound(err)
		_, err = w.s.Bearer(w.t.Context(), "nobody", "", "")
		w.notFound(err)
	})
}

func TestTextThatPostgreSQLCannotHoldIsInvalidOnBothEngines(t *testing.T) {
	onEach(t, func(w *world) {
		for _, text := range []string{"a\x00b", "\xff", "caf\xe9"} {
			_, err := w.s.UserByID(w.t.Context(), text)
			w.refused(err, fault.Invalid, "validation_failed")
			err = w.s.InsertEvent(w.t.Context(), store.Event{Action: "x", Outcome: store.OutcomeRefused, Detail: text})
			w.refused(err, fault.Invalid, "validation_failed")
		}
	})
}

func TestRegistrationGrantsNothing(t *testing.T) {
	onEach(t, func(w *world) {
		viewer := identity.User{ID: "u1", Email: "a@example.org", EmailKey: "a@example.org", Role: identity.Viewer, OrgID: "default", Status: identity.Active}
		for name, change := range map[string]func(*identity.User){
			"role":   func(u *identity.User) { u.Role = identity.Operator },
			"org":    func(u *identity.User) { u.OrgID = "acme" },
			"status": func(u *identity.User) { u.Status = identity.Suspended },
		} {
			u := viewer
			change(&u)
			if err := w.s.InsertUser(w.t.Context(), store.Act{Action: "user.register"}, u); err == nil {
				w.t.Errorf("%s: a user who registers chose it", name)
			}
		}
		w.ok(w.s.InsertUser(w.t.Context(), store.Act{Action: "user.register", By: identity.Actor{Address: "192.0.2.1"}}, viewer))
		ev := w.lastEvent()
		if ev.ActorID != "u1" || ev.TargetID != "u1" || ev.Outcome != store.OutcomeSuccess || ev.Address != "192.0.2.1" {
			w.t.Errorf("audit row: %+v", ev)
		}
		again := viewer
		again.ID, again.Email = "u2", "A@EXAMPLE.org"
		again.EmailKey = ""
		w.refused(w.s.InsertUser(w.t.Context(), store.Act{Action: "user.register"}, again), fault.Conflict, "email_taken")
		if w.lastEvent().ID != ev.ID {
			w.t.Error("a refused registration wrote an audit row of success")
		}
		w.ok(w.s.SetRegistration(w.t.Context(), system("close"), false))
		again.Email = "late@example.org"
		w.refused(w.s.InsertUser(w.t.Context(), store.Act{Action: "user.register"}, again), fault.Forbidden, "registration_disabled")
	})
}

func TestFirstAdminIsMadeOnce(t *testing.T) {
	onEach(t, func(w *world) {
		first := identity.User{ID: "root", Email: "admin@pico.local", EmailKey: "admin@pico.local", PasswordHash: "h", DefaultPassword: true}
		created, err := w.s.InsertFirstAdmin(w.t.Context(), first)
		w.ok(err)
		if !created {
			w.t.Fatal("no first admin was made")
		}
		email, marked, err := w.s.DefaultPasswordAdmin(w.t.Context())
		w.ok(err)
		if !marked || email != "admin@pico.local" {
			w.t.Errorf("default password admin: %q %v", email, marked)
		}
		created, err = w.s.InsertFirstAdmin(w.t.Context(), identity.User{ID: "r2", Email: "b@pico.local", EmailKey: "b@pico.local"})
		w.ok(err)
		if created {
			w.t.Error("a second first admin was made")
		}
		has, err := w.s.HasSuperadmin(w.t.Context())
		w.ok(err)
		if !has {
			w.t.Error("no superadmin")
		}
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), "root", "new"))
		if _, marked, err = w.s.DefaultPasswordAdmin(w.t.Context()); err != nil || marked {
			w.t.Errorf("the mark is still set after the default password was changed (%v)", err)
		}
	})
}

func TestCreateUserStaysWithinTheActorsReach(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		viewer := w.add("viewer", identity.Viewer, "acme")
		fresh := func(id string, role identity.Role, org string) identity.User {
			return identity.User{ID: id, Email: id + "@x.org", EmailKey: id + "@x.org", Role: role, OrgID: org}
		}
		w.ok(w.s.CreateUser(w.t.Context(), act(root), fresh("n1", identity.Superadmin, "brand-new")))
		if w.user("n1").OrgStatus != identity.Active {
			w.t.Error("the organization that a superadmin named was not made")
		}
		w.ok(w.s.CreateUser(w.t.Context(), act(boss), fresh("n2", identity.OrgAdmin, "")))
		if org := w.user("n2").OrgID; org != "acme" {
			w.t.Errorf("no organization named: got %q, want the actor's own", org)
		}
		w.forbidden(w.s.CreateUser(w.t.Context(), act(boss), fresh("n3", identity.Superadmin, "acme")))
		w.notFound(w.s.CreateUser(w.t.Context(), act(boss), fresh("n3", identity.Viewer, "default")))
		w.notFound(w.s.CreateUser(w.t.Context(), act(boss), fresh("n3", identity.Viewer, "never-heard-of")))
		w.forbidden(w.s.CreateUser(w.t.Context(), act(viewer), fresh("n3", identity.Viewer, "acme")))
		w.forbidden(w.s.CreateUser(w.t.Context(), act(identity.User{}), fresh("n3", identity.Viewer, "acme")))
		w.forbidden(w.s.CreateUser(w.t.Context(), act(identity.User{ID: "deleted"}), fresh("n3", identity.Viewer, "acme")))
		w.refused(w.s.CreateUser(w.t.Context(), act(root), identity.User{ID: "n4", EmailKey: "n1@x.org", Role: identity.Viewer}),
			fault.Conflict, "email_taken")
		_, err := w.s.UserByID(w.t.Context(), "n3")
		w.notFound(err)
	})
}

// The matrix of which actor may manage which user, for every operation.
func TestManagingRespectsRoleAndOrganization(t *testing.T) {
	acts := map[string]func(w *world, a store.Act, id string) error{
		"role": func(w *world, a store.Act, id string) error {
			_, err := w.s.SetRole(w.t.Context(), a, id, identity.Viewer)
			return err
		},
		"status": func(w *world, a store.Act, id string) error {
			_, err := w.s.SetStatus(w.t.Context(), a, id, identity.Suspended)
			return err
		},
		"reset":  func(w *world, a store.Act, id string) error { return w.s.ResetPassword(w.t.Context(), a, id, "new") },
		"delete": func(w *world, a store.Act, id string) error { return w.s.DeleteUser(w.t.Context(), a, id) },
	}
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		spare := w.add("spare", identity.Superadmin, "acme")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		suspended := w.add("suspended", identity.Superadmin, "acme")
		_, err := w.s.SetStatus(w.t.Context(), act(root), suspended.ID, identity.Suspended)
		w.ok(err)
		operator := w.add("operator", identity.Operator, "acme")
		n := 0
		for name, do := range acts {
			target := func(role identity.Role, org string) string {
				n++
				return w.add(numbered("target", n), role, org).ID
			}
			w.t.Log(name)
			w.ok(do(w, act(root), target(identity.Superadmin, "elsewhere")))
			w.ok(do(w, act(boss), target(identity.OrgAdmin, "acme")))
			w.ok(do(w, system("cli"), target(identity.OrgAdmin, "acme")))
			w.forbidden(do(w, act(boss), spare.ID))
			w.notFound(do(w, act(boss), target(identity.Viewer, "default")))
			w.notFound(do(w, act(boss), root.ID)) // another organization hides even a superadmin
			w.notFound(do(w, act(boss), "nobody"))
			w.forbidden(do(w, act(operator), target(identity.Viewer, "acme")))
			w.forbidden(do(w, act(operator), "nobody")) // reveals nothing about ids
			w.forbidden(do(w, act(suspended), target(identity.Viewer, "acme")))
			w.forbidden(do(w, act(identity.User{}), target(identity.Viewer, "acme")))
			w.notFound(do(w, system("cli"), "nobody"))
		}
	})
}

func TestNoActorGrantsAboveTheirOwnRole(t *testing.T) {
	onEach(t, func(w *world) {
		w.add("root", identity.Superadmin, "default")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		target := w.add("target", identity.Viewer, "acme")
		_, err := w.s.SetRole(w.t.Context(), act(boss), target.ID, identity.Superadmin)
		w.forbidden(err)
		_, err = w.s.SetRole(w.t.Context(), act(boss), boss.ID, identity.Superadmin)
		w.forbidden(err)
		got, err := w.s.SetRole(w.t.Context(), act(boss), target.ID, identity.OrgAdmin)
		w.ok(err)
		if got.Role != identity.OrgAdmin || w.user(target.ID).Role != identity.OrgAdmin {
			w.t.Error("the role was not set")
		}
		ev := w.lastEvent()
		want := store.Event{
			ID: ev.ID, At: ev.At, Action: "test", Outcome: "success", ActorKind: identity.ActorUser, ActorID: boss.ID, TargetID: target.ID, OrgID: "acme",
			Address: "192.0.2.7", RequestID: "req-1",
		}
		if diff := cmp.Diff(want, ev); diff != "" {
			w.t.Errorf("audit row (-want +got):\n%s", diff)
		}
	})
}

func TestLastActiveSuperadminStays(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		other := w.add("other", identity.Superadmin, "acme")
		_, err := w.s.SetStatus(w.t.Context(), act(root), other.ID, identity.Suspended)
		w.ok(err)
		for _, a := range []store.Act{act(root), system("cli")} { // not even for the operator
			_, err = w.s.SetRole(w.t.Context(), a, root.ID, identity.OrgAdmin)
			w.refused(err, fault.Conflict, "last_superadmin")
			_, err = w.s.SetStatus(w.t.Context(), a, root.ID, identity.Suspended)
			w.refused(err, fault.Conflict, "last_superadmin")
			w.refused(w.s.DeleteUser(w.t.Context(), a, root.ID), fault.Conflict, "last_superadmin")
		}
		_, err = w.s.SetRole(w.t.Context(), act(root), root.ID, identity.Superadmin)
		w.ok(err) // changes nothing
		w.ok(w.s.DeleteUser(w.t.Context(), act(root), other.ID))
		if u := w.user(root.ID); u.Role != identity.Superadmin || u.Status != identity.Active {
			w.t.Errorf("the last superadmin became %s, %s", u.Role, u.Status)
		}
	})
}

func TestTwoSuperadminsCannotRemoveEachOtherConcurrently(t *testing.T) {
	onEach(t, func(w *world) {
		for round := range 20 {
			a := w.add(numbered("a", round), identity.Superadmin, "default")
			b := w.add(numbered("b", round), identity.Superadmin, "default")
			for _, old := range w.superadmins() {
				if old.ID != a.ID && old.ID != b.ID {
					w.ok(w.s.DeleteUser(w.t.Context(), system("clean"), old.ID))
				}
			}
			race(2, func(i int) error {
				actor, target := a, b
				if i == 1 {
					actor, target = b, a
				}
				if round%2 == 0 {
					return w.s.DeleteUser(w.t.Context(), act(actor), target.ID)
				}
				_, err := w.s.SetRole(w.t.Context(), act(actor), target.ID, identity.Viewer)
				return err
			})
			if left := len(w.superadmins()); left != 1 {
				w.t.Fatalf("round %d: %d superadmins are left, want 1", round, left)
			}
		}
	})
}

func (w *world) superadmins() (found []identity.User) {
	w.t.Helper()
	p, err := w.s.Users(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{})
	w.ok(err)
	for _, u := range p.Items {
		if u.Role == identity.Superadmin && u.Status == identity.Active {
			found = append(found, u)
		}
	}
	return found
}

// race runs do n times concurrently and returns the errors.
func race(n int, do func(i int) error) []error {
	start, errs := make(chan struct{}), make([]error, n)
	done := make(chan struct{}, n)
	for i := range n {
		go func() {
			<-start
			errs[i] = do(i)
			done <- struct{}{}
		}()
	}
	close(start)
	for range n {
		<-done
	}
	return errs
}

func TestUniquenessHoldsUnderConcurrency(t *testing.T) {
	onEach(t, func(w *world) {
		errs := race(8, func(i int) error {
			return w.s.InsertUser(w.t.Context(), store.Act{Action: "user.register"}, identity.User{
				ID: numbered("u", i), Email: "same@example.org", EmailKey: "same@example.org",
				Role: identity.Viewer, OrgID: "default", Status: identity.Active,
			})
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				w.refused(err, fault.Conflict, "email_taken")
			}
		}
		if won != 1 {
			w.t.Errorf("%d users have one address", won)
		}
	})
}

func TestUsersListsWhatTheActorAdministers(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		viewer := w.add("viewer", identity.Viewer, "acme")
		names := func(actor identity.Actor, f store.ListFilter) []string {
			w.t.Helper()
			p, err := w.s.Users(w.t.Context(), actor, f)
			w.ok(err)
			got := []string{}
			for _, u := range p.Items {
				got = append(got, u.DisplayName)
			}
			if p.Total != len(got) || p.Next != "" {
				w.t.Errorf("total %d, next %q of a whole list of %d", p.Total, p.Next, len(got))
			}
			return got
		}
		for _, c := range []struct {
			actor identity.Actor
			f     store.ListFilter
			want  []string
		}{
			{by(root), store.ListFilter{}, []string{"root", "boss", "viewer"}},
			{by(root), store.ListFilter{OrgID: "acme"}, []string{"boss", "viewer"}},
			{by(root), store.ListFilter{EmailKey: "boss@example.org"}, []string{"boss"}},
			{by(root), store.ListFilter{OrgID: "default", EmailKey: "boss@example.org"}, []string{}},
			{by(boss), store.ListFilter{}, []string{"boss", "viewer"}},
			{by(boss), store.ListFilter{EmailKey: "root@example.org"}, []string{}},
			{identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{}, []string{"root", "boss", "viewer"}},
		} {
			if diff := cmp.Diff(c.want, names(c.actor, c.f)); diff != "" {
				w.t.Errorf("%+v %+v (-want +got):\n%s", c.actor, c.f, diff)
			}
		}
		_, err := w.s.Users(w.t.Context(), by(boss), store.ListFilter{OrgID: "default"})
		w.notFound(err)
		_, err = w.s.Users(w.t.Context(), by(viewer), store.ListFilter{})
		w.forbidden(err)
		_, err = w.s.Users(w.t.Context(), by(viewer), store.ListFilter{OrgID: "acme"})
		w.forbidden(err)
	})
}

func TestPagesShowEveryUserOnce(t *testing.T) {
	onEach(t, func(w *world) {
		for i := range 7 {
			w.ok(w.s.CreateUser(w.t.Context(), system("seed"), identity.User{
				ID: numbered("p", i), EmailKey: numbered("p", i), Role: identity.Viewer, CreatedAt: w.clock.Now().Add(time.Duration(i/3) * time.Second),
			}))
		}
		seen, cursor := []string{}, ""
		for range 10 {
			p, err := w.s.Users(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{Limit: 2, Cursor: cursor})
			w.ok(err)
			if p.Total != 7 {
				w.t.Errorf("total %d, want 7", p.Total)
			}
			for _, u := range p.Items {
				seen = append(seen, u.ID)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		want := []string{"p-000", "p-001", "p-002", "p-003", "p-004", "p-005", "p-006"}
		if diff := cmp.Diff(want, seen); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		for _, cursor := range []string{"?", "AAAA", "MjAyNi0xMS0yMVQxMjowMDowMC4wMDAwMDBa", "////"} {
			_, err := w.s.Users(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{Cursor: cursor})
			w.refused(err, fault.Invalid, "validation_failed")
		}
	})
}

func TestChangePasswordComparesAndSwaps(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		mine, other := w.login(u, "mine"), w.login(u, "other")
		u = w.user(u.ID)
		stale := u
		stale.CredentialsVersion--
		_, err := w.change(stale, mine.SessionID, "jti-mine", "mine1")
		w.refused(err, fault.Conflict, "password_changed")
		if w.reason(u, mine.SessionID) != "" || w.bearer(u, mine.SessionID, "jti-mine").Ended != "" {
			w.t.Error("a refused change ended a session")
		}
		g, err := w.change(u, mine.SessionID, "jti-mine", "mine2")
		w.ok(err)
		after := w.user(u.ID)
		if after.PasswordHash != "new hash" || after.CredentialsVersion != u.CredentialsVersion+1 {
			w.t.Errorf("the hash was not stored, or the version is %d", after.CredentialsVersion)
		}
		if g.SessionID != mine.SessionID || w.reason(u, mine.SessionID) != "" {
			w.t.Errorf("the session that made the change continues as %q", g.SessionID)
		}
		if got := w.reason(u, other.SessionID); got != store.EndPasswordChange {
			w.t.Errorf("other session ended by %q", got)
		}
		for _, hash := range []string{"mine", "other"} {
			_, err = w.rotate(hash, hash+"3")
			w.refused(err, fault.Unauthenticated, "invalid_token")
		}
		_, err = w.rotate("mine2", "mine4")
		w.ok(err)

		w.refused(changeBy(w, identity.User{ID: "nobody"}), fault.Unauthenticated, "invalid_token")
		_, err = w.s.SetStatus(w.t.Context(), system("s"), u.ID, identity.Suspended)
		w.ok(err)
		w.refused(changeBy(w, after), fault.Unauthenticated, "invalid_token")
	})
}

func changeBy(w *world, u identity.User) error {
	_, err := w.change(u, "", "", "never")
	return err
}

// After a change of password the token that made it is the only earlier one that
// is accepted anywhere, and only until another event ends its session.
func TestAChangeOfPasswordSparesOnlyTheTokenThatMadeIt(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		mine := w.login(u, "m0")
		_, err := w.rotate("m0", "m1")
		w.ok(err)
		_, err = w.change(w.user(u.ID), mine.SessionID, "jti-m1", "m2")
		w.ok(err)
		for token, spared := range map[string]bool{"jti-m0": false, "jti-m1": true} {
			if b := w.bearer(u, mine.SessionID, token); b.Ended != store.EndPasswordChange || b.Spared != spared {
				w.t.Errorf("%s: ended by %q, spared %t", token, b.Ended, b.Spared)
			}
		}
		if b := w.bearer(u, mine.SessionID, "jti-m2"); b.Ended != "" || b.Spared {
			w.t.Errorf("the new one: %+v", b)
		}
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "another"))
		if b := w.bearer(u, mine.SessionID, "jti-m1"); b.Ended != store.EndPasswordReset || b.Spared {
			w.t.Errorf("after a reset: ended by %q, spared %t", b.Ended, b.Spared)
		}
	})
}

// A change of role ends the session that continues and leaves its access tokens valid
// here. Those that the change of password refused stay refused.
func TestAChangeOfRoleRevivesNoTokenFromBeforeAChangeOfPassword(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		mine := w.login(u, "m0")
		_, err := w.rotate("m0", "m1")
		w.ok(err)
		_, err = w.change(w.user(u.ID), mine.SessionID, "jti-m1", "m2")
		w.ok(err)
		_, err = w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Operator)
		w.ok(err)
		for _, token := range []string{"jti-m0", "jti-m1"} {
			if b := w.bearer(u, mine.SessionID, token); b.Ended != store.EndPasswordChange || b.Spared {
				w.t.Errorf("%s: ended by %q, spared %t", token, b.Ended, b.Spared)
			}
		}
		if b := w.bearer(u, mine.SessionID, "jti-m2"); b.Ended != store.EndRoleChange {
			w.t.Errorf("the new one: ended by %q", b.Ended)
		}
	})
}

// The session that continues after a change of password ends with its only family,
// and then its access token is refused, too.
func TestAReusedRefreshTokenEndsWhatAChangeOfPasswordSpared(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		mine := w.login(u, "m0")
		_, err := w.change(w.user(u.ID), mine.SessionID, "jti-m0", "m1")
		w.ok(err)
		for _, next := range []string{"m2", "never"} {
			_, err = w.rotate("m1", next)
		}
		if !errors.Is(err, store.ErrReuse) {
			w.t.Fatalf("a used refresh token: %v", err)
		}
		if b := w.bearer(u, mine.SessionID, "jti-m0"); b.Ended != store.EndReuse || b.Spared {
			w.t.Errorf("ended by %q, spared %t", b.Ended, b.Spared)
		}
	})
}

// A refresh token that a change of password ended is of no use, not even to end the
// session that continues.
func TestARefreshTokenFromBeforeAChangeOfPasswordEndsNothing(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		mine := w.login(u, "m0")
		_, err := w.rotate("m0", "m1")
		w.ok(err)
		_, err = w.change(w.user(u.ID), mine.SessionID, "jti-m1", "m2")
		w.ok(err)
		before := w.eventCount()
		for _, old := range []string{"m0", "m1"} {
			_, err := w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{old}})
			w.ok(err)
		}
		if w.reason(u, mine.SessionID) != "" || w.eventCount() != before {
			w.t.Errorf("the session ended by %q", w.reason(u, mine.SessionID))
		}
		_, err = w.rotate("m2", "m3")
		w.ok(err)
	})
}

// An access token without a valid session changes the password too: one of the
// original, or of a session that a change of role ended.
func TestAChangeOfPasswordWithoutASessionStartsOne(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		old := w.login(u, "old")
		_, err := w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Operator)
		w.ok(err)
		for i, session := range []string{"", "unknown", old.SessionID} {
			hash := numbered("next", i)
			g, err := w.change(w.user(u.ID), session, "jti-old", hash)
			w.ok(err)
			if g.SessionID == session || g.SessionID != g.FamilyID {
				w.t.Errorf("session %q continues as %q", session, g.SessionID)
			}
			_, err = w.rotate(hash, hash+"b")
			w.ok(err)
		}
		if b := w.bearer(u, old.SessionID, "jti-old"); b.Ended != store.EndPasswordChange || !b.Spared {
			w.t.Errorf("the token that made the last change: %+v", b)
		}
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "another"))
		if b := w.bearer(u, old.SessionID, "jti-old"); b.Spared {
			w.t.Error("a reset did not end what the change spared")
		}
	})
}

func TestDeletingAUserDropsTheirMemberships(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "acme")
		g := w.group("g", "acme")
		w.ok(w.s.AddMember(w.t.Context(), system("add"), g.ID, u.ID))
		w.ok(w.s.DeleteUser(w.t.Context(), system("delete"), u.ID))
		_, members, err := w.s.Group(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, g.ID, false)
		w.ok(err)
		if len(members) != 0 {
			w.t.Errorf("members: %v", members)
		}
	})
}

// The original could hold users of an organization without a name, and an
// adopted one keeps it.
func TestTheNamelessOrganizationSeesOnlyItself(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := &world{t: t, s: storetest.OpenURL(t, url), clock: storetest.NewClock()}
		w.group("others", "acme")
		boss, viewer := w.add("boss", identity.OrgAdmin, "acme"), w.add("viewer", identity.Viewer, "acme")
		storetest.Exec(t, url, "INSERT INTO organizations (id, status, created_at) VALUES ('', 'active', '2026-01-01T00:00:00.000000Z')")
		storetest.Exec(t, url, "UPDATE users SET org_id = '' WHERE id IN ('"+boss.ID+"', '"+viewer.ID+"')")
		w.add("outsider", identity.Viewer, "acme")
		_, _, err := w.s.InsertServiceToken(t.Context(), system("seed"), identity.ServiceToken{Name: "theirs", Role: identity.Viewer, OrgID: "acme"}, "hash")
		w.ok(err)

		users, err := w.s.Users(t.Context(), by(boss), store.ListFilter{})
		w.ok(err)
		tokens, err := w.s.ServiceTokens(t.Context(), by(boss), store.ListFilter{})
		w.ok(err)
		groups, err := w.s.Groups(t.Context(), by(viewer), store.ListFilter{})
		w.ok(err)
		if users.Total != 2 || tokens.Total != 0 || groups.Total != 0 {
			t.Errorf("%d users, %d service tokens, %d groups; want 2, 0, 0", users.Total, tokens.Total, groups.Total)
		}
	})
}
