package oidc_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// RFC 8628 section 3.5: what a device is told, and that its code works once.
func TestRFC8628Section35DeviceTokenResponses(t *testing.T) {
	r := newRig(t, "")
	device := oauth.Settings{"kind": "native", "grant_types": []string{oauth.GrantDevice, oauth.GrantRefresh}, "redirect_uris": []string{}}
	c, other, u := r.register(device), r.register(device), r.user("ada@pico.example")
	b := r.signedIn(u)
	by := identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: b.presents().SessionID}
	ask := func(c registered, code string) response {
		t.Helper()
		return r.token(c, "grant_type", oauth.GrantDevice, "device_code", code)
	}
	insert := func(user, code string) {
		t.Helper()
		sum := sha256.Sum256([]byte(code))
		d := store.Device{UserCode: user, ClientID: c.ID, Scope: "openid email", ExpiresAt: r.Clock.Now().Add(10 * time.Minute)}
		if free, err := r.Store.InsertDevice(t.Context(), d, hex.EncodeToString(sum[:])); err != nil || !free {
			t.Fatal(free, err)
		}
	}
	decide := func(user string, allow bool) {
		t.Helper()
		if err := r.Store.DecideDevice(t.Context(), store.Act{Action: "test", By: by}, user, allow); err != nil {
			t.Fatal(err)
		}
	}
	insert("BCDFGHJK", "code-1")
	r.want(400, "invalid_grant", ask(other, "code-1"))
	r.want(400, "invalid_grant", ask(c, "unknown"))
	r.want(400, "invalid_request", ask(c, ""))
	r.want(400, "authorization_pending", ask(c, "code-1"))
	r.want(400, "slow_down", ask(c, "code-1"))
	signedIn := r.Clock.Now()
	r.Clock.Advance(20 * time.Second)
	decide("BCDFGHJK", true)
	a := r.want(200, "", ask(c, "code-1"))
	_, id := r.claims(a.text("id_token"))
	if id["sub"] != u.ID || id["auth_time"] != float64(signedIn.Unix()) || id["acr"] != identity.ACROneFactor || id["nonce"] != nil || a.text("scope") != "openid email" {
		t.Errorf("%v %s", id, a.raw)
	}
	r.want(400, "invalid_grant", ask(c, "code-1"))
	r.want(200, "", r.token(c, "grant_type", "refresh_token", "refresh_token", a.text("refresh_token")))

	insert("BCDFGHJL", "code-2")
	decide("BCDFGHJL", false)
	r.want(400, "access_denied", ask(c, "code-2"))
	insert("BCDFGHJM", "code-3")
	r.Clock.Advance(10*time.Minute + time.Second)
	r.want(400, "expired_token", ask(c, "code-3"))
}
