package keyring

import (
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// TestNoKeyIsMadeWhoseIDReadsAsAFlag, such as in `key revoke -gVW...`.
func TestNoKeyIsMadeWhoseIDReadsAsAFlag(t *testing.T) {
	for range 2000 { // of 64 keys one has such an id by nature
		made, err := generate(jose.EdDSA, 0)
		if err != nil {
			t.Fatal(err)
		}
		if kid := made.Key.Public().Thumbprint(); strings.HasPrefix(kid, "-") {
			t.Fatalf("made %s", kid)
		}
	}
}
