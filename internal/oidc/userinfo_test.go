package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// userInfo asks with the token in the header.
func (r *rig) userInfo(access string) response {
	r.t.Helper()
	req := r.request(http.MethodGet, "/oauth2/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+access)
	return r.do(req)
}

// OpenID Connect Core 5.3.1, RFC 6750 sections 2.1 and 2.2.
func TestCoreSection531UserInfoByGetPostHeaderAndPostBody(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Viewer, "default")
	actor, _ := r.session(u)
	c, _ := r.application(nil)
	access := r.tokens(c, actor, "openid", c.ID+"-api").AccessToken
	want := map[string]any{"sub": u.ID}
	inHeader := r.request(http.MethodPost, "/oauth2/userinfo", nil)
	inHeader.Header.Set("Authorization", "bearer "+access)
	for name, a := range map[string]response{
		"GET": r.userInfo(access), "POST with the header": r.do(inHeader), "POST with the body": r.post("/oauth2/userinfo", url.Values{"access_token": {access}}),
	} {
		if diff := cmp.Diff(want, a.body); a.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	both := r.request(http.MethodPost, "/oauth2/userinfo", url.Values{"access_token": {access}})
	both.Header.Set("Authorization", "Bearer "+access)
	r.want(http.StatusBadRequest, "invalid_request", r.do(both))
	r.want(http.StatusUnauthorized, "invalid_token", r.get("/oauth2/userinfo?access_token="+access))
}

// OpenID Connect Core 5.4: the claims of each scope, with the types of section 5.1.
func TestCoreSection54ClaimsOfScopes(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Operator, "default")
	actor, _ := r.session(u)
	c, _ := r.application(oauth.Settings{"scopes": []string{"openid", "profile", "email", "groups", "roles", "org"}})
	profile := map[string]any{
		"sub": u.ID, "name": "Ada Lovelace", "given_name": "Ada", "locale": "en-GB", "updated_at": float64(r.Clock.Now().Unix()),
	}
	for scope, want := range map[string]map[string]any{
		"openid":               {"sub": u.ID},
		"openid profile":       profile,
		"email openid":         {"sub": u.ID, "email": u.Email, "email_verified": false},
		"openid groups":        {"sub": u.ID, "groups": []any{}},
		"openid roles org":     {"sub": u.ID, "role": "operator", "org_id": "default"},
		"openid phone address": {"sub": u.ID},
	} {
		a := r.want(http.StatusOK, "", r.userInfo(r.tokens(c, actor, scope, r.issuer).AccessToken))
		if diff := cmp.Diff(want, a.body); diff != "" {
			t.Errorf("%s: %s", scope, diff)
		}
	}
}

// OpenID Connect Core 5.3.3, RFC 6750 section 3.1.
func TestRFC6750Section31RefusalsOfUserInfo(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Viewer, "default")
	actor, own := r.session(u)
	c, _ := r.application(nil)
	basic := r.request(http.MethodGet, "/oauth2/userinfo", nil)
	basic.SetBasicAuth("a", "b")
	for name, a := range map[string]response{"no token": r.get("/oauth2/userinfo"), "another scheme": r.do(basic)} {
		r.want(http.StatusUnauthorized, "invalid_token", a)
		if got := a.header.Get("Www-Authenticate"); got != "Bearer" {
			t.Errorf("%s: challenge %s", name, got)
		}
	}
	signer, err := r.Keys.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	idToken := func(claims string) string {
		signed, err := signer.Sign(jose.TypeJWT, []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	now := r.Clock.Now().Unix()
	good := r.tokens(c, actor, "openid", r.issuer).AccessToken
	for name, access := range map[string]string{
		"garbage":            "garbage",
		"another signature":  good[:len(good)-4] + "AAAA",
		"an ID token":        idToken(`{"iss":"` + r.issuer + `","sub":"` + u.ID + `","aud":"` + c.ID + `","iat":` + text(now) + `,"exp":` + text(now+60) + `,"jti":"x"}`),
		"with the nonce":     idToken(`{"iss":"` + r.issuer + `","sub":"` + u.ID + `","aud":"pico-bot","nonce":"n","iat":` + text(now) + `,"exp":` + text(now+60) + `,"jti":"x"}`),
		"of another issuer":  idToken(`{"iss":"https://other.example","sub":"` + u.ID + `","aud":"pico-bot","iat":` + text(now) + `,"exp":` + text(now+60) + `,"jti":"x"}`),
		"expired":            idToken(`{"iss":"` + r.issuer + `","sub":"` + u.ID + `","aud":"pico-bot","iat":` + text(now-60) + `,"exp":` + text(now) + `,"jti":"x"}`),
		"of a deleted user":  idToken(`{"iss":"` + r.issuer + `","sub":"nobody","aud":"pico-bot","iat":` + text(now) + `,"exp":` + text(now+60) + `,"jti":"x"}`),
		"without a token id": idToken(`{"iss":"` + r.issuer + `","sub":"` + u.ID + `","aud":"pico-bot","iat":` + text(now) + `,"exp":` + text(now+60) + `}`),
	} {
		a := r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(access))
		if !strings.HasPrefix(a.header.Get("Www-Authenticate"), `Bearer error="invalid_token"`) {
			t.Errorf("%s: challenge %s", name, a.header.Get("Www-Authenticate"))
		}
	}
	for name, access := range map[string]string{"of the JSON login": own, "without openid": r.tokens(c, actor, "profile", r.issuer).AccessToken} {
		a := r.want(http.StatusForbidden, "insufficient_scope", r.userInfo(access))
		if !strings.HasPrefix(a.header.Get("Www-Authenticate"), `Bearer error="insufficient_scope"`) {
			t.Errorf("%s: challenge %s", name, a.header.Get("Www-Authenticate"))
		}
	}
}

// What ends a session, a family, a user or a client ends the access tokens that came
// from it, here at once.
func TestUserInfoRefusesWhatHasEnded(t *testing.T) {
	for name, end := range map[string]func(r *rig, c oauth.Client, actor identity.Actor){
		"sign-out": func(r *rig, _ oauth.Client, actor identity.Actor) {
			r.ok(r.Sessions.EndOne(r.t.Context(), actor, actor.ID, actor.SessionID))
		},
		"suspension of the user": func(r *rig, _ oauth.Client, actor identity.Actor) {
			_, err := r.Directory.SetStatus(r.t.Context(), system, actor.ID, "suspended", "")
			r.ok(err)
		},
		"deletion of the user": func(r *rig, _ oauth.Client, actor identity.Actor) {
			r.ok(r.Directory.Delete(r.t.Context(), system, actor.ID, ""))
		},
		"expiry": func(r *rig, _ oauth.Client, _ identity.Actor) { r.Clock.Advance(11 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "")
			r.member(identity.Superadmin, "default")
			actor, _ := r.session(r.member(identity.Viewer, "default"))
			c, _ := r.application(nil)
			access := r.tokens(c, actor, "openid", r.issuer).AccessToken
			r.want(http.StatusOK, "", r.userInfo(access))
			end(r, c, actor)
			r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(access))
		})
	}
}

// A token of offline_access outlives its session.
func TestCoreSection11OfflineAccessOutlivesTheSession(t *testing.T) {
	r := newRig(t, "")
	actor, _ := r.session(r.member(identity.Viewer, "default"))
	c, _ := r.application(nil)
	offline := r.tokens(c, actor, "openid offline_access", r.issuer).AccessToken
	online := r.tokens(c, actor, "openid", r.issuer).AccessToken
	r.ok(r.Sessions.EndOne(t.Context(), actor, actor.ID, actor.SessionID))
	r.want(http.StatusOK, "", r.userInfo(offline))
	r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(online))
}

// A token without a family ends with its session.
func TestATokenWithoutARefreshTokenEndsWithItsSession(t *testing.T) {
	r := newRig(t, "")
	u := r.member(identity.Viewer, "default")
	actor, _ := r.session(u)
	c, _ := r.application(nil)
	access := r.bare(c, u, actor.SessionID, "openid")
	r.want(http.StatusOK, "", r.userInfo(access))
	r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(r.bare(c, u, "another", "openid")))
	r.ok(r.Sessions.EndOne(t.Context(), actor, actor.ID, actor.SessionID))
	r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(access))
}

// bare is a token of a grant that stored nothing.
func (r *rig) bare(c oauth.Client, u identity.User, session, scope string) string {
	r.t.Helper()
	g := token.Grant{ClientID: c.ID, Scope: scope, Audience: r.issuer, Typ: jose.TypeAccessToken}
	pair, err := r.Tokens.Mint(r.t.Context(), g, func(context.Context, *store.NewFamily) (store.Subject, error) {
		return store.Subject{User: u, SessionID: session}, nil
	})
	r.ok(err)
	return pair.AccessToken
}

// Fetch Standard: the response is readable for scripts of the token's own client.
func TestUserInfoIsReadableForScriptsOfTheClientAtHand(t *testing.T) {
	r := newRig(t, "")
	actor, _ := r.session(r.member(identity.Viewer, "default"))
	c, _ := r.application(oauth.Settings{"kind": "spa"})
	r.application(oauth.Settings{"redirect_uris": []string{"https://other.example/callback"}})
	access := r.tokens(c, actor, "openid", r.issuer).AccessToken
	for origin, want := range map[string][2]string{ // of the preflight, of the response
		"https://app.example":      {"https://app.example", "https://app.example"},
		"https://other.example":    {"https://other.example", ""},
		"https://attacker.example": {"", ""},
		"null":                     {"", ""},
	} {
		preflight := r.request(http.MethodOptions, "/oauth2/userinfo", nil)
		preflight.Header.Set("Origin", origin)
		preflight.Header.Set("Access-Control-Request-Method", "GET")
		preflight.Header.Set("Access-Control-Request-Headers", "authorization")
		a := r.do(preflight)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != want[0] {
			t.Errorf("%s: preflight %d %v", origin, a.status, a.header)
		}
		if want[0] != "" && !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: preflight %v", origin, a.header)
		}
		req := r.request(http.MethodGet, "/oauth2/userinfo", nil)
		req.Header.Set("Origin", origin)
		req.Header.Set("Authorization", "Bearer "+access)
		if got := r.do(req).header.Get("Access-Control-Allow-Origin"); got != want[1] {
			t.Errorf("%s: response %q", origin, got)
		}
	}
}
