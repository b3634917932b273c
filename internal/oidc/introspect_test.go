package oidc_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
)

// introspect asks as the client.
func (r *rig) introspect(c oauth.Client, secret, presented string) response {
	r.t.Helper()
	return r.do(basic(r.request(http.MethodPost, "/oauth2/introspect", url.Values{"token": {presented}}), c, secret))
}

func TestRFC7662Section22Response(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Viewer, "default")
	actor, _ := r.session(u)
	c, secret := r.application(nil)
	access := r.tokens(c, actor, "openid email", "https://api.example").AccessToken
	a := r.want(http.StatusOK, "", r.introspect(c, secret, access))
	iat := float64(r.Clock.Now().Unix())
	want := map[string]any{
		"active": true, "scope": "openid email", "client_id": c.ID, "token_type": "Bearer", "iat": iat, "exp": iat + 600,
		"sub": u.ID, "aud": "https://api.example", "iss": r.issuer,
		"auth_time": iat, "acr": identity.ACROneFactor, // RFC 9470 section 6.2
	}
	delete(a.body, "jti")
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
	r.Clock.Advance(11 * time.Minute)
	inactive(t, "expired", r.introspect(c, secret, access))
}

// inactive expects the response that says nothing else, RFC 7662 section 2.2.
func inactive(t *testing.T, name string, a response) {
	t.Helper()
	if diff := cmp.Diff(map[string]any{"active": false}, a.body); a.status != http.StatusOK || diff != "" {
		t.Errorf("%s: %d %s", name, a.status, a.raw)
	}
}

// RFC 7662 sections 2.1 and 4: a caller must be authenticated, so that tokens cannot
// be guessed, and learns only of tokens that are meant for it.
func TestRFC7662Section4CallersLearnOnlyOfTokensThatAreMeantForThem(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Viewer, "default")
	actor, own := r.session(u)
	c, secret := r.application(nil)
	api, apiSecret := r.application(oauth.Settings{"kind": "machine", "audiences": []string{"https://api.example"}})
	other, otherSecret := r.application(nil)
	spa, _ := r.application(oauth.Settings{"kind": "spa"})
	pair := r.tokens(c, actor, "openid", "https://api.example")
	for name, a := range map[string]response{
		"the client of the token":      r.introspect(c, secret, pair.AccessToken),
		"the client with its audience": r.introspect(api, apiSecret, pair.AccessToken),
	} {
		if a.body["active"] != true {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
	for name, a := range map[string]response{
		"another client":                 r.introspect(other, otherSecret, pair.AccessToken),
		"a token of the API":             r.introspect(c, secret, own),
		"garbage":                        r.introspect(c, secret, "garbage"),
		"a refresh token":                r.introspect(c, secret, pair.RefreshToken),
		"another client's refresh token": r.introspect(other, otherSecret, pair.RefreshToken),
	} {
		inactive(t, name, a)
	}
	r.want(http.StatusUnauthorized, "invalid_client", r.post("/oauth2/introspect", url.Values{"token": {own}}))
	r.want(http.StatusUnauthorized, "invalid_client", r.introspect(c, "wrong", pair.AccessToken))
	r.want(http.StatusUnauthorized, "invalid_client", r.post("/oauth2/introspect", url.Values{"token": {pair.AccessToken}, "client_id": {spa.ID}}))
	r.want(http.StatusBadRequest, "invalid_request", r.do(basic(r.request(http.MethodPost, "/oauth2/introspect", url.Values{"x": {"y"}}), c, secret)))
	r.want(http.StatusMethodNotAllowed, "invalid_request", r.get("/oauth2/introspect?token="+own))
}

// A service that verifies tokens of its organization needs no client of its own.
func TestServiceTokensIntrospectTokensOfTheirOrganization(t *testing.T) {
	r := newRig(t, "")
	r.member(identity.Viewer, "other")
	service := func(role, org string) string {
		_, secret, err := r.Tokens.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: role + org, Role: role, OrgID: org})
		r.ok(err)
		return secret
	}
	ask := func(secret, presented string) response {
		req := r.request(http.MethodPost, "/oauth2/introspect", url.Values{"token": {presented}})
		req.Header.Set("Authorization", "Bearer "+secret)
		return r.do(req)
	}
	u := r.member(identity.Viewer, "default")
	actor, own := r.session(u)
	c, _ := r.application(nil)
	access := r.tokens(c, actor, "openid", r.issuer).AccessToken
	for name, secret := range map[string]string{"own organization": service("viewer", "default"), "superadmin": service("superadmin", "other")} {
		for _, presented := range []string{own, access} {
			if a := r.want(http.StatusOK, "", ask(secret, presented)); a.body["active"] != true || a.body["sub"] != u.ID {
				t.Errorf("%s: %s", name, a.raw)
			}
		}
	}
	inactive(t, "another organization", ask(service("org_admin", "other"), access))
	r.want(http.StatusUnauthorized, "invalid_token", ask("pico_svc_"+own[:64], access))
	r.want(http.StatusUnauthorized, "invalid_client", ask(own, access)) // a user's token is no service token
}

// An admin of an organization may name any audience for a client of it.
func TestAClientOfAnOrganizationLearnsOnlyOfItsUsers(t *testing.T) {
	r := newRig(t, "")
	audience := oauth.Settings{"kind": "machine", "audiences": []string{"https://api.example"}, "org_id": "other"}
	c, _ := r.application(nil)
	outsider, _ := r.session(r.member(identity.Viewer, "default"))
	member, _ := r.session(r.member(identity.Viewer, "other"))
	api, secret := r.application(audience)
	inactive(t, "another organization", r.introspect(api, secret, r.tokens(c, outsider, "openid", "https://api.example").AccessToken))
	if a := r.introspect(api, secret, r.tokens(c, member, "openid", "https://api.example").AccessToken); a.body["active"] != true {
		t.Errorf("own organization: %s", a.raw)
	}
}
