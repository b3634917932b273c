package directory_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestUsersRegisterIntoTheConfiguredOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if _, err := w.RegistrationOrg(ctx); err == nil {
			t.Error("the organization exists")
		}
		_, err := w.Register(ctx, web, "ada@pico.example", secret, "")
		wantCode(t, err, "registration_disabled")
		if _, err := w.CreateOrganization(ctx, system, directory.NewOrganization{ID: "guests", Name: "Guests"}); err != nil {
			t.Fatal(err)
		}
		u, err := w.Register(ctx, web, "ada@pico.example", secret, "")
		if err != nil || u.OrgID != "guests" || u.Role != identity.Viewer {
			t.Fatalf("registered %+v, %v", u, err)
		}
		suspended, active := "suspended", "active"
		for _, c := range []struct{ status, want string }{{suspended, "registration_disabled"}, {active, "email_taken"}} {
			if _, err := w.UpdateOrganization(ctx, system, "guests", directory.OrganizationChange{Status: &c.status}); err != nil {
				t.Fatal(err)
			}
			_, err = w.Register(ctx, web, "ada@pico.example", secret, "")
			wantCode(t, err, c.want)
			shown, err := w.Registration(ctx)
			set, failed := w.SetRegistration(ctx, system, true)
			if open := c.status == active; shown != open || set != open || err != nil || failed != nil {
				t.Errorf("%s: registration is shown as %t, and after it was opened as %t; %v, %v", c.status, shown, set, err, failed)
			}
		}
		// It stays while users register into it.
		if err := w.Delete(ctx, system, u.ID, ""); err != nil {
			t.Fatal(err)
		}
		wantCode(t, w.DeleteOrganization(ctx, system, "guests"), "registration_organization")
		wantCode(t, w.DeleteOrganization(ctx, web, "guests"), "forbidden")
	}, func(cfg *directory.Config) { cfg.RegistrationOrg = "guests" })
}

func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("error is %v", err)
	}
	var got []string
	for _, field := range f.Fields {
		got = append(got, field.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
}

func TestOrganizationFaultsAreReportedTogether(t *testing.T) {
	w := open(t)
	bad, status := " ", "gone"
	_, err := w.CreateOrganization(t.Context(), system, directory.NewOrganization{ID: "two words", Name: ""})
	wantFaults(t, err, "id", "name")
	_, err = w.UpdateOrganization(t.Context(), system, "default", directory.OrganizationChange{Name: &bad, Status: &status})
	wantFaults(t, err, "name", "status")
	for _, id := range []string{"", "unknown", "two words", "a\x00b"} {
		_, err := w.Organization(t.Context(), system, id)
		wantCode(t, err, "not_found")
		wantCode(t, w.DeleteOrganization(t.Context(), system, id), "not_found")
	}
}

func TestViewersSeeOnlyTheirOwnGroupsWhereMembersSeeThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		own, other := w.group(t, "own", "default"), w.group(t, "other", "default")
		for _, c := range []struct {
			role identity.Role
			all  bool
		}{{identity.Viewer, false}, {identity.Operator, true}, {identity.OrgAdmin, true}, {identity.Superadmin, true}} {
			u := w.user(t, string(c.role), c.role, "default")
			if err := w.AddMember(ctx, system, own.ID, u.ID); err != nil {
				t.Fatal(err)
			}
			by := identity.Actor{Kind: identity.ActorUser, ID: u.ID}
			page, err := w.Groups(ctx, by, directory.Filter{})
			if want := map[bool]int{false: 1, true: 2}[c.all]; err != nil || page.Total != want || len(page.Items) != want {
				t.Errorf("%s sees %d of %d groups: %v", c.role, len(page.Items), page.Total, err)
			}
			if _, members, err := w.Group(ctx, by, own.ID); err != nil || len(members) == 0 {
				t.Errorf("%s does not see the own group: %v", c.role, err)
			}
			_, _, err = w.Group(ctx, by, other.ID)
			if c.all && err != nil {
				t.Errorf("%s does not see the other group: %v", c.role, err)
			}
			if !c.all {
				wantCode(t, err, "not_found")
			}
		}
		robot, _, err := w.store.InsertServiceToken(ctx, store.Act{Action: "test", By: system},
			identity.ServiceToken{Name: "robot", Role: identity.Viewer, OrgID: "default"}, "hash")
		if err != nil {
			t.Fatal(err)
		}
		page, err := w.Groups(ctx, identity.Actor{Kind: identity.ActorServiceToken, ID: robot.ID}, directory.Filter{})
		if err != nil || page.Total != 0 {
			t.Errorf("a service token of a viewer sees %d groups: %v", page.Total, err)
		}
	}, func(cfg *directory.Config) { cfg.GroupsOfMembers = true })
}
