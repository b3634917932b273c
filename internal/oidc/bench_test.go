package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// serve requests a route without a connection.
func (r *rig) serve(b testing.TB, status int, req *http.Request) *httptest.ResponseRecorder {
	b.Helper()
	rec := httptest.NewRecorder()
	r.server.Config.Handler.ServeHTTP(rec, req)
	if rec.Code != status {
		b.Fatalf("%s: %d %s", req.URL, rec.Code, rec.Body)
	}
	return rec
}

func formRequest(path string, c registered, form url.Values) *http.Request {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return basic(req, c.Client, c.secret)
}

// BenchmarkUserInfo, BenchmarkIntrospection: compare with BenchmarkMe of httpapi.
func BenchmarkUserInfo(b *testing.B) {
	r := newRig(b, "")
	c := r.register(nil)
	actor, _ := r.session(r.member(identity.Viewer, "default"))
	req := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+r.tokens(c.Client, actor, "openid profile email", r.issuer).AccessToken)
	b.ReportAllocs()
	for b.Loop() {
		r.serve(b, http.StatusOK, req)
	}
}

func BenchmarkIntrospection(b *testing.B) {
	r := newRig(b, "")
	c := r.register(nil)
	actor, _ := r.session(r.member(identity.Viewer, "default"))
	form := url.Values{"token": {r.tokens(c.Client, actor, "openid profile email", r.issuer).AccessToken}}
	b.ReportAllocs()
	for b.Loop() {
		r.serve(b, http.StatusOK, formRequest("/oauth2/introspect", c, form))
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	r := newRig(b, "")
	c := r.machine(nil)
	form := url.Values{"grant_type": {"client_credentials"}}
	b.ReportAllocs()
	for b.Loop() {
		r.serve(b, http.StatusOK, formRequest("/oauth2/token", c, form))
	}
}

// BenchmarkCodeFlow is the authorization endpoint of a user who is signed in, and the
// exchange of the code for tokens.
func BenchmarkCodeFlow(b *testing.B) {
	r := newRig(b, "")
	c := r.register(oauth.Settings{"id_token_signed_response_alg": "EdDSA"})
	request := r.requestsOf(r.member(identity.Viewer, "default"), c)
	b.ReportAllocs()
	for b.Loop() {
		r.Clock.Advance(time.Second) // as many as a network may
		to, err := url.Parse(r.serve(b, http.StatusSeeOther, request()).Header().Get("Location"))
		r.ok(err)
		r.serve(b, http.StatusOK, formRequest("/oauth2/token", c, url.Values{
			"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {callback},
			"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		}))
	}
}

// requestsOf makes authorization requests for the client of a browser in which the user is
// signed in.
func (r *rig) requestsOf(u identity.User, c registered) func() *http.Request {
	r.t.Helper()
	proof, err := r.Login.Password(r.t.Context(), remote, u.Email, password)
	r.ok(err)
	cookie, _, err := r.Sessions.StartBrowser(r.t.Context(), remote, proof, "", false)
	r.ok(err)
	query := url.Values{
		"client_id": {c.ID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	cookies, _ := web.NewCookies(r.issuer)
	set := httptest.NewRecorder()
	cookies.Set(set, web.SessionCookie, string(cookie), 0)
	return func() *http.Request {
		req := httptest.NewRequest(http.MethodGet, "/oauth2/authorize?"+query.Encode(), nil)
		req.AddCookie(set.Result().Cookies()[0])
		return req
	}
}

// A code is stored as a request that waits is, also for a user who is signed in.
func TestCodesOfANetworkAreLimited(t *testing.T) {
	r := newRig(t, "")
	request := r.requestsOf(r.member(identity.Viewer, "default"), r.register(nil))
	for range 600 {
		r.serve(t, http.StatusSeeOther, request())
	}
	r.serve(t, http.StatusTooManyRequests, request())
	r.Clock.Advance(2 * time.Minute)
	r.serve(t, http.StatusSeeOther, request())
}
