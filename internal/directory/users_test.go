package directory_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestCreateUserDefaultsToAViewerOfTheCreatorsOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		boss := w.user(t, "boss", identity.OrgAdmin, "acme")
		u, err := w.CreateUser(t.Context(), actor(boss), directory.NewUser{Email: "ada@pico.example", Password: secret, DisplayName: "Ada"})
		if err != nil || u.Role != identity.Viewer || u.OrgID != "acme" || u.Status != identity.Active || u.DisplayName != "Ada" {
			t.Errorf("created %+v, %v", u, err)
		}
		stored, err := w.store.UserByID(t.Context(), u.ID)
		if err != nil || stored.OrgID != "acme" || stored.OrgStatus != identity.Active {
			t.Errorf("stored %+v, %v", stored, err)
		}
		_, err = w.CreateUser(t.Context(), actor(boss), directory.NewUser{Email: "Ada@Pico.example", Password: secret})
		wantCode(t, err, "email_taken")
	})
}

func TestCreateUserReportsEveryBadField(t *testing.T) {
	w := open(t)
	_, err := w.CreateUser(t.Context(), system, directory.NewUser{
		Email: "nobody", Password: "short", DisplayName: "\x07", Role: "emperor", OrgID: "two words",
	})
	want := "email password display_name role org_id"
	if got := fields(err); got != want {
		t.Errorf("named %q, want %q", got, want)
	}
}

func TestForbiddenCreationsAndResetsCostNoHash(t *testing.T) {
	w := open(t)
	viewer := w.user(t, "viewer", identity.Viewer, "acme")
	boss := w.user(t, "boss", identity.OrgAdmin, "acme")
	super := w.user(t, "super", identity.Superadmin, "default")
	before := w.hasher.Stats().Done
	for _, c := range []struct {
		by   identity.Actor
		role string
		org  string
		want string
	}{
		{actor(viewer), "viewer", "acme", "forbidden"},
		{actor(boss), "superadmin", "acme", "forbidden"},
		{actor(boss), "viewer", "default", "not_found"},
		{identity.Actor{}, "viewer", "acme", "forbidden"},
		{identity.Actor{Kind: identity.ActorUser, ID: "deleted"}, "viewer", "acme", "forbidden"},
	} {
		_, err := w.CreateUser(t.Context(), c.by, directory.NewUser{
			Email: "x@pico.example", Password: secret, Role: c.role, OrgID: c.org,
		})
		wantCode(t, err, c.want)
	}
	wantCode(t, w.ResetPassword(t.Context(), actor(viewer), boss.ID, secret+"!"), "forbidden")
	wantCode(t, w.ResetPassword(t.Context(), actor(boss), super.ID, secret+"!"), "not_found")
	wantCode(t, w.ResetPassword(t.Context(), actor(boss), "a\x00b", secret+"!"), "not_found")
	wantCode(t, w.ResetPassword(t.Context(), actor(boss), "nobody", secret+"!"), "not_found")
	if done := w.hasher.Stats().Done - before; done != 0 {
		t.Errorf("%d hashes", done)
	}
}

// TestPermissionMatrix runs every operation on a user as every kind of actor
// on every kind of target.
func TestPermissionMatrix(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user(t, "root", identity.Superadmin, "default") // so that no target is the last superadmin
		actors := map[string]identity.User{}
		for _, role := range identity.Roles() {
			actors[string(role)] = w.user(t, "actor-"+string(role), role, "acme")
		}
		gone := w.user(t, "actor-suspended", identity.Superadmin, "acme")
		w.suspend(t, gone)
		actors["suspended superadmin"] = gone
		actors["nobody"] = identity.User{ID: "0198c0de-nobody"}

		n := 0
		for by, who := range actors {
			for _, org := range []string{"acme", "globex"} {
				for _, role := range identity.Roles() {
					for act, run := range operationsOnUsers(w) {
						n++
						target := w.user(t, "target-"+strings.ReplaceAll(by, " ", "")+"-"+org+"-"+string(role)+"-"+act, role, org)
						got := code(run(t, actor(who), target))
						if want := permitted(by, org, role, act); got != want {
							t.Errorf("%s on a %s of %s: %s: %s, want %s", by, role, org, act, got, want)
						}
					}
				}
			}
		}
		if n != 6*2*4*6 {
			t.Errorf("%d cells", n)
		}
	})
}

// operationsOnUsers are the ways to change a user.
func operationsOnUsers(w *world) map[string]func(*testing.T, identity.Actor, identity.User) error {
	return map[string]func(*testing.T, identity.Actor, identity.User) error{
		"demote": func(t *testing.T, by identity.Actor, u identity.User) error {
			_, err := w.SetRole(t.Context(), by, u.ID, "viewer", "")
			return err
		},
		"raise": func(t *testing.T, by identity.Actor, u identity.User) error {
			_, err := w.SetRole(t.Context(), by, u.ID, "superadmin", "")
			return err
		},
		"suspend": func(t *testing.T, by identity.Actor, u identity.User) error {
			_, err := w.SetStatus(t.Context(), by, u.ID, "suspended", "")
			return err
		},
		"activate": func(t *testing.T, by identity.Actor, u identity.User) error {
			_, err := w.SetStatus(t.Context(), by, u.ID, "active", "")
			return err
		},
		"reset": func(t *testing.T, by identity.Actor, u identity.User) error {
			return w.ResetPassword(t.Context(), by, u.ID, "battery staple")
		},
		"delete": func(t *testing.T, by identity.Actor, u identity.User) error {
			return w.Delete(t.Context(), by, u.ID, "")
		},
	}
}

// permitted is api.md's table of roles, repeated.
func permitted(by, org string, target identity.Role, act string) string {
	switch {
	case by == "superadmin":
		return "ok"
	case by != "org_admin":
		return "forbidden"
	case org != "acme":
		return "not_found"
	case target == identity.Superadmin, act == "raise":
		return "forbidden"
	default:
		return "ok"
	}
}

func TestTheLastActiveSuperadminStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		last := w.user(t, "last", identity.Superadmin, "default")
		asleep := w.user(t, "asleep", identity.Superadmin, "default")
		w.suspend(t, asleep)
		for _, by := range []identity.Actor{actor(last), system} {
			_, err := w.SetRole(t.Context(), by, last.ID, "viewer", "")
			wantCode(t, err, "last_superadmin")
			_, err = w.SetStatus(t.Context(), by, last.ID, "suspended", "")
			wantCode(t, err, "last_superadmin")
			wantCode(t, w.Delete(t.Context(), by, last.ID, ""), "last_superadmin")
		}
	})
}

func TestEachChangeEndsSessionsForItsReason(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user(t, "root", identity.Superadmin, "default")
		for name, c := range map[string]struct {
			run  func(identity.User) error
			want store.EndReason
		}{
			"role": {func(u identity.User) error {
				_, err := w.SetRole(t.Context(), system, u.ID, "operator", "")
				return err
			}, store.EndRoleChange},
			"same-role": {func(u identity.User) error {
				_, err := w.SetRole(t.Context(), system, u.ID, "viewer", "")
				return err
			}, ""},
			"suspension": {func(u identity.User) error {
				_, err := w.SetStatus(t.Context(), system, u.ID, "suspended", "")
				return err
			}, store.EndSuspension},
			"reset": {func(u identity.User) error {
				return w.ResetPassword(t.Context(), system, u.ID, "battery staple")
			}, store.EndPasswordReset},
		} {
			u := w.user(t, name, identity.Viewer, "default")
			by := w.session(t, u)
			if err := c.run(u); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := w.ended(t, by); got != c.want {
				t.Errorf("%s: ended for %q, want %q", name, got, c.want)
			}
		}
	})
}

func TestInvalidIdsAndRolesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user(t, "root", identity.Superadmin, "default")
		for _, id := range []string{"", "nobody", "a\x00b", "\xff", strings.Repeat("x", 1<<16)} {
			_, err := w.SetRole(t.Context(), system, id, "viewer", "")
			wantCode(t, err, "not_found")
			_, err = w.SetStatus(t.Context(), system, id, "active", "")
			wantCode(t, err, "not_found")
			wantCode(t, w.Delete(t.Context(), system, id, ""), "not_found")
			wantCode(t, w.ResetPassword(t.Context(), system, id, secret), "not_found")
		}
		for _, word := range []string{"", "Viewer", "root", "viewer\x00"} {
			_, err := w.SetRole(t.Context(), system, "x", word, "")
			if got := fields(err); got != "role" {
				t.Errorf("role %q: %s", word, got)
			}
			_, err = w.SetStatus(t.Context(), system, "x", word, "")
			if got := fields(err); got != "status" {
				t.Errorf("status %q: %s", word, got)
			}
		}
	})
}

// forgedCursor has the form of a cursor and a NUL, which PostgreSQL refuses.
var forgedCursor = base64.RawURLEncoding.EncodeToString([]byte("2026-11-20T09:30:00.000000Z\x00"))

func TestUsersListsTheUsersThatTheActorAdministers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		super := w.user(t, "super", identity.Superadmin, "default")
		boss := w.user(t, "boss", identity.OrgAdmin, "acme")
		viewer := w.user(t, "viewer", identity.Viewer, "acme")
		for _, c := range []struct {
			name  string
			by    identity.User
			f     directory.Filter
			total int
			want  string
		}{
			{"superadmin sees all", super, directory.Filter{}, 3, "ok"},
			{"superadmin filters", super, directory.Filter{OrgID: "acme"}, 2, "ok"},
			{"org_admin sees the own organization", boss, directory.Filter{}, 2, "ok"},
			{"org_admin sees no other organization", boss, directory.Filter{Email: "super@pico.example"}, 0, "ok"},
			{"by address, as typed", super, directory.Filter{Email: "BOSS@pico.example"}, 1, "ok"},
			{"by an address no row can hold", super, directory.Filter{Email: "a\x00b"}, 0, "ok"},
			{"by an organization no row can hold", super, directory.Filter{OrgID: "\xff"}, 0, "ok"},
			{"viewer", viewer, directory.Filter{}, 0, "forbidden"},
			{"too many", super, directory.Filter{Limit: 1001}, 0, "validation_failed"},
			{"a cursor that no list returned", super, directory.Filter{Cursor: "nonsense"}, 0, "validation_failed"},
			{"a forged cursor", super, directory.Filter{Cursor: forgedCursor}, 0, "validation_failed"},
			{"fewer than none", super, directory.Filter{Limit: -1}, 0, "validation_failed"},
		} {
			page, err := w.Users(t.Context(), actor(c.by), c.f)
			if got := code(err); got != c.want || page.Total != c.total || len(page.Items) != c.total {
				t.Errorf("%s: %s, %d of %d", c.name, got, len(page.Items), page.Total)
			}
		}
		first, err := w.Users(t.Context(), actor(super), directory.Filter{Limit: 2})
		if err != nil || len(first.Items) != 2 || first.Next == "" || first.Total != 3 {
			t.Fatalf("first page: %d of %d, %v", len(first.Items), first.Total, err)
		}
		second, err := w.Users(t.Context(), actor(super), directory.Filter{Limit: 2, Cursor: first.Next})
		if err != nil || len(second.Items) != 1 || second.Next != "" || second.Items[0].ID != viewer.ID {
			t.Errorf("second page: %d of %d, %v", len(second.Items), second.Total, err)
		}
	})
}

func TestChangingTheOwnPassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.user(t, "ada", identity.Viewer, "default")
		here, there := w.session(t, u), w.session(t, u)

		err := w.change(t.Context(), here, "wrong horse", "battery staple")
		wantCode(t, err, "invalid_credentials")
		if fault.KindOf(err) != fault.Forbidden {
			t.Errorf("kind %d", fault.KindOf(err))
		}
		if got := fields(w.change(t.Context(), here, secret, "short")); got != "new_password" {
			t.Errorf("a weak one: %s", got)
		}
		if w.ended(t, here) != "" || !w.knows(t, u.ID, secret) {
			t.Error("a refused change had an effect")
		}

		if err := w.change(t.Context(), here, secret, "battery staple"); err != nil {
			t.Fatal(err)
		}
		if w.knows(t, u.ID, secret) || !w.knows(t, u.ID, "battery staple") {
			t.Error("the password is not the new one")
		}
		if got := w.ended(t, here); got != store.EndPasswordChange {
			t.Errorf("this session ended for %q", got)
		}
		if got := w.ended(t, there); got != store.EndPasswordChange {
			t.Errorf("the other session ended for %q", got)
		}
		w.audit.Flush()
		if log := w.log.String(); strings.Contains(log, "horse") || strings.Contains(log, "staple") {
			t.Error("the log holds a password")
		}
		refused := 0
		events, err := w.store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			if ev.Action == identity.ActionChangePassword && ev.Outcome == store.OutcomeRefused {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d refusals recorded", refused)
		}
	})
}

func TestResetChecksThePolicyAgainstTheTargetsAddress(t *testing.T) {
	w := open(t)
	u := w.user(t, "augusta.ada", identity.Viewer, "default")
	if got := fields(w.ResetPassword(t.Context(), system, u.ID, "augusta.ada1")); got != "new_password" {
		t.Errorf("a password like the address: %s", got)
	}
	if err := w.ResetPassword(t.Context(), system, u.ID, "battery staple"); err != nil || !w.knows(t, u.ID, "battery staple") {
		t.Errorf("reset: %v", err)
	}
}
