package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
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
