package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
)

// net/http answers these by itself, in plain text, before any handler.
func TestRequestsThatReachNoHandlerAreProblems(t *testing.T) {
	path := filepath.Join(socketFolder(t), "s")
	plain, secure := start(t, t.TempDir(), nil), start(t, t.TempDir(), func(c *config.Config) { c.Server.TLSMode = config.SelfSigned })
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
		{"unix", path, "nonsense\r\n\r\n", 400, "bad_request", "this is not a request of HTTP"},
		{"tcp", strings.TrimPrefix(secure.base, "http://"), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", "this port speaks https: use https:// in the address"},
	} {
		conn, err := net.Dial(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
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
