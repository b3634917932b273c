package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func (w *world) organization(a store.Act, id string) error {
	_, err := w.s.InsertOrganization(w.t.Context(), a, identity.Organization{ID: id, Name: "Name of " + id})
	return err
}

// orgStatus suspends or activates an organization.
func (w *world) orgStatus(a store.Act, id string, status identity.Status) error {
	_, err := w.s.UpdateOrganization(w.t.Context(), a, id, nil, &status)
	return err
}

func TestOnlySuperadminsManageOrganizations(t *testing.T) {
	onEach(t, func(w *world) {
		root, boss := w.add("root", identity.Superadmin, "default"), w.add("boss", identity.OrgAdmin, "acme")
		viewer := w.add("viewer", identity.Viewer, "acme")
		w.ok(w.organization(act(root), "new"))
		if ev := w.lastEvent(); ev.TargetID != "new" || ev.OrgID != "new" || ev.ActorID != root.ID {
			w.t.Errorf("event %+v", ev)
		}
		w.refused(w.organization(act(root), "new"), fault.Conflict, "organization_exists")
		w.refused(w.organization(act(root), "acme"), fault.Conflict, "organization_exists") // made for boss
		name := "Other"
		for _, u := range []identity.User{boss, viewer} {
			w.forbidden(w.organization(act(u), "x"))
			w.forbidden(w.s.DeleteOrganization(w.t.Context(), act(u), "new"))
			_, err := w.s.UpdateOrganization(w.t.Context(), act(u), "acme", &name, nil)
			w.forbidden(err)
		}

		page := func(u identity.User) (ids []string) {
			w.t.Helper()
			p, err := w.s.Organizations(w.t.Context(), by(u), store.ListFilter{})
			w.ok(err)
			for _, o := range p.Items {
				ids = append(ids, o.ID)
			}
			return ids
		}
		if diff := cmp.Diff([]string{"acme", "default", "new"}, slices.Sorted(slices.Values(page(root)))); diff != "" {
			w.t.Errorf("of a superadmin: %s", diff)
		}
		if diff := cmp.Diff([]string{"acme"}, page(boss)); diff != "" {
			w.t.Errorf("of an org_admin: %s", diff)
		}
		_, err := w.s.Organizations(w.t.Context(), by(viewer), store.ListFilter{})
		w.forbidden(err)
		_, err = w.s.Organization(w.t.Context(), by(boss), "new")
		w.notFound(err)
		_, err = w.s.Organization(w.t.Context(), by(boss), "nothing")
		w.notFound(err)
		_, err = w.s.Organization(w.t.Context(), by(viewer), "acme")
		w.forbidden(err)

		own, err := w.s.Organization(w.t.Context(), by(boss), "acme")
		w.ok(err)
		if own.Name != "acme" || own.Status != identity.Active || own.CreatedAt.IsZero() {
			w.t.Errorf("an organization that was made for a user: %+v", own)
		}
		renamed, err := w.s.UpdateOrganization(w.t.Context(), act(root), "acme", &name, nil)
		w.ok(err)
		if renamed.Name != "Other" || renamed.Status != identity.Active {
			w.t.Errorf("renamed: %+v", renamed)
		}
		_, err = w.s.UpdateOrganization(w.t.Context(), act(root), "nothing", &name, nil)
		w.notFound(err)
	})
}

func TestASuspendedOrganizationStopsItsUsersAndServiceTokens(t *testing.T) {
	onEach(t, func(w *world) {
		root, ada, other := w.add("root", identity.Superadmin, "default"), w.add("ada", identity.Viewer, "acme"), w.add("other", identity.Viewer, "else")
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(root), identity.ServiceToken{Name: "ci", Role: identity.Viewer, OrgID: "acme"}, "hash")
		w.ok(err)
		w.login(ada, "a0")
		w.login(other, "b0")
		w.ok(w.orgStatus(act(root), "acme", identity.Suspended))

		if identity.CanSignIn(w.user(ada.ID)) || w.reason(ada, "family-a0") != store.EndOrgSuspension {
			w.t.Error("the user of the suspended organization has a session")
		}
		w.ended("a0")
		_, err = w.start(w.user(ada.ID), "again", w.clock.Now().Add(month), w.next("c0"))
		w.refused(err, fault.Unauthenticated, "invalid_credentials")
		st, err := w.s.ServiceTokenByHash(w.t.Context(), []string{"hash"})
		w.ok(err)
		if identity.CanUseServiceToken(st, w.clock.Now()) {
			w.t.Error("the service token can be used")
		}
		w.accepts(other, "family-b0", "jti-b0")

		w.clock.Advance(time.Second)
		w.ok(w.orgStatus(act(root), "acme", identity.Active))
		w.ended("a0") // activation revives nothing
		w.refuses(ada, "family-a0", "jti-a0")
		w.login(ada, "d0")
		st, err = w.s.ServiceTokenByHash(w.t.Context(), []string{"hash"})
		w.ok(err)
		if !identity.CanUseServiceToken(st, w.clock.Now()) {
			w.t.Error("the service token cannot be used again")
		}
	})
}

func TestTheOrganizationOfTheLastActiveSuperadminStaysActive(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "acme")
		gone := w.add("gone", identity.Superadmin, "else")
		_, err := w.s.SetStatus(w.t.Context(), act(root), gone.ID, identity.Suspended)
		w.ok(err)
		w.refused(w.orgStatus(act(root), "acme", identity.Suspended), fault.Conflict, "last_superadmin")
		w.refused(w.orgStatus(system("s"), "acme", identity.Suspended), fault.Conflict, "last_superadmin")
		w.ok(w.orgStatus(act(root), "default", identity.Suspended))
		second := w.add("second", identity.Superadmin, "third")
		w.ok(w.orgStatus(act(root), "acme", identity.Suspended))
		w.refused(w.orgStatus(act(second), "third", identity.Suspended), fault.Conflict, "last_superadmin")
	})
}

// Of two that suspend each other's organization concurrently, one is refused.
func TestConcurrentSuspensionsLeaveASuperadmin(t *testing.T) {
	onEach(t, func(w *world) {
		a, b := w.add("a", identity.Superadmin, "one"), w.add("b", identity.Superadmin, "two")
		for range 5 {
			errs := race(2, func(i int) error {
				return w.orgStatus(act([]identity.User{a, b}[i]), []string{"two", "one"}[i], identity.Suspended)
			})
			if (errs[0] == nil) == (errs[1] == nil) {
				w.t.Fatalf("suspended: %v, %v", errs[0], errs[1])
			}
			w.ok(w.orgStatus(system("s"), "one", identity.Active))
			w.ok(w.orgStatus(system("s"), "two", identity.Active))
		}
	})
}

func TestAServiceTokenDoesNotSuspendSuperadmins(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		w.add("other", identity.Superadmin, "acme")
		w.add("viewer", identity.Viewer, "else")
		st, _, err := w.s.InsertServiceToken(w.t.Context(), act(root), identity.ServiceToken{Name: "ci", Role: identity.Superadmin}, "hash")
		w.ok(err)
		robot := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}}
		w.forbidden(w.orgStatus(robot, "acme", identity.Suspended))
		w.ok(w.orgStatus(robot, "else", identity.Suspended))
	})
}

func TestOnlyAnEmptyOrganizationIsDeleted(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		del := func(id string) error { return w.s.DeleteOrganization(w.t.Context(), act(root), id) }
		w.refused(del("default"), fault.Conflict, "default_organization")
		w.notFound(del("nothing"))
		w.ok(w.organization(act(root), "acme"))
		u, g := w.add("ada", identity.Viewer, "acme"), w.group("g", "acme")
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(root), identity.ServiceToken{Name: "ci", Role: identity.Viewer, OrgID: "acme"}, "hash")
		w.ok(err)
		err = del("acme")
		w.refused(err, fault.Conflict, "organization_not_empty")
		if want := "the organization still has 1 user, 1 group, 1 service token"; err.Error() != want {
			w.t.Errorf("%q, want %q", err, want)
		}
		w.ok(w.s.DeleteUser(w.t.Context(), act(root), u.ID))
		w.ok(w.s.DeleteGroup(w.t.Context(), act(root), g.ID))
		w.refused(del("acme"), fault.Conflict, "organization_not_empty")
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(root), "acme", "ci"))
		w.ok(del("acme"))
		w.notFound(del("acme"))
	})
}

// A user that is created while the organization is deleted is in an organization.
func TestCreatingAndDeletingConcurrently(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		for i := range 20 {
			w.ok(w.organization(act(root), "acme"))
			u := identity.User{ID: numbered("u", i), EmailKey: numbered("u", i), PasswordHash: "h", Role: identity.Viewer, OrgID: "acme"}
			errs := race(2, func(i int) error {
				if i == 0 {
					return w.s.CreateUser(w.t.Context(), act(root), u)
				}
				return w.s.DeleteOrganization(w.t.Context(), act(root), "acme")
			})
			w.ok(errs[0])
			if errs[1] != nil {
				w.refused(errs[1], fault.Conflict, "organization_not_empty")
			}
			w.ok(w.s.DeleteUser(w.t.Context(), act(root), u.ID))
			w.ok(w.s.DeleteOrganization(w.t.Context(), act(root), "acme"))
		}
	})
}

// A login that runs while the organization is suspended leaves no session that
// activation would revive.
func TestNoSessionStartsWhileItsOrganizationIsSuspended(t *testing.T) {
	onEach(t, func(w *world) {
		w.add("root", identity.Superadmin, "default")
		ada := w.add("ada", identity.Viewer, "acme")
		for i := range 20 {
			hash := numbered("t", i)
			errs := race(2, func(i int) error {
				if i == 0 {
					_, err := w.start(ada, "family-"+hash, w.clock.Now().Add(month), w.next(hash))
					return err
				}
				return w.orgStatus(system("s"), "acme", identity.Suspended)
			})
			w.ok(errs[1])
			if errs[0] != nil {
				w.refused(errs[0], fault.Unauthenticated, "invalid_credentials")
			} else if w.reason(ada, "family-"+hash) != store.EndOrgSuspension {
				w.t.Fatal("a session outlived the suspension")
			}
			w.ok(w.orgStatus(system("s"), "acme", identity.Active))
		}
	})
}

func TestTheFirstUserGroupOrTokenOfAnOrganizationMakesItInTheAuditLogToo(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		for org, make := range map[string]func(org string) error{
			"by-user": func(org string) error {
				return w.s.CreateUser(w.t.Context(), act(root), identity.User{Email: "u@example.org", Role: identity.Viewer, OrgID: org})
			},
			"by-group": func(org string) error {
				_, err := w.s.InsertGroup(w.t.Context(), act(root), identity.Group{Name: "g", OrgID: org})
				return err
			},
			"by-token": func(org string) error {
				_, _, err := w.s.InsertServiceToken(w.t.Context(), act(root), identity.ServiceToken{Name: "t", Role: identity.Viewer, OrgID: org}, "h")
				return err
			},
		} {
			w.ok(make(org))
			events, err := w.s.Events(w.t.Context(), 0)
			w.ok(err)
			made := slices.DeleteFunc(events, func(ev store.Event) bool {
				return ev.Action != identity.ActionCreateOrganization || ev.TargetID != org
			})
			if len(made) != 1 || made[0].ActorID != root.ID || made[0].OrgID != org || made[0].Detail != "" {
				w.t.Errorf("%s: %+v", org, made)
			}
		}
	})
}
