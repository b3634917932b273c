//go:build linux

package limit_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// TestEveryAlgorithmHasABareSignature: without one its refreshes have no limit
// beside them.
func TestEveryAlgorithmHasABareSignature(t *testing.T) {
	for _, name := range jose.Algorithms() {
		newWork := limit.Sign(string(name))
		if newWork == nil {
			t.Errorf("%s has none", name)
			continue
		}
		sign, err := newWork()
		if err == nil {
			err = sign()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if limit.Sign("none") != nil {
		t.Error("a signature of no algorithm")
	}
}
