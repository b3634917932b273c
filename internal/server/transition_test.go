package server

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

// TestAChangeOfTheAlgorithmIsDescribedUntilItIsComplete, with the time from which the new
// key signs and the command that does not wait for it.
func TestAChangeOfTheAlgorithmIsDescribedUntilItIsComplete(t *testing.T) {
	now := time.Date(2026, 11, 27, 13, 5, 0, 0, time.UTC)
	signing := keyring.KeyInfo{Algorithm: jose.EdDSA, Status: store.KeyActive}
	next := keyring.KeyInfo{Algorithm: jose.ES256, Status: store.KeyPending, Due: time.Hour}
	for _, c := range []struct {
		keys []keyring.KeyInfo
		want string
	}{
		{nil, ""},
		{[]keyring.KeyInfo{signing}, ""}, // with another configuration than the servers'
		{[]keyring.KeyInfo{signing, next}, "signing with EdDSA; ES256 is published and signs from 14:05 UTC; `pico-auth key rotate --now` signs with it at once"},
		{[]keyring.KeyInfo{{Algorithm: jose.ES256, Status: store.KeyActive}, next}, ""}, // a rotation
	} {
		if got := Transition(c.keys, jose.ES256, now); got != c.want {
			t.Errorf("%+v: %q", c.keys, got)
		}
	}
	if got := Clock(now.Add(25*time.Hour), now); got != "2026-11-28 14:05 UTC" {
		t.Errorf("in a day: %s", got)
	}
}
