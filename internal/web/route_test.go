package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRouteThatDoesNotDeclareItsRulesIsNotServed(t *testing.T) {
	refuse := plainGroup("").Refuse
	for name, c := range map[string]struct {
		access     Access
		credential Credential
	}{
		"no access rule":               {0, Bearer},
		"an unknown access rule":       {Account + 1, Bearer},
		"no credential":                {Anonymous, 0},
		"a user by no credential":      {User, NoCredential},
		"a cookie or a token":          {User, Cookie | Bearer},
		"nothing or a token":           {Anonymous, NoCredential | Bearer},
		"no Authorize":                 {User, Bearer},
		"no Authorize for superadmins": {Superadmin, Cookie},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("mounted")
				}
			}()
			g := plainGroup("", Route{Method: "GET", Pattern: "/x", Access: c.access, Credential: c.credential, Handler: http.HandlerFunc(ok)})
			if strings.HasPrefix(name, "no Authorize") {
				g = Group{Routes: g.Routes, Refuse: refuse}
			}
			_, _ = New(Config{Issuer: "https://host.example", Groups: []Group{g}})
		})
	}
}

func TestRouterNeedsAGroupWithoutPrefix(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made")
		}
	}()
	_, _ = New(Config{Issuer: "https://host.example", Groups: []Group{plainGroup("/oauth2")}})
}

func TestRouterRefusesAnInvalidIssuer(t *testing.T) {
	for _, issuer := range []string{"", "host", "://", "https://", "ftp:x"} {
		if _, err := New(Config{Issuer: issuer, Groups: []Group{plainGroup("")}}); err == nil {
			t.Errorf("%q is accepted", issuer)
		}
	}
}

// The rule of a route is checked before its handler is called, except for Anonymous.
func TestHandlerGetsOnlyRequestsThatTheRuleAdmits(t *testing.T) {
	var asked []Access
	g := plainGroup("")
	authorize := g.Authorize
	g.Authorize = func(r *http.Request, rule Access) (*http.Request, error) {
		asked = append(asked, rule)
		return authorize(r, rule)
	}
	for a := Anonymous; a <= Service; a++ {
		c := Bearer
		if a == Anonymous {
			c = NoCredential
		}
		g.Routes = append(g.Routes, Route{Method: "GET", Pattern: fmt.Sprintf("/%d", a), Access: a, Credential: c, Handler: http.HandlerFunc(ok)})
	}
	rt := mustRouter(t, Config{Issuer: "https://host.example", Groups: []Group{g}})
	for a := Anonymous; a <= Service; a++ {
		asked = nil
		want := http.StatusUnauthorized
		if a == Anonymous {
			want = http.StatusOK
		}
		path := fmt.Sprintf("/%d", a)
		if w := get(rt, path); w.Code != want {
			t.Errorf("%v: %d, want %d", a, w.Code, want)
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer good")
		if w := send(rt, r); w.Code != http.StatusOK {
			t.Errorf("%v with the token: %d", a, w.Code)
		}
		if (a == Anonymous) != (len(asked) == 0) || (len(asked) > 0 && asked[0] != a) {
			t.Errorf("%v: Authorize was called for %v", a, asked)
		}
	}
}

// A browser sends only cookies with requests from other sites, so exactly the
// routes with a cookie are protected.
func TestCookieRouteRefusesOtherSites(t *testing.T) {
	routes := []Route{}
	credentials := map[string]Credential{
		"/none": NoCredential, "/bearer": Bearer, "/refresh": RefreshToken, "/either": Bearer | RefreshToken, "/client": ClientSecret, "/cookie": Cookie,
	}
	for pattern, c := range credentials {
		for _, method := range []string{"GET", "POST"} {
			routes = append(routes, Route{Method: method, Pattern: pattern, Access: Anonymous, Credential: c, Handler: http.HandlerFunc(ok)})
		}
	}
	rt, _ := newRouter(t, routes...)
	for _, c := range []struct {
		name    string
		method  string
		headers map[string]string
		cross   bool
	}{
		{"another site", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, true},
		{"another subdomain", "POST", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.host.example"}, true},
		{"another site, old browser", "POST", map[string]string{"Origin": "https://evil.example"}, true},
		{"a sandboxed page", "POST", map[string]string{"Origin": "null"}, true},
		{"the issuer by plain http", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://host.example"}, true},
		{"this site", "POST", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://host.example"}, false},
		{"this site, behind a proxy with another host name", "POST", map[string]string{"Origin": "https://host.example"}, false},
		{"typed by the user", "POST", map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"not a browser", "POST", nil, false},
		{"a link on another site", "GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
	} {
		for pattern, credential := range credentials {
			r := httptest.NewRequest(c.method, pattern, nil) // its Host is example.com
			for name, value := range c.headers {
				r.Header.Set(name, value)
			}
			want := http.StatusOK
			if c.cross && credential == Cookie {
				want = http.StatusForbidden
			}
			if w := send(rt, r); w.Code != want {
				t.Errorf("%s, %s %s: %d %s, want %d", c.name, c.method, pattern, w.Code, w.Body, want)
			}
		}
	}
}

// TestEachGroupRefusesInItsOwnForm mounts two protocols with different forms of
// errors and causes every error in both.
func TestEachGroupRefusesInItsOwnForm(t *testing.T) {
	group := func(prefix, form string) Group {
		g := Group{Prefix: prefix}
		g.Refuse = func(w http.ResponseWriter, _ *http.Request, err error) {
			status := http.StatusServiceUnavailable
			if e, ok := err.(*Error); ok { //nolint:errorlint // the router wraps none
				status = e.Status
			}
			w.Header().Set("Content-Type", form)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, form+": "+err.Error())
		}
		g.Authorize = func(*http.Request, Access) (*http.Request, error) {
			return nil, &Error{http.StatusTooManyRequests, "rate_limited", "later"}
		}
		route := func(method, path string, access Access, credential Credential, handle http.HandlerFunc) {
			g.Routes = append(g.Routes, Route{Method: method, Pattern: prefix + path, Access: access, Credential: credential, MaxBody: 1 << 10, Handler: handle})
		}
		route("POST", "/body", Anonymous, NoCredential, func(w http.ResponseWriter, r *http.Request) {
			if _, err := ReadBody(w, r, "text/plain", true); err != nil {
				g.Refuse(w, r, err)
			}
		})
		route("POST", "/panic", Anonymous, NoCredential, func(http.ResponseWriter, *http.Request) { panic("x") })
		route("POST", "/away", Anonymous, NoCredential, func(w http.ResponseWriter, r *http.Request) { g.Refuse(w, r, io.EOF) })
		route("POST", "/busy", User, Bearer, ok)
		route("POST", "/cookie", Anonymous, Cookie, ok)
		return g
	}
	for _, issuer := range []string{"https://host.example", "https://host.example/auth"} {
		// A document of the second protocol outside its prefix, as discovery is.
		other := group("/oauth2", "form/oauth")
		other.Routes = append(other.Routes, open("GET", "/.well-known/other", func(http.ResponseWriter, *http.Request) { panic("x") }))
		rt := mustRouter(t, Config{Issuer: issuer, Groups: []Group{group("", "form/problem"), other}})
		for _, base := range []string{"", BasePath(issuer)} {
			for _, c := range []struct {
				method, path string
				body         string
				status       int
			}{
				{"GET", "/nothing", "", 404},
				{"GET", "/body", "", 405},
				{"POST", "/body", strings.Repeat("x", 1<<10+1), 413},
				{"POST", "/body", "", 415},
				{"POST", "/busy", "", 429},
				{"POST", "/cookie", "", 403},
				{"POST", "/panic", "", 500},
				{"POST", "/away", "", 503},
			} {
				for prefix, form := range map[string]string{"": "form/problem", "/oauth2": "form/oauth"} {
					r := httptest.NewRequest(c.method, base+prefix+c.path, strings.NewReader(c.body))
					r.Header.Set("Sec-Fetch-Site", "cross-site")
					w := send(rt, r)
					if w.Code != c.status || w.Header().Get("Content-Type") != form || !strings.HasPrefix(w.Body.String(), form) {
						t.Errorf("%s %s: %d %v %s, want %d %s", c.method, r.URL, w.Code, w.Header(), w.Body, c.status, form)
					}
					if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Request-Id") == "" {
						t.Errorf("%s %s: %v", c.method, r.URL, w.Header())
					}
				}
			}
			for path, form := range map[string]string{"/oauth2": "form/oauth", "/oauth2x": "form/problem", "/oauth/2": "form/problem"} {
				if w := get(rt, base+path); w.Code != 404 || w.Header().Get("Content-Type") != form {
					t.Errorf("%s: %d %v, want %s", base+path, w.Code, w.Header(), form)
				}
			}
			for method, status := range map[string]int{"GET": 500, "POST": 405} {
				if w := send(rt, httptest.NewRequest(method, base+"/.well-known/other", nil)); w.Code != status || w.Header().Get("Content-Type") != "form/oauth" {
					t.Errorf("%s of a route outside the prefix: %d %v", method, w.Code, w.Header())
				}
			}
		}
	}
}

func TestRouteIsObservedByItsPattern(t *testing.T) {
	var got string
	rt := mustRouter(t, Config{
		Issuer: "https://host.example/auth", Groups: []Group{plainGroup("", open("GET", "/groups/{id}", ok), open("GET", "/{$}", ok))},
		Observe: func(route string, status int, _ time.Duration) { got = fmt.Sprint(route, " ", status) },
	})
	for path, want := range map[string]string{
		"/groups/1234":      "GET /groups/{id} 200",
		"/auth/groups/1234": "GET /groups/{id} 200",
		"/":                 "GET /{$} 200",
		"/auth/":            "GET /{$} 200",
		"/nothing":          "unmatched 404",
		"//":                "unmatched 404",
	} {
		if get(rt, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
