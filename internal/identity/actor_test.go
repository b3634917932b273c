package identity_test

import (
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
