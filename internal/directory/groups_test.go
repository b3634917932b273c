package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func (w *world) group(t *testing.T, name, orgID string) identity.Group {
	t.Helper()
	g, err := w.CreateGroup(t.Context(), system, directory.NewGroup{Name: name, OrgID: orgID})
	if err != nil {
		t.Fatalf("create group %s: %v", name, err)
	}
	return g
}

func TestAGroupPassesThroughItsSevenEndpoints(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		by := actor(w.user(t, "boss", identity.OrgAdmin, "acme"))
		ada := w.user(t, "ada", identity.Viewer, "acme")

		g, err := w.CreateGroup(t.Context(), by, directory.NewGroup{Name: "Red team", Description: "breaks things"})
		if err != nil || g.OrgID != "acme" || g.Name != "Red team" || !g.CreatedAt.Equal(epoch) {
			t.Fatalf("created %+v, %v", g, err)
		}
		_, err = w.CreateGroup(t.Context(), by, directory.NewGroup{Name: " Red team "})
		wantCode(t, err, "group_exists")

		if err := w.AddMember(t.Context(), by, g.ID, ada.ID); err != nil {
			t.Fatal(err)
		}
		wantCode(t, w.AddMember(t.Context(), by, g.ID, ada.ID), "already_member")
		got, members, err := w.Group(t.Context(), actor(ada), g.ID)
		if err != nil || got.Name != "Red team" || got.Description != "breaks things" || len(members) != 1 || members[0].UserID != ada.ID {
			t.Errorf("read %+v with %+v, %v", got, members, err)
		}

		w.clock.Advance(time.Minute)
		changed, err := w.UpdateGroup(t.Context(), by, g.ID, new("Blue team"), nil)
		if err != nil || changed.Name != "Blue team" || changed.Description != "breaks things" || !changed.UpdatedAt.Equal(w.clock.Now()) {
			t.Errorf("renamed %+v, %v", changed, err)
		}
		changed, err = w.UpdateGroup(t.Context(), by, g.ID, nil, new(""))
		if err != nil || changed.Name != "Blue team" || changed.Description != "" {
			t.Errorf("described %+v, %v", changed, err)
		}
		other := w.group(t, "Red team", "acme") // the name is free again
		_, err = w.UpdateGroup(t.Context(), by, other.ID, new("Blue team"), nil)
		wantCode(t, err, "group_exists")

		page, err := w.Groups(t.Context(), actor(ada), directory.Filter{})
		if err != nil || page.Total != 2 {
			t.Errorf("%d groups, %v", page.Total, err)
		}
		if err := w.RemoveMember(t.Context(), by, g.ID, ada.ID); err != nil {
			t.Error(err)
		}
		wantCode(t, w.RemoveMember(t.Context(), by, g.ID, ada.ID), "not_found")
		if err := w.DeleteGroup(t.Context(), by, g.ID); err != nil {
			t.Error(err)
		}
		_, _, err = w.Group(t.Context(), by, g.ID)
		wantCode(t, err, "not_found")
		wantCode(t, w.DeleteGroup(t.Context(), by, g.ID), "not_found")
	})
}

func TestGroupPermissionMatrix(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, by := range identity.Roles() {
			who := actor(w.user(t, "actor-"+string(by), by, "acme"))
			for _, org := range []string{"acme", "globex"} {
				name := string(by) + "-" + org
				member, extra := w.user(t, "in-"+name, identity.Viewer, org), w.user(t, "out-"+name, identity.Viewer, org)
				g := w.group(t, name, org)
				if err := w.AddMember(t.Context(), system, g.ID, member.ID); err != nil {
					t.Fatal(err)
				}
				see, change := "ok", "ok"
				switch {
				case by == identity.Superadmin:
				case !by.AtLeast(identity.OrgAdmin):
					change = "forbidden"
				}
				if org != "acme" && by != identity.Superadmin {
					see = "not_found"
					if by == identity.OrgAdmin {
						change = "not_found"
					}
				}
				_, _, err := w.Group(t.Context(), who, g.ID)
				check(t, name+" read", err, see)
				_, err = w.CreateGroup(t.Context(), who, directory.NewGroup{Name: "new " + name, OrgID: org})
				check(t, name+" create", err, change)
				_, err = w.UpdateGroup(t.Context(), who, g.ID, new("renamed "+name), nil)
				check(t, name+" update", err, change)
				check(t, name+" add", w.AddMember(t.Context(), who, g.ID, extra.ID), change)
				check(t, name+" remove", w.RemoveMember(t.Context(), who, g.ID, member.ID), change)
				check(t, name+" delete", w.DeleteGroup(t.Context(), who, g.ID), change)
			}
		}
	})
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestMembersBelongToTheGroupsOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		super := actor(w.user(t, "super", identity.Superadmin, "default"))
		outsider := w.user(t, "outsider", identity.Viewer, "globex")
		g := w.group(t, "team", "acme")
		wantCode(t, w.AddMember(t.Context(), super, g.ID, outsider.ID), "not_found")
		// Only the command line is told why.
		if err := w.AddMember(t.Context(), system, g.ID, outsider.ID); fault.KindOf(err) != fault.Invalid {
			t.Errorf("on the command line: %v", err)
		}
		wantCode(t, w.AddMember(t.Context(), super, g.ID, "nobody"), "not_found")
	})
}

func TestASuspendedUserSeesAndChangesNoGroup(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		boss := w.user(t, "boss", identity.OrgAdmin, "acme")
		g := w.group(t, "team", "acme")
		w.suspend(t, boss)
		_, _, err := w.Group(t.Context(), actor(boss), g.ID)
		wantCode(t, err, "forbidden")
		_, err = w.Groups(t.Context(), actor(boss), directory.Filter{})
		wantCode(t, err, "forbidden")
		wantCode(t, w.DeleteGroup(t.Context(), actor(boss), g.ID), "forbidden")
	})
}

func TestAllGroupFaultsAreReportedTogether(t *testing.T) {
	w := open(t)
	bad := strings.Repeat("x", 501)
	_, err := w.CreateGroup(t.Context(), system, directory.NewGroup{Name: " ", Description: bad, OrgID: "two words"})
	if got, want := fields(err), "name description org_id"; got != want {
		t.Errorf("create named %q, want %q", got, want)
	}
	_, err = w.UpdateGroup(t.Context(), system, "x", new(""), new(bad))
	if got, want := fields(err), "name description"; got != want {
		t.Errorf("update named %q, want %q", got, want)
	}
}

func TestInvalidGroupIdsAreNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		g := w.group(t, "team", "default")
		for _, id := range []string{"", "nothing", "a\x00b", "\xff", strings.Repeat("x", 1<<16)} {
			_, _, err := w.Group(t.Context(), system, id)
			wantCode(t, err, "not_found")
			_, err = w.UpdateGroup(t.Context(), system, id, new("x"), nil)
			wantCode(t, err, "not_found")
			wantCode(t, w.DeleteGroup(t.Context(), system, id), "not_found")
			wantCode(t, w.AddMember(t.Context(), system, id, "x"), "not_found")
			wantCode(t, w.AddMember(t.Context(), system, g.ID, id), "not_found")
			wantCode(t, w.RemoveMember(t.Context(), system, id, "x"), "not_found")
			wantCode(t, w.RemoveMember(t.Context(), system, g.ID, id), "not_found")
		}
		page, err := w.Groups(t.Context(), system, directory.Filter{OrgID: "a\x00b"})
		if err != nil || page.Total != 0 {
			t.Errorf("%d groups, %v", page.Total, err)
		}
		_, err = w.Groups(t.Context(), system, directory.Filter{Limit: -1})
		wantCode(t, err, "validation_failed")
	})
}
