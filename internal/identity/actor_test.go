package identity_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestAPrincipalIsActiveWhileItMayUseWhatItPresented(t *testing.T) {
	for _, s := range standings() {
		want := identity.Principal{Kind: identity.ActorUser, ID: "actor", Role: s.role, OrgID: "a", Active: s.signsIn()}
		if got := s.user("a").Principal(); got != want {
			t.Errorf("%v: %+v", s, got)
		}
	}
	token := identity.ServiceToken{ID: "t", Role: identity.Operator, OrgID: "a", OrgStatus: identity.Active}
	if got := token.Principal(time.Time{}); got != (identity.Principal{Kind: identity.ActorServiceToken, ID: "t", Role: identity.Operator, OrgID: "a", Active: true}) {
		t.Errorf("%+v", got)
	}
	token.OrgStatus = identity.Suspended
	if token.Principal(time.Time{}).Active {
		t.Error("a service token of a suspended organization is active")
	}
}

func TestAsUserKeepsTheAddressOfTheRequest(t *testing.T) {
	request := identity.Actor{Address: "192.0.2.7", RequestID: "req-1"}
	want := identity.Actor{Kind: identity.ActorUser, ID: "ada", Address: "192.0.2.7", RequestID: "req-1"}
	if got := request.AsUser("ada"); got != want || request.Kind != "" {
		t.Errorf("%+v of %+v", got, request)
	}
}

func TestAUserThroughAClientHasTheWeakerRole(t *testing.T) {
	for _, c := range []struct{ user, client, want identity.Role }{
		{"org_admin", "viewer", "viewer"},
		{"viewer", "superadmin", "viewer"},
		{"operator", "operator", "operator"},
		{"superadmin", "", ""},
		{"", "superadmin", ""},
		{"root", "viewer", ""},
	} {
		p := identity.Principal{Kind: identity.ActorUser, ID: "u", Role: c.user, Active: true}.
			Through(identity.Principal{Kind: identity.ActorClient, ID: "c", Role: c.client, Active: true})
		if p.Role != c.want || p.Kind != identity.ActorClient || p.ID != "u" || !p.Active {
			t.Errorf("%s through %s: %+v", c.user, c.client, p)
		}
	}
	if (identity.Principal{Active: true}).Through(identity.Principal{}).Active {
		t.Error("a suspended client acts")
	}
}

// A client needs a recent sign-in of its user where the user needs one, and never
// reaches a superadmin.
func TestAClientDoesNotDoWhatItsUserMayNotDoNow(t *testing.T) {
	admin := identity.Principal{Kind: identity.ActorClient, ID: "a", Role: identity.Superadmin, OrgID: "x", Active: true}
	viewer := identity.Principal{Kind: identity.ActorUser, ID: "v", Role: identity.Viewer, OrgID: "x", Active: true}
	if err := identity.MayResetPassword(admin, viewer); !errors.Is(err, identity.ErrReauthenticate) {
		t.Errorf("without a recent sign-in: %v", err)
	}
	admin.Recent = true
	if err := identity.MayResetPassword(admin, viewer); err != nil {
		t.Error(err)
	}
	self := viewer
	self.ID = "a"
	if err := identity.MayResetPassword(admin, self); !errors.Is(err, identity.ErrOwnPassword) {
		t.Errorf("the own password: %v", err)
	}
	if err := identity.MayManage(admin, identity.Principal{ID: "s", Role: identity.Superadmin, OrgID: "x"}); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a superadmin: %v", err)
	}
	if err := identity.MayManageSessions(identity.Principal{Kind: identity.ActorClient, ID: "v", Role: identity.Viewer, Active: true}, viewer); err != nil {
		t.Errorf("the own sessions: %v", err)
	}
}
