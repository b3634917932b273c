package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// raw sends the text of one request over a connection of its own.
func (s *running) raw(request string) (status int, body string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(server.Patience))
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%q: %v", request, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestDefaultPasswordIsOutOfReachOfPagesOfOtherSites(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Auth.Issuer = "http://auth.example.com:8100" })
	port := s.base[strings.LastIndexByte(s.base, ':'):]
	heads := map[string]bool{
		"GET / HTTP/1.1\r\nHost: evil.example" + port: false, "GET /docs HTTP/1.1\r\nHost: evil.example": false, "GET /nothing HTTP/1.1\r\nHost: evil.example": false,
		"GET http://evil.example/docs HTTP/1.1\r\nHost: localhost": false, "GET /docs HTTP/1.0": false, "GET /docs HTTP/1.1\r\nHost: ": false,
		"GET http://localhost/docs HTTP/1.1\r\nHost: evil.example": true, "GET /docs HTTP/1.1\r\nHost: localhost" + port: true, "GET /docs HTTP/1.1\r\nHost: AUTH.example.com.": true,
		"GET /docs HTTP/1.1\r\nHost: [::1]" + port: true, "GET /livez HTTP/1.1\r\nHost: evil.example": true, "GET /readyz HTTP/1.0": true,
		"POST /api/v1/auth/login HTTP/1.1\r\nHost: evil.example" + port + "\r\nContent-Length: 0": false,
	}
	for head, served := range heads {
		status, body := s.raw(head + "\r\n\r\n")
		if served && status != http.StatusOK {
			t.Errorf("%q: %d %s", head, status, body)
		}
		if !served && (status != http.StatusMisdirectedRequest || !strings.Contains(body, `"error":"unknown_host"`) || !strings.Contains(body, "reset-password")) {
			t.Errorf("%q: %d %s, want 421 with what to do", head, status, body)
		}
	}
	access, _ := s.login("admin@pico.local", "admin")
	s.must("POST", "/api/v1/auth/me/password", access, map[string]any{"old_password": "admin", "new_password": "correct horse battery"})
	server.Eventually(t, "other hosts are served after the password has changed", func() bool {
		status, _ := s.raw("GET /docs HTTP/1.1\r\nHost: anything.example\r\n\r\n")
		return status == http.StatusOK
	})
	if status, body := s.raw("GET /metrics HTTP/1.1\r\nHost: anything.example\r\n\r\n"); status != http.StatusMisdirectedRequest || !strings.Contains(body, "server.metrics_listen") {
		t.Errorf("/metrics to another host: %d %s", status, body)
	}
	if status, _ := s.raw("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); status != http.StatusOK {
		t.Errorf("/metrics to localhost: %d", status)
	}
}

// Behind a proxy, or beyond loopback, others could reach /metrics.
func TestMetricsAreOnTheAPIsListenerOnlyWhereNoOtherMachineReachesThem(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"beyond loopback":        func(c *config.Config) { c.Server.Host = "0.0.0.0" },
		"behind a known proxy":   func(c *config.Config) { c.Server.TrustedProxies = []string{"10.0.0.1"} },
		"on a listener of their": func(c *config.Config) { c.Server.MetricsListen = "127.0.0.1:0" },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, t.TempDir(), func(c *config.Config) {
				c.Auth.AdminPassword = "correct horse battery"
				change(c)
			})
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.base, "http://"))
			s.base = "http://127.0.0.1:" + port
			if status, _, _ := get(t, s.base+"/metrics", nil); status != http.StatusNotFound {
				t.Errorf("/metrics: %d, want 404", status)
			}
			_, line, _ := strings.Cut(s.out.String(), "  metrics       ")
			line, _, _ = strings.Cut(line, "\n")
			if name != "on a listener of their" {
				if !strings.Contains(line, "server.metrics_listen") {
					t.Errorf("the start does not say how to get them: %q", line)
				}
				return
			}
			for path, want := range map[string]int{"": 200, "/": 404, "x": 404} {
				if status, _, _ := get(t, line+path, nil); status != want {
					t.Errorf("%s: %d, want %d", line+path, status, want)
				}
			}
		})
	}
}
