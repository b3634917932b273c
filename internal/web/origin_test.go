package web

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A preflight names no client, so it is allowed for the origins of all; the response
// is readable only where the handler allows it.
func TestPreflightsAllowTheOriginsOfClientsAndHandlersTheirOwn(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") == "https://own.example" {
			AllowOrigin(w.Header(), "https://own.example")
		}
	})
	g := plainGroup("/oauth2",
		Route{Method: "POST", Pattern: "/oauth2/token", Access: Anonymous, Credential: ClientSecret, OfClients: true, Handler: handler},
		Route{Method: "POST", Pattern: "/oauth2/introspect", Access: Anonymous, Credential: ClientSecret, Handler: http.HandlerFunc(ok)},
	)
	g.OfClient = func(_ context.Context, origin string) bool {
		return origin == "https://own.example" || origin == "https://other.example"
	}
	router, err := New(Config{Issuer: "https://host.example", Groups: []Group{plainGroup(""), g}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, origin string
		status               int
		allowed              string
	}{
		{"OPTIONS", "/oauth2/token", "https://own.example", 204, "https://own.example"},
		{"OPTIONS", "/oauth2/token", "https://other.example", 204, "https://other.example"},
		{"OPTIONS", "/oauth2/token", "https://attacker.example", 405, ""},
		{"OPTIONS", "/oauth2/introspect", "https://own.example", 405, ""},
		{"POST", "/oauth2/token", "https://own.example", 200, "https://own.example"},
		{"POST", "/oauth2/token", "https://other.example", 200, ""},
		{"POST", "/oauth2/introspect", "https://own.example", 200, ""},
		{"GET", "/oauth2/token", "https://own.example", 405, ""},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allowed || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s from %s: %d %v", c.method, c.path, c.origin, w.Code, h)
		}
		if varies := h.Values("Vary"); c.path == "/oauth2/token" && (len(varies) == 0 || varies[0] != "Origin") {
			t.Errorf("%s %s from %s: a shared cache mixes up origins: %v", c.method, c.path, c.origin, h)
		}
	}
}

// preflight asks whether a script of the origin may send a POST with the headers.
func preflight(path, origin, headers string) *http.Request {
	r := httptest.NewRequest("OPTIONS", path, nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", headers)
	return r
}

// corsRouter has a route of the API, one of clients, and a public one.
func corsRouter(t *testing.T, log *slog.Logger) *Router {
	t.Helper()
	api := plainGroup("",
		Route{Method: "POST", Pattern: "/api", Access: Anonymous, Credential: NoCredential, Handler: http.HandlerFunc(ok)},
		Route{Method: "POST", Pattern: "/page", Access: Anonymous, Credential: Cookie, Handler: http.HandlerFunc(ok)},
		Route{Method: "GET", Pattern: "/keys", Access: Anonymous, Credential: NoCredential, Public: true, Handler: http.HandlerFunc(ok)},
	)
	provider := plainGroup("/oauth2", Route{Method: "POST", Pattern: "/oauth2/token", Access: Anonymous, Credential: ClientSecret, OfClients: true, Handler: http.HandlerFunc(ok)})
	provider.OfClient = func(_ context.Context, origin string) bool { return origin == "https://spa.example" }
	router, err := New(Config{Issuer: "https://host.example", Groups: []Group{api, provider}, CORSOrigins: []string{"https://listed.example"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func TestPreflightAllowsTheHeadersThatItAsksFor(t *testing.T) {
	router := corsRouter(t, nil)
	many := strings.TrimSuffix(strings.Repeat("x,", maxAskedHeaders+1), ",")
	for asked, want := range map[string]string{
		"":                           usualHeaders,
		"authorization,content-type": usualHeaders,
		"baggage,content-type,sentry-trace,traceparent,tracestate": usualHeaders + ", baggage, sentry-trace, traceparent, tracestate",
		"x-requested-with":                       usualHeaders + ", x-requested-with",
		" X-Datadog-Trace-Id , b3":               usualHeaders + ", X-Datadog-Trace-Id, b3",
		"baggage, bad name":                      usualHeaders,
		"baggage,,b3":                            usualHeaders,
		"a:b":                                    usualHeaders,
		"x-\u00e9":                               usualHeaders,
		"traceparent\r\nset-cookie: a":           usualHeaders,
		many:                                     usualHeaders,
		strings.Repeat("x", maxAskedBytes) + "x": usualHeaders,
	} {
		for path, origin := range map[string]string{"/api": "https://listed.example", "/oauth2/token": "https://spa.example", "/keys": "https://any.example"} {
			w := httptest.NewRecorder()
			router.ServeHTTP(w, preflight(path, origin, asked))
			if got := w.Header().Get("Access-Control-Allow-Headers"); w.Code != 204 || got != want {
				t.Errorf("%s from %s, %q: %d %q, want %q", path, origin, asked, w.Code, got, want)
			}
		}
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, preflight("/api", "https://other.example", "traceparent"))
	if got := w.Header().Get("Access-Control-Allow-Headers"); w.Code != 405 || got != "" {
		t.Errorf("an origin that is not listed: %d %q", w.Code, got)
	}
}

func TestRefusedOriginIsLoggedOnceWithTheSetting(t *testing.T) {
	var out bytes.Buffer
	router := corsRouter(t, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	send := func(r *http.Request) string {
		out.Reset()
		router.ServeHTTP(httptest.NewRecorder(), r)
		return out.String()
	}
	from := func(method, path, origin string, headers ...string) *http.Request {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Origin", origin)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	for _, c := range []struct {
		r    *http.Request
		says string // empty: nothing
	}{
		{preflight("/api", "https://listed.example", ""), ""},
		{preflight("/api", "https://a.example", ""), "server.cors_origins does not list it"},
		{preflight("/api", "https://a.example", ""), ""}, // once
		{from("POST", "/api", "https://a.example"), ""},
		{from("POST", "/api", "https://b.example", "Sec-Fetch-Mode", "cors"), "server.cors_origins does not list it"},
		{from("POST", "/api", "https://c.example"), "origin=https://c.example"},
		{preflight("/oauth2/token", "https://d.example", ""), "allowed_origins of a client"},
		{from("POST", "/oauth2/token", "https://e.example"), "allowed_origins of a client"}, // a form needs no preflight
		{preflight("/oauth2/token", "https://spa.example", ""), ""},
		{from("GET", "/keys", "https://f.example"), ""},
		{from("POST", "/api", "https://g.example", "Sec-Fetch-Mode", "navigate"), ""},
		{from("POST", "/api", "https://host.example"), ""}, // the issuer's own pages
		{from("POST", "/api", "http://example.com"), ""},   // the host of the request
		{from("POST", "/api", "https://h.example", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"), ""},
		{from("POST", "/page", "https://i.example"), ""},
		{from("POST", "/nothing", "https://j.example"), ""},
		{from("POST", "/api", "null"), ""},
		{from("POST", "/api", "https://k.example/path\nlevel=ERROR"), ""},
	} {
		got := send(c.r)
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s %s from %s: %q, want %q", c.r.Method, c.r.URL, c.r.Header.Get("Origin"), got, c.says)
		}
	}
	router.admitted = func(*http.Request) error { return errHost }
	if got := send(from("GET", "/keys", "https://l.example")); got != "" {
		t.Errorf("a public route that is refused for another reason: %q", got)
	}
	router.admitted = nil
	logged := 0
	for i := range 2 * maxUnlisted {
		if send(preflight("/api", fmt.Sprintf("https://host%d.example", i), "")) != "" {
			logged++
		}
	}
	if logged >= maxUnlisted || len(router.unlisted.known) != maxUnlisted {
		t.Errorf("%d origins were logged, %d remembered", logged, len(router.unlisted.known))
	}
	now := time.Now().Add(unlistedFor)
	router.now = func() time.Time { return now }
	for _, origin := range []string{"https://later.example", "https://a.example"} {
		if send(preflight("/api", origin, "")) == "" || send(preflight("/api", origin, "")) != "" {
			t.Errorf("%s is not logged once, an hour after many others", origin)
		}
	}
}
