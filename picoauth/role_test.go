package picoauth_test

import (
	"encoding/json"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
)

var roles = map[string]picoauth.Role{
	"viewer": picoauth.Viewer, "operator": picoauth.Operator, "org_admin": picoauth.OrgAdmin, "superadmin": picoauth.Superadmin,
}

func TestRolesAreOrdered(t *testing.T) {
	order := []picoauth.Role{0, picoauth.Viewer, picoauth.Operator, picoauth.OrgAdmin, picoauth.Superadmin}
	for i, role := range order[1:] {
		if role <= order[i] {
			t.Errorf("%q is not above %q", role, order[i])
		}
	}
}

func TestRolesAreReadByTheirExactNames(t *testing.T) {
	g, key := fixedGuard(t, 0)
	for name, want := range map[string]picoauth.Role{
		"viewer": picoauth.Viewer, "operator": picoauth.Operator, "org_admin": picoauth.OrgAdmin, "superadmin": picoauth.Superadmin,
		"": 0, "Superadmin": 0, "superadmin ": 0, "root": 0, "4": 0, "admin": 0,
	} {
		who, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(claims{"role": name})))
		if err != nil {
			t.Fatal(err)
		}
		if who.Role != want {
			t.Errorf("%q is read as %q", name, who.Role)
		}
	}
}

func TestRolesAreWrittenByTheirNames(t *testing.T) {
	for name, role := range roles {
		text, err := json.Marshal(role)
		if err != nil || string(text) != `"`+name+`"` || role.String() != name {
			t.Errorf("%s is written %s (%v) and %s", name, text, err, role)
		}
		var back picoauth.Role
		if err := json.Unmarshal(text, &back); err != nil || back != role {
			t.Errorf("%s is read back as %s: %v", text, back, err)
		}
	}
	var role picoauth.Role
	if json.Unmarshal([]byte(`"root"`), &role) == nil || json.Unmarshal([]byte(`""`), &role) != nil || role != 0 {
		t.Errorf("unknown and empty names: %q", role)
	}
	for _, none := range []picoauth.Role{-1, 0, 5, 99} {
		if none.String() != "" {
			t.Errorf("%d has the name %s", int(none), none)
		}
	}
}

// A mistyped constant must be found when the service starts, not when it refuses
// all users, or none.
func TestMinRoleOfNoRolePanics(t *testing.T) {
	for _, none := range []picoauth.Role{-1, 0, 5} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("MinRole(%d) returned", int(none))
				}
			}()
			picoauth.MinRole(none)
		}()
	}
}
