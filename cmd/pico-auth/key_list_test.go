package main

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
)

// TestTheNextStepPromisesNoMoreThanIsKnown: another replica may hold the key that
// is not to be had here.
func TestTheNextStepPromisesNoMoreThanIsKnown(t *testing.T) {
	for want, k := range map[string]keyring.KeyInfo{
		"signs in 5m0s":                    {Status: keyring.Next, Due: 5 * time.Minute},
		"signs in a moment":                {Status: keyring.Next},
		"signs in 3 days":                  {Status: keyring.Next, Due: 71*time.Hour + time.Second},
		"signs in 47h0m0s":                 {Status: keyring.Next, Due: 47 * time.Hour},
		"signs in 5m0s; not from here: it": {Status: keyring.Next, Due: 5 * time.Minute, Problem: "it"},
		"due; not from here: it":           {Status: keyring.Next, Problem: "it"},
		"not to be had here: it":           {Status: keyring.Active, Problem: "it"},
		"-":                                {Status: keyring.Active},
		"removed in 16m5s":                 {Status: keyring.Retiring, Due: 965 * time.Second},
	} {
		if got := nextStep(k); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
