package oidc_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"golang.org/x/oauth2"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// television is a public client of the device grant.
func (r *rig) television(more oauth.Settings) registered {
	r.t.Helper()
	settings := oauth.Settings{"kind": "native", "grant_types": []string{oauth.GrantDevice, oauth.GrantRefresh}, "redirect_uris": []string{}}
	maps.Copy(settings, more)
	return r.register(settings)
}

// RFC 8628 section 3.2.
func TestRFC8628Section32Response(t *testing.T) {
	r := newRig(t, "/auth")
	c := r.television(nil)
	a := r.want(http.StatusOK, "", r.post("/auth/oauth2/device", url.Values{"client_id": {c.ID}, "scope": {"openid unknown"}}))
	code := a.text("user_code")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(code) || len(a.text("device_code")) < 43 {
		t.Errorf("%s", a.raw)
	}
	page := r.issuer + "/device"
	if a.text("verification_uri") != page || a.text("verification_uri_complete") != page+"?user_code="+code {
		t.Errorf("%s", a.raw)
	}
	if a.body["expires_in"] != 600.0 || a.body["interval"] != 5.0 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", a.raw, a.header)
	}
	if again := r.post("/auth/oauth2/device", url.Values{"client_id": {c.ID}, "scope": {"openid"}}); again.text("device_code") == a.text("device_code") || again.text("user_code") == code {
		t.Error("two devices got one code")
	}
}

// RFC 8628 section 3.1, RFC 6749 section 5.2.
func TestRFC8628Section31Refusals(t *testing.T) {
	r := newRig(t, "")
	c, web := r.television(nil), r.register(nil)
	ask := func(pairs ...string) response {
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return r.post("/oauth2/device", form)
	}
	r.want(http.StatusUnauthorized, "invalid_client", ask("scope", "openid"))
	r.want(http.StatusUnauthorized, "invalid_client", ask("client_id", "unknown", "scope", "openid"))
	r.want(http.StatusUnauthorized, "invalid_client", ask("client_id", web.ID, "scope", "openid")) // it has a secret
	r.want(http.StatusBadRequest, "unauthorized_client", r.do(basic(r.request(http.MethodPost, "/oauth2/device", url.Values{"scope": {"openid"}}), web.Client, web.secret)))
	r.want(http.StatusBadRequest, "invalid_scope", ask("client_id", c.ID, "scope", "openid admin"))
	r.want(http.StatusBadRequest, "invalid_scope", ask("client_id", c.ID))
	r.want(http.StatusBadRequest, "invalid_target", ask("client_id", c.ID, "scope", "openid", "resource", "https://api.example"))
	r.want(http.StatusMethodNotAllowed, "invalid_request", r.get("/oauth2/device?client_id="+c.ID))
}

// An outside client signs a device in: the user types the code at the page, sees what
// asks, and allows it (RFC 8628 section 3.3).
func TestRFC8628Section33ADeviceIsSignedInByXOAuth2(t *testing.T) {
	r := newRig(t, "")
	c := r.television(oauth.Settings{"name": "Kitchen display"})
	u := r.member(identity.Viewer, "default")
	by, _ := r.session(u)
	config := oauth2.Config{
		ClientID: c.ID, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{DeviceAuthURL: r.issuer + "/oauth2/device", TokenURL: r.issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	codes, err := config.DeviceAuth(t.Context())
	r.ok(err)
	if _, err := r.Authorize.Device(t.Context(), by, "BBBB-BBBB"); !errors.Is(err, authorize.ErrNoUserCode) {
		t.Errorf("a wrong code: %v", err)
	}
	d, err := r.Authorize.Device(t.Context(), by, codes.UserCode)
	r.ok(err)
	if d.Client.Name != "Kitchen display" || d.Address != "127.0.0.1" || d.Code != codes.UserCode || len(d.Scopes) != 2 {
		t.Errorf("the page shows %+v", d)
	}
	r.ok(r.Authorize.DecideDevice(t.Context(), by, codes.UserCode, true))
	codes.Interval = 1
	pair, err := config.DeviceAccessToken(t.Context(), codes)
	r.ok(err)
	if a := r.want(http.StatusOK, "", r.userInfo(pair.AccessToken)); a.text("sub") != u.ID {
		t.Errorf("%s", a.raw)
	}
	consents, err := r.Authorize.Consents(t.Context(), u.ID)
	r.ok(err)
	if len(consents) != 1 || consents[0].ClientID != c.ID || consents[0].Scope != "openid offline_access" {
		t.Errorf("the user finds %+v among what they allowed", consents)
	}
	r.ok(r.Authorize.Withdraw(t.Context(), by, c.ID))
	r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(pair.AccessToken))
	r.want(http.StatusBadRequest, "invalid_grant", r.token(c, "grant_type", "refresh_token", "refresh_token", pair.RefreshToken))
}
