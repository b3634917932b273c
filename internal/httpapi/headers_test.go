package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/web"
)

func TestUnknownAddressesAndMethodsAreProblems(t *testing.T) {
	r := newPublic(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/api/v1/auth", 404, ""},
		{"GET", "/api/v1/auth/login/", 404, ""},
		{"GET", "/api/v1/auth/jwks/", 404, ""},
		{"GET", "/api/v1/auth/jwks/x", 404, ""},
		{"GET", "//api/v1/auth/jwks", 404, ""},
		{"GET", "/api/v1//auth/jwks", 404, ""},
		{"GET", "/api/v1/x/../auth/jwks", 404, ""},
		{"GET", "/./api/v1/auth/jwks", 404, ""},
		{"GET", "/API/v1/auth/jwks", 404, ""},
		{"GET", "/api/v1/auth/jwks%2f", 404, ""},
		{"GET", "/api/v1/auth/jwks%00", 404, ""},
		{"GET", "/docs/", 404, ""},
		{"POST", "/nothing", 404, ""},
		{"GET", "/api/v1/auth/login", 405, "POST"},
		{"POST", "/api/v1/auth/jwks", 405, "GET, HEAD"},
		{"PATCH", "/api/v1/groups/1", 405, "GET, HEAD, PUT, DELETE"},
		{"DELETE", "/docs", 405, "GET, HEAD"},
		{"TRACE", "/docs", 405, "GET, HEAD"},
		{"OPTIONS", "/api/v1/groups", 405, "GET, HEAD, POST"},
		{"BREW", "/api/v1/auth/users/registration", 405, "GET, HEAD, PUT, PATCH, DELETE"},
	} {
		a := r.call(c.method, c.path, "", "")
		if a.status != c.status || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", c.method, c.path, a.status, a.header.Get("Allow"), c.status, c.allow)
		}
		checkProblem(t, a)
		if c.status == 404 && a.text("error") != "not_found" || c.status == 405 && a.text("error") != "method_not_allowed" {
			t.Errorf("%s %s: %s", c.method, c.path, a.raw)
		}
	}
	req := httptest.NewRequest(http.MethodConnect, "/api/v1/auth/jwks", nil)
	if a := r.do(req); a.status != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %d", a.status)
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := newRig(t).server()
	for _, path := range []string{"/docs", "/openapi.json", "/api/v1/auth/jwks", "/api/v1/auth/me", "/nothing"} {
		get, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = get.Body.Close()
		head, err := s.Client().Head(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(head.Body)
		_ = head.Body.Close()
		if head.StatusCode != get.StatusCode || len(body) != 0 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d with %d bytes", path, get.StatusCode, head.StatusCode, len(body))
		}
	}
}

func TestEveryResponseHasTheSecurityHeaders(t *testing.T) {
	r := newRig(t)
	for _, route := range r.Group().Routes {
		path, body := r.scene(route, "viewer")
		a := r.call(route.Method, path, "", body)
		csp := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", route.Method, path, a.header)
		}
		if strings.HasPrefix(path, "/api/v1/") && route.ID != "jwks" && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: Cache-Control %q", route.Method, path, a.header.Get("Cache-Control"))
		}
		if a.header.Get("Set-Cookie") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", route.Method, path, a.header)
		}
	}
}

func TestCORSAcceptsExactOriginsOnly(t *testing.T) {
	const listed = "https://app.example.com"
	r := newPublic(t)
	r.mount(web.Config{CORSOrigins: []string{listed}})
	send := func(method, path, origin string) response {
		req := httptest.NewRequest(method, path, nil)
		req.Header.Set("Origin", origin)
		if method == http.MethodOptions {
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "content-type")
		}
		return r.do(req)
	}
	preflight := r.want(http.StatusNoContent, send("OPTIONS", "/api/v1/groups", listed))
	if h := preflight.header; h.Get("Access-Control-Allow-Origin") != listed ||
		h.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!slices.Contains(h["Vary"], "Origin") {
		t.Errorf("preflight: %v", h)
	}
	// A refusal is readable, too.
	if a := send("GET", "/api/v1/auth/login", listed); a.header.Get("Access-Control-Allow-Origin") != listed {
		t.Errorf("refusal: %v", a.header)
	}
	for _, origin := range []string{
		"https://app.example.com.evil.org", "https://APP.example.com", "http://app.example.com", "https://app.example.com:8443",
		"https://evil.org", "null", "https://app.example.com/",
	} {
		a := r.want(http.StatusMethodNotAllowed, send("OPTIONS", "/api/v1/groups", origin))
		b := send("GET", "/openapi.json", origin)
		for _, got := range []response{a, b} {
			if got.header.Get("Access-Control-Allow-Origin") != "" || !slices.Contains(got.header["Vary"], "Origin") {
				t.Errorf("%s: %v", origin, got.header)
			}
		}
	}
	r.want(http.StatusNotFound, send("OPTIONS", "/nothing", listed))
}

func TestCORSIsOffUnlessConfigured(t *testing.T) {
	r := newPublic(t)
	req := httptest.NewRequest(http.MethodGet, "/openapi.json", nil)
	req.Header.Set("Origin", "https://app.example.com")
	for name, values := range r.do(req).header {
		if strings.HasPrefix(name, "Access-Control") || name == "Vary" && strings.Contains(strings.Join(values, ","), "Origin") {
			t.Errorf("the header %s is set: %v", name, values)
		}
	}
}

// TestSmuggledRequestGetsNoResponse sends a request with both lengths and a
// second one behind it, as a confused proxy would pass it on.
func TestSmuggledRequestGetsNoResponse(t *testing.T) {
	s := newRig(t).server()
	const second = "GET /api/v1/auth/jwks HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, lengths := range []string{
		"Transfer-Encoding: chunked\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n0\r\n\r\n%s", lengths, second); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		first, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, first.Body)
		_ = first.Body.Close()
		if !first.Close {
			t.Errorf("%q: the connection is kept", lengths)
		}
		if again, err := http.ReadResponse(reader, nil); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			if err == nil {
				_ = again.Body.Close()
			}
			t.Errorf("%q: the second request got a response: %v", lengths, err)
		}
		_ = conn.Close()
	}
}
