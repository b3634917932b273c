package oidc_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oidc"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/web"
)

// rig is a provider over real services and a real database, behind the router, on a
// listener of its own.
type rig struct {
	*testrig.Rig
	t      testing.TB
	server *httptest.Server
	issuer string
}

// newRig serves an issuer with the path, which may be empty.
func newRig(t testing.TB, path string) *rig {
	t.Helper()
	r := &rig{t: t}
	var router http.Handler
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { router.ServeHTTP(w, req) }))
	t.Cleanup(r.server.Close)
	r.issuer = r.server.URL + path
	r.Rig = testrig.Open(t, func(c *testrig.Config) {
		c.Tokens.Issuer, c.Keys.Algorithms = r.issuer, []jose.Algorithm{jose.RS256}
	})
	provider := oidc.New(oidc.Config{
		Issuer: r.issuer, Now: r.Clock.Now, Keys: r.Keys, Clients: r.Clients, Requests: r.Authorize, Sessions: r.Sessions, Tokens: r.Tokens,
	})
	mounted, err := web.New(web.Config{
		Issuer: r.issuer, Now: r.Clock.Now,
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
			body, _ := r.Keys.JWKS()
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

// want fails the test unless the response has the status and, if it is not empty, the
// error code.
func (r *rig) want(status int, code string, a response) response {
	r.t.Helper()
	if a.status != status || a.text("error") != code {
		r.t.Fatalf("got %d %s, want %d %s: %s", a.status, a.text("error"), status, code, a.raw)
	}
	return a
}
