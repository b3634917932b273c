package client_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// A preflight is allowed for the origins of all active clients: for a new client's after
// a second, and for a former one's for half a minute more.
func TestOriginsOfActiveClientsAreKnown(t *testing.T) {
	each(t, func(w *world) {
		knows := func(origin string) bool {
			t.Helper()
			known, err := w.Clients.KnowsOrigin(t.Context(), origin)
			w.ok(err)
			return known
		}
		if knows("https://app.example") {
			t.Error("an origin is known without a client")
		}
		w.client(nil)
		w.user("boss", "org_admin", "acme")
		w.client(oauth.Settings{"org_id": "acme", "redirect_uris": []string{"https://acme.example/callback", "http://localhost:3000/callback"}})
		w.Clock.Advance(time.Second)
		for origin, want := range map[string]bool{
			"https://app.example": true, "https://acme.example": true, "http://localhost:3000": true, "http://localhost": false,
			"https://app.example/callback": false, "https://attacker.example": false, "null": false, "": false,
		} {
			if knows(origin) != want {
				t.Errorf("%q: not %t", origin, want)
			}
		}
		w.suspendOrganization("acme")
		w.Clock.Advance(30 * time.Second)
		if knows("https://acme.example") || !knows("https://app.example") {
			t.Error("the origin of a suspended client is known, or that of an active one is not")
		}
	})
}
