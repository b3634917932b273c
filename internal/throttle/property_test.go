package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Whatever attackers do in other networks, against the account, with accounts of their
// own and with addresses that no user has, the owner signs in from a known network.
func TestNoSequenceOfAttemptsFromOtherNetworksRefusesTheOwner(t *testing.T) {
	each(t, func(w *world) {
		accounts := 0
		rapid.Check(w.t, func(r *rapid.T) {
			accounts++
			owner := identity.User{ID: fmt.Sprintf("owner-%d", accounts), Email: "owner@pico.example", OrgID: identity.DefaultOrg}
			mallory := identity.User{ID: fmt.Sprintf("mallory-%d", accounts), OrgID: identity.DefaultOrg}
			home := from(rapid.IntRange(0, 3).Draw(r, "home"))
			w.succeeds(home, owner)
			signedIn := w.clock.Now()
			attacker := func() identity.Actor {
				by := from(rapid.IntRange(4, 40).Draw(r, "network"))
				by.UnknownProxy = rapid.Bool().Draw(r, "proxy")
				return by
			}
			admitted := func() {
				a, refused := w.admit(home, owner, owner.Email)
				if refused != nil {
					r.Fatalf("the owner is refused: %+v", refused)
				}
				a.Cancel()
			}
			r.Repeat(map[string]func(*rapid.T){
				"": func(*rapid.T) { admitted() },
				"guess": func(r *rapid.T) {
					for range rapid.IntRange(1, 30).Draw(r, "times") {
						w.guess(attacker(), owner, owner.Email)
					}
				},
				"guess while the owner signs in": func(*rapid.T) {
					a, refused := w.admit(attacker(), owner, owner.Email)
					admitted()
					if refused == nil {
						w.ok(a.Failed(w.t.Context()))
					}
				},
				"sign in": func(*rapid.T) {
					if a, refused := w.admit(attacker(), mallory, mallory.Email); refused == nil {
						w.ok(a.Succeeded(w.t.Context()))
					}
				},
				"unknown address": func(r *rapid.T) {
					w.guess(attacker(), identity.User{}, rapid.StringN(0, 3, 9).Draw(r, "address"))
				},
				"unknown token": func(*rapid.T) { _ = w.UnknownToken(w.t.Context(), attacker()) },
				"another account from home": func(r *rapid.T) {
					w.guess(home, identity.User{}, rapid.StringN(0, 3, 9).Draw(r, "address"))
				},
				"wait": func(r *rapid.T) {
					d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(r, "time"))
					if w.clock.Now().Add(d).Sub(signedIn) < 30*24*time.Hour {
						w.clock.Advance(d)
					}
				},
			})
		})
	})
}
