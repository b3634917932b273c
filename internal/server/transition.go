package server

import (
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Transition describes a change of the algorithm to the configured one that is not
// complete; it is empty when there is none. keys are in the order of the key set.
func Transition(keys []keyring.KeyInfo, configured jose.Algorithm, now time.Time) string {
	if len(keys) == 0 || keys[0].Status != store.KeyActive || keys[0].Algorithm == configured {
		return ""
	}
	for _, k := range keys {
		if k.Status == store.KeyPending && k.Algorithm == configured {
			return fmt.Sprintf("signing with %s; %s is published and signs from %s; `pico-auth key rotate --now` signs with it at once",
				keys[0].Algorithm, configured, Clock(now.Add(k.Due), now))
		}
	}
	return ""
}

// Clock formats a time in the near future for users, in UTC.
func Clock(at, now time.Time) string {
	if at.Sub(now) < 24*time.Hour {
		return at.UTC().Format("15:04 UTC")
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}
