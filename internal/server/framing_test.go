package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/server"
)

// The second request of each is the one that an attacker smuggles behind the first.
func TestRequestSmuggledBehindAnAmbiguousLengthIsNotServed(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	const hidden = "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, line := range []string{
		"GET /livez", "GET /readyz", "GET /metrics", "GET /api/v1/auth/jwks", "POST /api/v1/auth/login", "GET /unknown", "OPTIONS *",
	} {
		for _, head := range []string{
			line + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			line + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
			line + " HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			line + " HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(server.Patience))
			if _, err := io.WriteString(conn, head+hidden); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%q: no response: %v", head, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if _, err := in.Peek(1); err == nil {
				t.Errorf("%q: the request behind it is served", head)
			}
			_ = conn.Close()
		}
	}
}

func TestUnusableProxyIsRefusedByTheNameOfItsSetting(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Server.TrustedProxies = []string{"10.0.0.0/40"}
	s, err := server.New(t.Context(), server.Config{Config: cfg})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "server.trusted_proxies") {
		t.Errorf("%v, want an error that names the setting", err)
	}
}

func TestEmptyForwardingHeaderMarksARequestAsForwarded(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "Forwarded", "Via"} {
		for _, values := range [][]string{{""}, {"", "203.0.113.9"}} {
			if status, _, _ := get(t, s.base+"/metrics", http.Header{name: values}); status != http.StatusNotFound {
				t.Errorf("/metrics with %s: %q responds with %d, want 404", name, values, status)
			}
		}
	}
}
