package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

func TestKnownNetworksAreThoseThatSignedUsersInLatestFirst(t *testing.T) {
	onEach(t, func(w *world) {
		for _, network := range []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/56", "192.0.2.0/24"} {
			w.ok(w.s.ForgetGuesses(w.t.Context(), "ada", network))
			w.clock.Advance(time.Minute)
		}
		_, err := w.s.CountGuess(w.t.Context(), store.ThrottleKey{Account: "ada", Network: "203.0.113.0/24"}, true, func(store.Guesses) ([]store.Event, error) { return nil, nil })
		w.ok(err)
		got, err := w.s.KnownNetworks(w.t.Context(), 2)
		w.ok(err)
		if !slices.Equal(got, []string{"192.0.2.0/24", "2001:db8::/56"}) {
			t.Errorf("%v", got)
		}
	})
}
