package main

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

// TestTheNextStepPromisesNoMoreThanIsKnown: another replica may hold the key that
// is unavailable here.
func TestTheNextStepPromisesNoMoreThanIsKnown(t *testing.T) {
	for want, k := range map[string]keyring.KeyInfo{
		"signs in 5m0s":                       {Status: store.KeyPending, Due: 5 * time.Minute},
		"signs in a moment":                   {Status: store.KeyPending},
		"signs in 3 days":                     {Status: store.KeyPending, Due: 71*time.Hour + time.Second},
		"signs in 47h0m0s":                    {Status: store.KeyPending, Due: 47 * time.Hour},
		"signs in 5m0s; unavailable here: it": {Status: store.KeyPending, Due: 5 * time.Minute, Problem: "it"},
		"due; unavailable here: it":           {Status: store.KeyPending, Problem: "it"},
		"unavailable here: it":                {Status: store.KeyActive, Problem: "it"},
		"-":                                   {Status: store.KeyActive},
		"removed in 16m5s":                    {Status: store.KeyRetiring, Due: 965 * time.Second},
	} {
		if got := nextStep(k); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
