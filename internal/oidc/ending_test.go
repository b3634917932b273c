package oidc_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// What ends all that a client holds of a user ends it at every endpoint: what was issued,
// and what the client could still exchange.
func TestWhatEndsAGrantEndsItAtEveryEndpoint(t *testing.T) {
	for name, tc := range map[string]struct {
		end       func(r *rig, c oauth.Client, by identity.Actor) error
		signedOut bool // of the session of the browser
	}{
		"revocation of the client's tokens": {end: func(r *rig, c oauth.Client, _ identity.Actor) error {
			return r.Clients.RevokeTokens(r.t.Context(), system, c.ID)
		}},
		"withdrawal of the consent": {end: func(r *rig, c oauth.Client, by identity.Actor) error {
			return r.Authorize.Withdraw(r.t.Context(), by, c.ID)
		}},
		"sign-out everywhere": {signedOut: true, end: func(r *rig, _ oauth.Client, by identity.Actor) error {
			_, err := r.Sessions.EndAll(r.t.Context(), by, by.ID)
			return err
		}},
		"suspension of the user": {signedOut: true, end: func(r *rig, _ oauth.Client, by identity.Actor) error {
			_, err := r.Directory.SetStatus(r.t.Context(), system, by.ID, "suspended", "")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "")
			audiences := []string{"https://api.example"}
			c := r.register(oauth.Settings{
				"audiences": audiences, "consent": true, "grant_types": []string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantDevice},
			})
			service := r.register(oauth.Settings{"audiences": audiences})
			u := r.user("ada@pico.example")
			b := r.signedIn(u)
			by := identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: b.presents().SessionID}
			for _, device := range []string{"BCDFGHJK", "BCDFGHJL"} { // the first one: the user allows the client its scope
				sum := sha256.Sum256([]byte(device))
				d := store.Device{UserCode: device, ClientID: c.ID, Scope: "openid email", ExpiresAt: r.Clock.Now().Add(10 * time.Minute)}
				if free, err := r.Store.InsertDevice(t.Context(), d, hex.EncodeToString(sum[:])); err != nil || !free {
					t.Fatal(free, err)
				}
				r.ok(r.Store.DecideDevice(t.Context(), store.Act{Action: identity.ActionDevice, By: by}, device, true))
			}
			issued := r.want(200, "", r.token(c, "grant_type", oauth.GrantDevice, "device_code", "BCDFGHJK"))
			exchanged := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid email")))
			unused := b.code(c, "scope", "openid email")

			r.ok(tc.end(r, c.Client, by))
			for _, tokens := range []response{issued, exchanged} {
				r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(tokens.text("access_token")))
				inactive(t, "a resource server", r.introspect(service.Client, service.secret, tokens.text("access_token")))
				inactive(t, "the client", r.introspect(c.Client, c.secret, tokens.text("access_token")))
				r.want(http.StatusBadRequest, "invalid_grant", r.token(c, "grant_type", "refresh_token", "refresh_token", tokens.text("refresh_token")))
			}
			r.want(http.StatusBadRequest, "invalid_grant", r.redeem(c, unused))
			r.want(http.StatusBadRequest, "invalid_grant", r.token(c, "grant_type", oauth.GrantDevice, "device_code", "BCDFGHJL"))
			bearer, err := r.Store.Bearer(t.Context(), u.ID, by.SessionID, "")
			if r.ok(err); (bearer.Ended != "") != tc.signedOut {
				t.Errorf("the session ended by %q", bearer.Ended)
			}
		})
	}
}
