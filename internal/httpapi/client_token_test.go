package httpapi

import (
	"net/http"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// A client that a user signs in to must not administer the server with what it holds of
// them: only a token for this API with the right scope opens a route.
func TestAClientsTokenOpensTheAPIByItsAudienceAndScopeOnly(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Superadmin, "default")
	access, _ := r.session(u)
	a, err := r.tokens.Verify(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	c := r.application(identity.Superadmin, "")
	token := func(scope, audience string) string { return r.ofClient(c, u, a.SessionID, scope, audience) }
	for name, bearer := range map[string]string{
		"another audience":           token("openid account admin", "https://api.example"),
		"the audience of services":   token("openid account admin", testAudience),
		"other scopes":               token("openid profile accounts admins", testIssuer()),
		"no scope":                   token("", testIssuer()),
		"client credentials":         r.ofClient(c, identity.User{}, "", "account", testIssuer()),
		"client credentials, others": r.ofClient(c, identity.User{}, "", "admin", testAudience),
	} {
		for _, path := range []string{"/api/v1/auth/me", "/api/v1/auth/users", "/api/v1/auth/sessions", "/api/v1/groups"} {
			if got := r.call(http.MethodGet, path, bearer, ""); got.status != http.StatusForbidden || got.text("error") != "insufficient_scope" {
				t.Errorf("%s: %s: %d %s", name, path, got.status, got.raw)
			}
		}
	}
	if got := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/me", token("account", testIssuer()), "")); got.text("id") != u.ID {
		t.Errorf("%s", got.raw)
	}
	r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/users", token("admin", testIssuer()), ""))
	r.want(http.StatusForbidden, r.call(http.MethodGet, "/api/v1/auth/users", token("account", testIssuer()), ""))
	r.want(http.StatusForbidden, r.call(http.MethodGet, "/api/v1/auth/me", token("admin", testIssuer()), ""))
}

// OpenID Connect Core 2, Back-Channel Logout 2.4: tokens that tell a client about a user
// open nothing.
func TestAnIDTokenOpensNothing(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Superadmin, "default")
	c := r.application(identity.Superadmin, "")
	now := r.now().Unix()
	for _, typ := range []string{jose.TypeJWT, jose.TypeAccessToken} {
		for name, more := range map[string]any{"nonce": "n", "at_hash": "h", "c_hash": "h"} {
			for _, audience := range []string{c.ID, testIssuer(), testAudience} {
				claims := map[string]any{"iss": testIssuer(), "sub": u.ID, "aud": audience, "iat": now, "exp": now + 60, "jti": "x", name: more}
				if typ == jose.TypeAccessToken {
					claims["client_id"], claims["scope"] = c.ID, "openid account admin"
				}
				signed, err := r.signer().Sign(typ, []byte(toJSON(t, claims)))
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"/api/v1/auth/me", "/api/v1/auth/users"} {
					if got := r.call(http.MethodGet, path, signed, ""); got.status != http.StatusUnauthorized {
						t.Errorf("%s with %s for %s: %s: %d %s", typ, name, audience, path, got.status, got.raw)
					}
				}
			}
		}
	}
}

// What a client holds ends with its session and with the client, and the audit log says
// which client acted for which user.
func TestAClientActsForItsUserWhileBothMay(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.OrgAdmin, "default")
	access, _ := r.session(u)
	a, err := r.tokens.Verify(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	c := r.application(identity.Superadmin, "")
	bearer := r.ofClient(c, u, a.SessionID, "account admin", testIssuer())
	r.want(http.StatusOK, r.call(http.MethodPatch, "/api/v1/auth/me", bearer, `{"display_name":"By a client"}`))
	r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/groups", bearer, `{"name":"made by a client"}`))
	events, err := r.store.Events(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, ev := range events {
		if ev.Action == identity.ActionUpdateUser || ev.Action == identity.ActionCreateGroup {
			if seen++; ev.ActorKind != identity.ActorClient || ev.ActorID != c.ID || ev.OnBehalfOf != u.ID {
				t.Errorf("%+v", ev)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d events", seen)
	}
	r.logout(access)
	r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/me", bearer, ""))
	r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/users", bearer, ""))
}
