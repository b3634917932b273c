package oidc_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/oidc"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var remote = identity.Actor{Address: "192.0.2.7", Network: "192.0.2.0/24", RequestID: "request-1"}

const password = "correct horse battery"

// rig is a provider over real services and a real database, behind the router, on a
// listener of its own.
type rig struct {
	*testrig.Rig
	t      testing.TB
	server *httptest.Server
	issuer string
	url    string                      // of the database
	posted oauth.AuthorizationResponse // the last one by form_post
	log    testrig.Buffer              // of the requests
}

// newRig serves an issuer with the path, which may be empty.
func newRig(t testing.TB, path string, opts ...testrig.Option) *rig {
	t.Helper()
	r := &rig{t: t}
	var router http.Handler
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { router.ServeHTTP(w, req) }))
	t.Cleanup(r.server.Close)
	r.issuer = r.server.URL + path
	r.url = storetest.MigratedSQLite(t)
	r.Rig = testrig.New(t, r.url, append(opts, func(c *testrig.Config) {
		c.Tokens.Issuer, c.Keys.Algorithms = r.issuer, []jose.Algorithm{jose.RS256}
	})...)
	provider := oidc.New(oidc.Config{
		Issuer: r.issuer, Now: r.Clock.Now, Keys: r.Keys, Clients: r.Clients, Requests: r.Authorize, Sessions: r.Sessions, Tokens: r.Tokens,
		Pages: oidc.Pages{
			FormPost:       func(_ http.ResponseWriter, _ *http.Request, a oauth.AuthorizationResponse) { r.posted = a },
			ConfirmSignOut: confirmSignOut, SignedOut: signedOut,
		},
	})
	mounted, err := web.New(web.Config{
		Issuer: r.issuer, Now: r.Clock.Now, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Groups: []web.Group{{Routes: []web.Route{keySet(r)}, Refuse: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusNotFound) }}, provider.Group()},
	})
	if err != nil {
		t.Fatal(err)
	}
	router = mounted
	return r
}

// keySet is a route of the JSON API that discovery names.
func keySet(r *rig) web.Route {
	return web.Route{
		Method: http.MethodGet, Pattern: "/api/v1/auth/jwks", Access: web.Anonymous, Credential: web.NoCredential,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			body := r.Keys.Published().JWKS()
			_, _ = w.Write(body)
		}),
	}
}

// response is the response to a request.
type response struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// text is the field of that name, empty when it is no string.
func (a response) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// do sends a request without following redirects.
func (r *rig) do(req *http.Request) response {
	r.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	a := response{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			r.t.Fatalf("%s %s: %v in %s", req.Method, req.URL, err, raw)
		}
	}
	return a
}

// request makes a request to a path of the server; with a form its body is that.
func (r *rig) request(method, path string, form url.Values) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func (r *rig) get(path string) response {
	r.t.Helper()
	return r.do(r.request(http.MethodGet, path, nil))
}

func (r *rig) post(path string, form url.Values) response {
	r.t.Helper()
	return r.do(r.request(http.MethodPost, path, form))
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// member creates a user with a profile.
func (r *rig) member(role identity.Role, org string) identity.User {
	r.t.Helper()
	n := directory.NewUser{Email: "ada." + rand.Text() + "@example.com", Password: password, DisplayName: "Ada Lovelace", Role: string(role), OrgID: org}
	u, err := r.Directory.CreateUser(r.t.Context(), system, n)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err = r.Directory.Update(r.t.Context(), system, u.ID, directory.UserChange{Profile: map[string]string{"given_name": "Ada", "locale": "en-GB"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// session starts a session of the user.
func (r *rig) session(u identity.User) (actor identity.Actor, access string) {
	r.t.Helper()
	proof, err := r.Login.Password(r.t.Context(), remote, u.Email, password)
	if err != nil {
		r.t.Fatal(err)
	}
	pair, err := r.Sessions.Start(r.t.Context(), remote, proof)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.Tokens.Verify(r.t.Context(), pair.AccessToken)
	if err != nil {
		r.t.Fatal(err)
	}
	actor = remote.AsUser(u.ID)
	actor.SessionID = a.SessionID
	return actor, pair.AccessToken
}

// application is register, without a record.
func (r *rig) application(settings oauth.Settings) (oauth.Client, string) {
	r.t.Helper()
	c := r.register(settings)
	return c.Client, c.secret
}

// tokens are what the client gets when the user of the session allows it the scope.
func (r *rig) tokens(c oauth.Client, actor identity.Actor, scope, audience string) token.Pair {
	r.t.Helper()
	g := token.Grant{
		ClientID: c.ID, Scope: scope, Audience: audience, Typ: jose.TypeAccessToken, Refresh: true,
		AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour,
	}
	d := store.Device{UserCode: oauth.NewUserCode([8]uint32(random(8))), ClientID: c.ID, Scope: scope, ExpiresAt: r.Clock.Now().Add(time.Minute)}
	pair, err := r.Tokens.Mint(r.t.Context(), g, func(ctx context.Context, first *store.NewFamily) (store.Subject, error) {
		if _, err := r.Store.InsertDevice(ctx, d, d.UserCode); err != nil {
			return store.Subject{}, err
		}
		if err := r.Store.DecideDevice(ctx, store.Act{Action: identity.ActionDevice, By: actor}, d.UserCode, true); err != nil {
			return store.Subject{}, err
		}
		return r.Store.RedeemDevice(ctx, actor, d.UserCode, *first)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return pair
}

func random(n int) (all []uint32) {
	for range n {
		all = append(all, mathrand.Uint32())
	}
	return all
}

// basic authenticates the client of a request.
func basic(req *http.Request, c oauth.Client, secret string) *http.Request {
	req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(secret))
	return req
}

// want fails the test unless the response has the status and, if it is not empty, the
// error code.
func (r *rig) want(status int, code string, a response) response {
	r.t.Helper()
	if a.status != status || a.text("error") != code {
		r.t.Fatalf("got %d %s, want %d %s: %s", a.status, a.text("error"), status, code, a.raw)
	}
	return a
}
