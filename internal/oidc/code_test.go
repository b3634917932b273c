package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// code signs the user in at the client and returns the code.
func (b *browser) code(c registered, more ...string) string {
	b.t.Helper()
	to := b.goes(authorization(c.Client, more...))
	if to.Query().Get("code") == "" {
		b.t.Fatalf("the browser goes to %s", to)
	}
	return to.Query().Get("code")
}

// redeem exchanges the code of authorization.
func (r *rig) redeem(c registered, code string, more ...string) response {
	r.t.Helper()
	return r.token(c, append([]string{
		"grant_type", "authorization_code", "code", code, "redirect_uri", c.RedirectURIs[0], "code_verifier", verifier,
	}, more...)...)
}

// signedIn is a browser in which the user is signed in.
func (r *rig) signedIn(u identity.User) *browser {
	r.t.Helper()
	b := r.browser()
	b.signIn(u, "")
	return b
}

// Outside clients accept what they get: coreos/go-oidc checks the ID token with the
// published keys, and golang.org/x/oauth2 refreshes.
func TestOutsideClientsSignUsersIn(t *testing.T) {
	r := newRig(t, "")
	for name, settings := range map[string]oauth.Settings{
		"confidential": {"kind": "web"},
		"public":       {"kind": "spa"},
		"EdDSA":        {"kind": "web", "id_token_signed_response_alg": "EdDSA"},
		"in the body":  {"kind": "web", "token_endpoint_auth_method": "client_secret_post"},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.register(settings)
			u := r.user(strings.ReplaceAll(name, " ", "") + "@pico.example")
			ctx := oidc.ClientContext(t.Context(), http.DefaultClient)
			provider, err := oidc.NewProvider(ctx, r.issuer)
			if err != nil {
				t.Fatal(err)
			}
			config := oauth2.Config{
				ClientID: c.ID, ClientSecret: c.secret, Endpoint: provider.Endpoint(), RedirectURL: callback,
				Scopes: []string{"openid", "profile", "email", "offline_access"},
			}
			pkce := oauth2.GenerateVerifier()
			to := r.signedIn(u).goes(config.AuthCodeURL("state", oauth2.S256ChallengeOption(pkce), oidc.Nonce("nonce-1")))
			tokens, err := config.Exchange(ctx, to.Query().Get("code"), oauth2.VerifierOption(pkce))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tokens.Extra("id_token").(string)
			check := provider.Verifier(&oidc.Config{ClientID: c.ID, Now: r.Clock.Now})
			id, err := check.Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject != u.ID || id.Nonce != "nonce-1" || id.VerifyAccessToken(tokens.AccessToken) != nil {
				t.Errorf("%+v", id)
			}
			tokens.Expiry = time.Now().Add(-time.Hour)
			again, err := config.TokenSource(ctx, tokens).Token()
			if err != nil {
				t.Fatal(err)
			}
			raw, _ = again.Extra("id_token").(string)
			if id, err = check.Verify(ctx, raw); err != nil || id.Subject != u.ID || id.Nonce != "" || again.RefreshToken == tokens.RefreshToken {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

// OpenID Connect Core 2 and 3.1.3.6: the claims of an ID token.
func TestOIDCCoreSection2IDToken(t *testing.T) {
	r := newRig(t, "")
	c, u := r.register(nil), r.user("ada@pico.example")
	at := r.Clock.Now()
	b := r.signedIn(u)
	r.Clock.Advance(time.Minute)
	a := r.want(200, "", r.redeem(c, b.code(c, "scope", "openid email", "nonce", "n-0S6_WzA2Mj")))
	header, id := r.claims(a.text("id_token"))
	_, access := r.claims(a.text("access_token"))
	now := float64(r.Clock.Now().Unix())
	for name, want := range map[string]any{
		"iss": r.issuer, "sub": u.ID, "aud": c.ID, "azp": c.ID, "iat": now, "exp": now + 900, "auth_time": float64(at.Unix()),
		"nonce": "n-0S6_WzA2Mj", "acr": identity.ACROneFactor, "sid": access["sid"], "email": "ada@pico.example", "email_verified": false,
	} {
		if id[name] != want {
			t.Errorf("%s is %v, want %v", name, id[name], want)
		}
	}
	if header["alg"] != "RS256" || header["typ"] != "JWT" || id["at_hash"] == nil || id["amr"].([]any)[0] != "pwd" || id["name"] != nil {
		t.Errorf("%v %v", header, id)
	}
	for name, want := range map[string]any{
		"sub": u.ID, "aud": r.issuer, "client_id": c.ID, "scope": "openid email", "auth_time": float64(at.Unix()), "acr": identity.ACROneFactor,
		"email": "ada@pico.example", "nonce": nil, "at_hash": nil, "role": nil, "groups": nil, "org_id": nil,
	} {
		if access[name] != want {
			t.Errorf("access token: %s is %v, want %v", name, access[name], want)
		}
	}
	if a.text("scope") != "openid email" || a.text("refresh_token") == "" {
		t.Error(a.raw)
	}
}

// RFC 6749 section 4.1.3 and RFC 9700 section 2.1.1: a code is worth something to its
// client, with its redirect URI and its verifier, once.
func TestRFC6749Section413CodeIsBound(t *testing.T) {
	r := newRig(t, "")
	c, other := r.register(nil), r.register(nil)
	loose := r.register(oauth.Settings{"require_pkce": false})
	b := r.signedIn(r.user("ada@pico.example"))
	code := b.code(c)
	exchange := func(by registered, code string, pairs ...string) response {
		t.Helper()
		return r.token(by, append([]string{"grant_type", "authorization_code", "code", code}, pairs...)...)
	}
	uri, proof := []string{"redirect_uri", callback}, []string{"code_verifier", verifier}
	for name, a := range map[string]response{
		"code injection: another client": exchange(other, code, append(uri, proof...)...),
		"another redirect URI":           exchange(c, code, append([]string{"redirect_uri", callback + "/"}, proof...)...),
		"no redirect URI":                exchange(c, code, proof...),
		"another verifier":               exchange(c, code, append([]string{"code_verifier", strings.Repeat("x", 43)}, uri...)...),
		"the challenge as verifier":      exchange(c, code, append([]string{"code_verifier", challenge}, uri...)...),
		"no verifier":                    exchange(c, code, uri...),
		"unknown":                        exchange(c, "unknown", append(uri, proof...)...),
	} {
		if a.status != 400 || a.text("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	r.want(400, "invalid_request", exchange(c, "", append(uri, proof...)...))
	r.want(200, "", exchange(c, code, append(uri, proof...)...)) // none of them used it
	// PKCE downgrade: a challenge that was removed on the way.
	plain := url.Values{"client_id": {loose.ID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}}
	without := func() string { return b.goes("/oauth2/authorize?" + plain.Encode()).Query().Get("code") }
	r.want(400, "invalid_grant", exchange(loose, without(), append(uri, proof...)...))
	r.want(200, "", exchange(loose, without(), uri...))
	late := b.code(c)
	r.Clock.Advance(61 * time.Second)
	r.want(400, "invalid_grant", exchange(c, late, append(uri, proof...)...))
}

// RFC 6749 section 4.1.2: a second use of a code ends what was issued for it.
func TestRFC6749Section412CodeReplayEndsWhatWasIssued(t *testing.T) {
	r := newRig(t, "")
	c, u := r.register(nil), r.user("ada@pico.example")
	b := r.signedIn(u)
	code := b.code(c)
	first := r.want(200, "", r.redeem(c, code))
	other := r.want(200, "", r.redeem(c, b.code(c)))
	r.want(400, "invalid_grant", r.redeem(c, code))
	r.want(400, "invalid_grant", r.token(c, "grant_type", "refresh_token", "refresh_token", first.text("refresh_token")))
	r.want(200, "", r.token(c, "grant_type", "refresh_token", "refresh_token", other.text("refresh_token")))
}
