package identity_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestAProofIsWhatWasProved(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	u := identity.User{ID: "u", CredentialsVersion: 3}
	p := identity.NewProof(u, at, identity.MethodPassword)
	p.Methods()[0] = "otp" // a copy
	if p.UserID() != "u" || p.CredentialsVersion() != 3 || !p.Time().Equal(at) || !slices.Equal(p.Methods(), []string{"pwd"}) ||
		p.ACR() != "urn:pico-auth:acr:1" {
		t.Errorf("%+v", p)
	}
	if zero := (identity.Proof{}); zero.UserID() != "" || len(zero.Methods()) != 0 {
		t.Errorf("the zero Proof proves %+v", zero)
	}
}

func TestTheBuiltInClientHasAValidID(t *testing.T) {
	if !identity.ValidID(identity.FirstPartyClient) {
		t.Error("it is no valid id")
	}
}
