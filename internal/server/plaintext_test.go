package server_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// net/http answers these by itself, in plain text, before any handler.
func TestRequestsThatReachNoHandlerAreProblems(t *testing.T) {
	path := filepath.Join(socketFolder(t), "s")
	plain := start(t, t.TempDir(), func(c *config.Config) { c.Server.MetricsListen = "127.0.0.1:0" })
	_, metrics, _ := strings.Cut(plain.out.String(), "metrics       http://")
	metrics, _, _ = strings.Cut(metrics, "/")
	secure := start(t, t.TempDir(), func(c *config.Config) { c.Server.TLSMode = config.SelfSigned })
	start(t, t.TempDir(), onSocket(path))
	address := strings.TrimPrefix(plain.base, "http://")
	for _, c := range []struct {
		network, address, request string
		status                    int
		code, detail              string
	}{
		{"tcp", address, "nonsense\r\n\r\n", 400, "bad_request", "this is not a request of HTTP"},
		{"tcp", address, "GET / HTTP/1.1\r\n\r\n", 400, "bad_request", "this is not a request of HTTP: missing required Host header"},
		{"tcp", address, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n", 400, "bad_request", "this is not a request of HTTP"}, // behind one that was served
		{"tcp", address, "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 431, "header_too_large", "the header of the request is larger than 32 KiB"},
		{"tcp", address, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "not_implemented", "the only supported Transfer-Encoding is chunked"},
		{"tcp", address, "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\n", 417, "expectation_failed", "the only supported Expect is 100-continue"},
		{"tcp", address, "GET / HTTP/3.1\r\nHost: localhost\r\n\r\n", 505, "http_version_not_supported", "the version of HTTP is not supported"},
		{"tcp", metrics, "nonsense\r\n\r\n", 400, "bad_request", "this is not a request of HTTP"},
		{"unix", path, "nonsense\r\n\r\n", 400, "bad_request", "this is not a request of HTTP"},
		{"tcp", strings.TrimPrefix(secure.base, "http://"), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", "this port speaks https: use https:// in the address"},
	} {
		conn, err := net.Dial(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(server.Patience))
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		if strings.HasPrefix(c.request, "GET /livez") {
			served, err := http.ReadResponse(reader, nil)
			if err != nil || served.StatusCode != 200 {
				t.Fatalf("%v %v", served, err)
			}
			_, _ = io.Copy(io.Discard, served.Body)
			_ = served.Body.Close()
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("%.40q: %v", c.request, err)
			continue
		}
		var problem struct {
			Type, Title, Detail, Error string
			Status                     int
		}
		err = json.NewDecoder(resp.Body).Decode(&problem)
		_ = resp.Body.Close()
		_ = conn.Close()
		if err != nil || resp.StatusCode != c.status || problem.Status != c.status || problem.Error != c.code || problem.Detail != c.detail ||
			problem.Title != http.StatusText(c.status) || resp.Header.Get("Content-Type") != "application/problem+json" || !resp.Close {
			t.Errorf("%.40q: %d %+v %v, %v", c.request, resp.StatusCode, problem, resp.Header, err)
		}
	}
}

// Over TLS they stay as net/http writes them, which is short and names neither a program nor
// a version, nor repeats what was sent.
func TestRequestsThatReachNoHandlerRevealNothingOverTLS(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Server.TLSMode = config.SelfSigned })
	for request, status := range map[string]int{
		"nonsense-4711\r\n\r\n": 400, "GET / HTTP/1.1\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("4711", 10<<10) + "\r\n\r\n":              431,
		"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x-4711\r\n\r\n":                             501,
		"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: x-4711\r\nContent-Length: 1\r\n\r\n":                   417,
		"GET / HTTP/47.11\r\nHost: localhost\r\n\r\n":                                                         400,
		"GET / HTTP/3.1\r\nHost: localhost\r\n\r\n":                                                           505,
		"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\nnonsense-4711 x y z\r\n\r\n": 400,
	} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.base, "http://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(server.Patience))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		resp, err := http.ReadResponse(reader, nil)
		if err == nil && strings.HasPrefix(request, "GET /livez") {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			resp, err = http.ReadResponse(reader, nil)
		}
		if err != nil {
			t.Errorf("%.40q: %v", request, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_ = conn.Close()
		said := fmt.Sprint(resp.Header) + string(body)
		if err != nil || resp.StatusCode != status || !resp.Close || len(body) > 100 || strings.Contains(said, "4711") ||
			strings.Contains(strings.ToLower(said), "pico") || strings.Contains(said, "localhost") || resp.Header.Get("Server") != "" {
			t.Errorf("%.40q: %d %s, %v", request, resp.StatusCode, said, err)
		}
	}
}
