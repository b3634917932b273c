package oidc_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// The tokens of users that a client holds stop with the client, at every endpoint and at
// once, and do not work again when it is activated.
func TestASuspendedClientsUserTokensAreRefusedEverywhere(t *testing.T) {
	r := newRig(t, "")
	c, service := r.register(oauth.Settings{"audiences": []string{"https://api.example"}}), r.register(oauth.Settings{"audiences": []string{"https://api.example"}})
	b := r.signedIn(r.user("ada@pico.example"))
	tokens := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid offline_access")))
	access := tokens.text("access_token")
	userinfo := func() response {
		req := r.request(http.MethodGet, "/oauth2/userinfo", nil)
		req.Header.Set("Authorization", "Bearer "+access)
		return r.do(req)
	}
	r.want(200, "", userinfo())
	if a := r.introspect(service.Client, service.secret, access); a.body["active"] != true {
		t.Fatalf("introspection before: %s", a.raw)
	}
	for _, status := range []string{"suspended", "active"} {
		if _, err := r.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"status": status}); err != nil {
			t.Fatal(err)
		}
		r.want(http.StatusUnauthorized, "invalid_token", userinfo())
		inactive(t, status+": a resource server", r.introspect(service.Client, service.secret, access))
		refresh := r.token(c, "grant_type", "refresh_token", "refresh_token", tokens.text("refresh_token"))
		if status == "suspended" {
			r.want(http.StatusUnauthorized, "invalid_client", refresh)
			r.want(http.StatusUnauthorized, "invalid_client", r.introspect(c.Client, c.secret, access))
			continue
		}
		r.want(http.StatusBadRequest, "invalid_grant", refresh)
		inactive(t, status+": the client", r.introspect(c.Client, c.secret, access))
	}
}

// The lifetimes of a client count for its tokens alone, and for what a refresh issues, too.
func TestLifetimesOfAClient(t *testing.T) {
	r := newRig(t, "")
	short := r.register(oauth.Settings{"access_token_lifetime": 120, "id_token_lifetime": 90, "refresh_token_lifetime": 600})
	other := r.register(nil)
	b := r.signedIn(r.user("ada@pico.example"))
	lives := func(c registered, tokens response, access, id float64) {
		t.Helper()
		for name, want := range map[string]float64{"access_token": access, "id_token": id} {
			_, claims := r.claims(tokens.text(name))
			if got := claims["exp"].(float64) - claims["iat"].(float64); got != want {
				t.Errorf("%s of %s: %v seconds, want %v", name, c.Name, got, want)
			}
		}
		if tokens.body["expires_in"] != access {
			t.Errorf("expires_in is %v, want %v", tokens.body["expires_in"], access)
		}
	}
	refresh := func(c registered, tokens response) response {
		t.Helper()
		return r.token(c, "grant_type", "refresh_token", "refresh_token", tokens.text("refresh_token"))
	}
	scope := []string{"scope", "openid offline_access"}
	tokens, long := r.want(200, "", r.redeem(short, b.code(short, scope...))), r.want(200, "", r.redeem(other, b.code(other, scope...)))
	lives(other, long, 900, 900)
	for range 2 {
		lives(short, tokens, 120, 90)
		r.Clock.Advance(599 * time.Second) // each refresh starts it again
		tokens = r.want(200, "", refresh(short, tokens))
	}
	r.Clock.Advance(601 * time.Second)
	r.want(http.StatusBadRequest, "invalid_grant", refresh(short, tokens))
	r.want(200, "", refresh(other, long))
}

// What single claims, custom ones and scopes ask for is joined at userinfo, from the user
// as they are at that moment; custom claims come with every scope.
func TestCustomClaimsAndTheClaimsParameterTogetherAtUserInfo(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@pico.example")
	c := r.register(oauth.Settings{"scopes": []string{"openid", "email"}, "claims": map[string]any{
		"department": map[string]any{"path": "admin.department"}, "edition": map[string]any{"value": json.RawMessage(`"pro"`)},
	}})
	department := func(name string) {
		t.Helper()
		_, err := r.Directory.Update(t.Context(), system, u.ID, directory.UserChange{Metadata: map[string]json.RawMessage{"admin": json.RawMessage(`{"department":"` + name + `"}`)}})
		r.ok(err)
	}
	department("Research")
	asked := `{"userinfo":{"email":{"essential":true},"name":null}}`
	tokens := r.want(200, "", r.redeem(c, r.signedIn(u).code(c, "scope", "openid", "claims", asked)))
	for _, name := range []string{"Research", "Sales"} {
		department(name)
		info := r.userinfo(tokens).body
		if info["sub"] != u.ID || info["email"] != "ada@pico.example" || info["email_verified"] != nil || info["department"] != name || info["edition"] != "pro" {
			t.Errorf("%s: %v", name, info)
		}
		if info["name"] != nil {
			t.Error("a claim of a scope that the client is not registered for is given")
		}
	}
	r.ok(r.Directory.Delete(t.Context(), system, u.ID, ""))
	req := r.request(http.MethodGet, "/oauth2/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+tokens.text("access_token"))
	r.want(http.StatusUnauthorized, "invalid_token", r.do(req))
}
