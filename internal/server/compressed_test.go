package server_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// A compressed response tells by its size what a secret in it has in common with the
// rest (BREACH), so that only documents are compressed that everyone may read.
func TestLargePublicDocumentsAreCompressedAndNothingElse(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Auth.Algorithm = "ML-DSA-65" })
	access, refresh := s.login("admin@pico.local", "admin")
	send := func(method, path, body string) (string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip") // set here, the client unpacks nothing
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+access)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %v %s", method, path, resp.StatusCode, err, got)
		}
		return string(got), resp.Header
	}
	for path, atMost := range map[string]float64{
		"/openapi.json": 0.3, "/docs": 0.7, "/docs/swagger-ui.css": 0.3, "/.well-known/openid-configuration": 0.5,
		"/.well-known/oauth-authorization-server": 0.5, "/api/v1/auth/jwks": 0.95, "/.well-known/jwks.json": 0.95, "/.well-known/jwks-pqc.json": 0.95,
	} {
		var packed, plain string
		var h, plainHeader http.Header
		server.Eventually(t, path+" has the same content in both forms", func() bool { // keys for clients are made after the start
			packed, h = send("GET", path, "")
			if h.Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(h["Vary"], ","), "Accept-Encoding") {
				t.Fatalf("%s: %v", path, h)
			}
			reader, err := gzip.NewReader(strings.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			_, plain, plainHeader = get(t, s.base+path, http.Header{"Accept-Encoding": {"identity"}})
			return string(unpacked) == plain
		})
		if float64(len(packed)) > atMost*float64(len(plain)) {
			t.Errorf("%s: %d bytes of %d", path, len(packed), len(plain))
		}
		if plainHeader.Get("Etag") == h.Get("Etag") {
			t.Errorf("%s: both forms have one entity tag", path)
		}
	}
	for _, request := range [][3]string{
		{"GET", "/api/v1/auth/me", ""},
		{"GET", "/api/v1/auth/users", ""},
		{"GET", "/api/v1/auth/sessions", ""},
		{"POST", "/api/v1/auth/login", `{"email":"admin@pico.local","password":"admin"}`},
		{"POST", "/api/v1/auth/refresh", `{"refresh_token":"` + refresh + `"}`},
		{"GET", "/", ""},
		{"GET", "/sign-in", ""},
		{"GET", "/livez", ""},
	} {
		if _, h := send(request[0], request[1], request[2]); h.Get("Content-Encoding") != "" {
			t.Errorf("%s %s is compressed", request[0], request[1])
		}
	}
}
