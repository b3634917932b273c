package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
)

// revoke asks as the client.
func (r *rig) revoke(c oauth.Client, secret, presented string, more ...string) response {
	r.t.Helper()
	values := url.Values{"token": {presented}}
	for _, hint := range more {
		values.Set("token_type_hint", hint)
	}
	return r.do(basic(r.request(http.MethodPost, "/oauth2/revoke", values), c, secret))
}

// revoked are the ids of the access tokens that are listed as revoked.
func (r *rig) revoked() string {
	r.t.Helper()
	var ids []string
	r.ok(r.Tokens.Revocations().Update(r.t.Context(), func(all []token.Revocation) {
		for _, v := range all {
			ids = append(ids, v.JTI)
		}
	}))
	return strings.Join(ids, " ")
}

// RFC 7009 section 2.1: either token ends what was issued together, and access tokens
// that others verify are listed.
func TestRFC7009Section21EitherTokenEndsTheFamily(t *testing.T) {
	for _, hint := range []string{"", "refresh_token", "access_token", "unknown"} { // a hint, no more
		r := newRig(t, "")
		actor, own := r.session(r.member(identity.Viewer, "default"))
		c, secret := r.application(nil)
		for _, of := range []func(token.Pair) string{
			func(p token.Pair) string { return p.RefreshToken }, func(p token.Pair) string { return p.AccessToken },
		} {
			pair, untouched := r.tokens(c, actor, "openid", r.issuer), r.tokens(c, actor, "openid", r.issuer)
			a, err := r.Tokens.Verify(t.Context(), pair.AccessToken)
			r.ok(err)
			if got := r.revoke(c, secret, of(pair), hint); got.status != http.StatusOK || got.raw != "" {
				t.Fatalf("%d %s", got.status, got.raw)
			}
			r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(pair.AccessToken))
			if !strings.Contains(r.revoked(), a.ID) {
				t.Error("the access token is not listed as revoked")
			}
			r.want(http.StatusOK, "", r.userInfo(untouched.AccessToken)) // another family
			if again := r.revoke(c, secret, of(pair), hint); again.status != http.StatusOK {
				t.Errorf("again: %d %s", again.status, again.raw)
			}
		}
		claims, err := r.Tokens.Verify(t.Context(), own)
		r.ok(err)
		if _, err := r.Tokens.Holder(t.Context(), claims); err != nil {
			t.Errorf("the session of the user ended: %v", err)
		}
	}
}

// RFC 7009 sections 2.1 and 2.2: a client revokes its own tokens only, and an invalid one
// is no error.
func TestRFC7009Section22InvalidAndForeignTokensAreNoError(t *testing.T) {
	r := newRig(t, "")
	actor, own := r.session(r.member(identity.Viewer, "default"))
	c, _ := r.application(nil)
	other, otherSecret := r.application(nil)
	pair := r.tokens(c, actor, "openid", r.issuer)
	for _, presented := range []string{pair.AccessToken, pair.RefreshToken, own, "garbage", "a.b.c", strings.Repeat("x", 10_000)} {
		if a := r.revoke(other, otherSecret, presented); a.status != http.StatusOK || a.raw != "" {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	r.want(http.StatusOK, "", r.userInfo(pair.AccessToken))
	claims, err := r.Tokens.Verify(t.Context(), own)
	r.ok(err)
	if _, err := r.Tokens.Holder(t.Context(), claims); err != nil {
		t.Errorf("another client ended the session of a JSON login: %v", err)
	}
	r.want(http.StatusUnauthorized, "invalid_client", r.revoke(other, "wrong", pair.AccessToken))
	r.want(http.StatusBadRequest, "invalid_request", r.do(basic(r.request(http.MethodPost, "/oauth2/revoke", url.Values{"x": {"y"}}), other, otherSecret)))
}

// RFC 7009 section 5: a public client revokes by its client_id.
func TestRFC7009Section5PublicClients(t *testing.T) {
	r := newRig(t, "")
	actor, _ := r.session(r.member(identity.Viewer, "default"))
	c, _ := r.application(oauth.Settings{"kind": "spa"})
	pair := r.tokens(c, actor, "openid", r.issuer)
	req := r.request(http.MethodPost, "/oauth2/revoke", url.Values{"token": {pair.RefreshToken}, "client_id": {c.ID}})
	req.Header.Set("Origin", "https://app.example")
	if a := r.do(req); a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("%d %v", a.status, a.header)
	}
	r.want(http.StatusUnauthorized, "invalid_token", r.userInfo(pair.AccessToken))
}
