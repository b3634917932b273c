package web

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func mustProxies(t *testing.T, list ...string) Proxies {
	t.Helper()
	p, err := ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClientAddressIsTakenFromTrustedProxiesOnly(t *testing.T) {
	tests := []struct {
		name      string
		proxies   []string
		peer      string
		forwarded []string
		want      string
	}{
		{"no proxies configured", nil, "127.0.0.1:1", []string{"203.0.113.1"}, "127.0.0.1"},
		{"peer is not a proxy", []string{"10.0.0.0/8"}, "192.0.2.1:1", []string{"203.0.113.1"}, "192.0.2.1"},
		{"one hop", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a forged hop on the left", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"1.2.3.4, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies", []string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1:1", []string{"203.0.113.1, 10.1.2.3"}, "203.0.113.1"},
		{"several header lines", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"1.2.3.4", "203.0.113.1"}, "203.0.113.1"},
		{"only proxies", []string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1:1", []string{"10.0.0.1"}, "10.0.0.1"},
		{"no header", []string{"127.0.0.1"}, "127.0.0.1:1", nil, "127.0.0.1"},
		{"garbage", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"203.0.113.1, <script>"}, "127.0.0.1"},
		{"port and brackets", []string{"127.0.0.1"}, "127.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"mapped IPv4 peer", []string{"127.0.0.1"}, "[::ffff:127.0.0.1]:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"mapped proxy network", []string{"::ffff:10.0.0.0/104"}, "10.1.2.3:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"unknown peer", []string{"127.0.0.1"}, "@", []string{"203.0.113.1"}, ""},
		{"through a socket", nil, SocketPeer, []string{"1.2.3.4, 203.0.113.1"}, "203.0.113.1"},
		{"through a socket, two proxies", []string{"10.0.0.0/8"}, SocketPeer, []string{"203.0.113.1, 10.1.2.3"}, "203.0.113.1"},
		{"through a socket, no header", nil, SocketPeer, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got := addressText(mustProxies(t, tt.proxies...).client(r)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestClientsAreLimitedByNetwork(t *testing.T) {
	for peer, want := range map[string]string{
		"192.0.2.77:1":              "192.0.2.0/24",
		"[::ffff:192.0.2.77]:1":     "192.0.2.0/24",
		"[2001:db8:1:2ff:3::4]:1":   "2001:db8:1:200::/56",
		"[2001:db8:1:2ff::%eth0]:1": "2001:db8:1:200::/56",
		"@":                         "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		if got := networkText(mustProxies(t).client(r)); got != want {
			t.Errorf("%s: %q, want %q", peer, got, want)
		}
	}
}

func TestAProxyThatIsNotConfiguredIsNoticed(t *testing.T) {
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      bool
	}{
		{"127.0.0.1:1", []string{"203.0.113.1"}, true},
		{"[::1]:1", []string{""}, true},
		{"10.0.0.1:1", []string{"203.0.113.1"}, true},
		{"[::ffff:10.0.0.1]:1", []string{"203.0.113.1"}, true},
		{"[fd00::1]:1", []string{"203.0.113.1"}, true},
		{"127.0.0.1:1", nil, false},
		{"203.0.113.9:1", []string{"203.0.113.1"}, false}, // any client can send the header
		{"172.16.0.1:1", []string{"203.0.113.1"}, false},  // configured
		{"@", []string{"203.0.113.1"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
		if got := mustProxies(t, "172.16.0.0/12").unknownProxy(r); got != c.want {
			t.Errorf("%s %v: %v, want %v", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestParseProxiesRefusesGarbage(t *testing.T) {
	if _, err := ParseProxies([]string{"10.0.0.0/40"}); err == nil {
		t.Error("accepted")
	}
	if p := mustProxies(t, "10.1.2.3/8"); p[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("prefix %v is not masked", p[0])
	}
}

// newRouter is a Router with one group that has the routes; the peer of httptest is
// a trusted proxy.
func newRouter(t *testing.T, routes ...Route) (*Router, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	return mustRouter(t, Config{
		Issuer: "https://host.example", Groups: []Group{plainGroup("", routes...)},
		Log: slog.New(slog.NewJSONHandler(log, nil)), Proxies: mustProxies(t, "192.0.2.1"),
	}), log
}

func mustRouter(t *testing.T, cfg Config) *Router {
	t.Helper()
	rt, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// open is a route for everyone.
func open(method, pattern string, handle http.HandlerFunc) Route {
	return Route{Method: method, Pattern: pattern, ID: pattern, Access: Anonymous, Credential: NoCredential, Handler: handle}
}

// plainGroup refuses in plain text, and authorizes the token "good".
func plainGroup(prefix string, routes ...Route) Group {
	return Group{
		Prefix: prefix, Routes: routes,
		Authorize: func(r *http.Request, _ Access) (*http.Request, error) {
			if r.Header.Get("Authorization") != "Bearer good" {
				return nil, &Error{http.StatusUnauthorized, "unauthenticated", "no token"}
			}
			return r, nil
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
			e, ok := errors.AsType[*Error](err)
			if !ok {
				panic(err)
			}
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(e.Status)
			_, _ = io.WriteString(w, e.Code)
		},
	}
}

func ok(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.URL.EscapedPath()+" "+r.PathValue("id"))
}

func send(rt *Router, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, r)
	return w
}

func get(rt *Router, path string) *httptest.ResponseRecorder {
	return send(rt, httptest.NewRequest(http.MethodGet, path, nil))
}

func TestPanicIsA500AndTheProcessContinues(t *testing.T) {
	rt, log := newRouter(t, open("GET", "/{$}", func(http.ResponseWriter, *http.Request) { panic("the reason") }))
	w := get(rt, "/")
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	if strings.Contains(w.Body.String(), "the reason") {
		t.Error("the response contains the reason of the panic")
	}
	if !strings.Contains(log.String(), "the reason") || !strings.Contains(log.String(), `"status":500`) {
		t.Errorf("the log lacks the panic or the request: %s", log)
	}
}

func TestPanicInTheMiddleOfAResponseClosesTheConnection(t *testing.T) {
	rt, _ := newRouter(t, open("GET", "/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("late")
	}))
	srv := httptest.NewServer(rt)
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		return // closed before the headers were sent: correct as well
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half a response looks complete")
	}
}

func TestRequestIDsAreTakenFromProxiesOnly(t *testing.T) {
	tests := []struct {
		name, peer, given string
		kept              bool
	}{
		{"proxy", "192.0.2.1:1", "abc-123_X.y", true},
		{"not a proxy", "192.0.2.2:1", "abc-123", false},
		{"proxy, forged line", "192.0.2.1:1", "a b", false},
		{"proxy, too long", "192.0.2.1:1", strings.Repeat("a", 65), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rt, _ := newRouter(t)
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header.Set("X-Request-Id", tt.given)
			w := send(rt, r)
			if got := w.Header().Get("X-Request-Id"); (got == tt.given) != tt.kept || got == "" {
				t.Errorf("id %q for given %q", got, tt.given)
			}
		})
	}
}

func TestRouteAndMethodLabelsAreBounded(t *testing.T) {
	r := httptest.NewRequest("FROBNICATE", "/no/such/path", nil)
	if route(r) != "unmatched" || method(r) != "OTHER" {
		t.Errorf("route %q, method %q", route(r), method(r))
	}
}
