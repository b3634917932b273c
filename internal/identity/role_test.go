package identity_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestRolesAreOrdered(t *testing.T) {
	want := []identity.Role{"viewer", "operator", "org_admin", "superadmin"}
	if diff := cmp.Diff(want, identity.Roles()); diff != "" {
		t.Fatalf("roles (-want +got):\n%s", diff)
	}
	for i, a := range want {
		for j, b := range want {
			if got := a.AtLeast(b); got != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, got)
			}
		}
	}
}

func TestUnknownRoleHasNoPermission(t *testing.T) {
	for _, unknown := range []identity.Role{"", "root", "Viewer", "viewer ", "super admin"} {
		if unknown.AtLeast(unknown) {
			t.Errorf("%q is at least itself", unknown)
		}
		for _, known := range identity.Roles() {
			if unknown.AtLeast(known) || known.AtLeast(unknown) {
				t.Errorf("%q compares with %s", unknown, known)
			}
		}
	}
}

func TestParseRoleAcceptsExactNamesOnly(t *testing.T) {
	for _, role := range identity.Roles() {
		if got, err := identity.ParseRole(string(role)); got != role || err != nil {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
	for _, name := range []string{"", "root", "Viewer", " viewer", "viewer\x00", "org-admin"} {
		got, err := identity.ParseRole(name)
		if got != "" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestStatusIsActiveOrSuspended(t *testing.T) {
	for status, want := range map[identity.Status]bool{"active": true, "suspended": true, "": false, "Active": false, "deleted": false} {
		if status.Valid() != want {
			t.Errorf("%q: Valid = %v", status, !want)
		}
	}
}

func TestPasswordHashDoesNotPrint(t *testing.T) {
	user := identity.User{PasswordHash: "$2a$12$secret"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "hash", user.PasswordHash)
	printed := fmt.Sprint(user.PasswordHash) + fmt.Sprintf("%v %+v %#v %s %q", user, user, user, user.PasswordHash, user.PasswordHash) + log.String()
	if strings.Contains(printed, "secret") {
		t.Errorf("the hash is visible: %s", printed)
	}
}
