package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
)

// The API is served under the path of the issuer, and at the root for a proxy
// that strips the path. The routes for the tools of this machine are at the root
// only.
func TestIssuerWithAPath(t *testing.T) {
	s, issuer := startAtIssuer(t, "/auth", nil)
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/metrics": 200, "/auth/livez": 404, "/auth/readyz": 404, "/auth/metrics": 404,
		"/auth": 200, "/auth/": 200, "/": 200, "/auth/docs": 200, "/docs": 200, "/auth/auth/docs": 404, "/auth//docs": 404,
	} {
		if status, _, _ := get(t, s.base+path, nil); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	_, body, _ := get(t, s.base+"/auth/.well-known/openid-configuration", nil)
	for _, want := range []string{`"issuer":"` + issuer + `"`, `"jwks_uri":"` + issuer + `/api/v1/auth/jwks"`} {
		if !strings.Contains(body, want) {
			t.Errorf("discovery lacks %s: %s", want, body)
		}
	}
	guard, err := picoauth.New(picoauth.Config{Issuer: issuer, Audience: "pico-bot"})
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"", "/auth"} {
		tokens := s.must("POST", base+"/api/v1/auth/login", "", map[string]string{"email": "admin@pico.local", "password": "admin"})
		access, _ := tokens["access_token"].(string)
		s.must("GET", base+"/api/v1/auth/me", access, nil)
		req, err := http.NewRequest(http.MethodGet, "http://service.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+access)
		if _, err := guard.Authenticate(req); err != nil {
			t.Errorf("a service that trusts %s refuses its token: %v", issuer, err)
		}
	}
	for _, want := range []string{`"route":"GET /api/v1/auth/me"`, `"route":"GET /docs"`} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}
