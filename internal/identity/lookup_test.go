package identity_test

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestStorableIsEverythingTheOriginalCouldHold(t *testing.T) {
	for _, s := range []string{"", "admin", "not an address", "tab\tbed", strings.Repeat("\U0001F511", 255)} {
		if !identity.Storable(s) {
			t.Errorf("Storable(%q) = false", s)
		}
	}
}

func TestStorableRefusesWhatNoRowCanHold(t *testing.T) {
	for _, s := range []string{"a\x00b", "\xff", strings.Repeat("a", 1021)} {
		if identity.Storable(s) {
			t.Errorf("Storable(%q) = true", s)
		}
	}
}

func TestOrgIDIsOptionalButMustBeValid(t *testing.T) {
	for _, good := range []string{"", "default", "acme-1", "0198c0de-0000-7000-8000-000000000000"} {
		if err := identity.ValidateOrgID(good); err != nil {
			t.Errorf("ValidateOrgID(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{" ", "a b", "a\nb", strings.Repeat("x", 37), "\xff", ".", "..", "/"} {
		if err := identity.ValidateOrgID(bad); err == nil {
			t.Errorf("ValidateOrgID(%q) accepts it", bad)
		}
	}
}
