// Package check calls the routes that every HTTP example has. Only their tests
// use it.
package check

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// Routes starts a service and calls it without a token, as a viewer and as a
// superadmin.
func Routes(t *testing.T, routes func(*picoauth.Guard) http.Handler) {
	t.Helper()
	issuer := picoauthtest.NewIssuer(t)
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(routes(guard))
	t.Cleanup(service.Close)
	viewer := issuer.Mint(picoauthtest.Claims{"role": picoauth.Viewer, "org_id": "acme"})
	superadmin := issuer.Mint(picoauthtest.Claims{"role": picoauth.Superadmin})
	for _, c := range []struct {
		method, path, token string
		status              int
		body                string
	}{
		{"GET", "/", "", 200, "welcome"},
		{"GET", "/notes", "", 401, `"error":"unauthenticated"`},
		{"GET", "/notes", "nonsense", 401, `"error":"invalid_token"`},
		{"GET", "/notes", viewer, 200, "notes of acme\n"},
		{"DELETE", "/notes/1", "", 401, `"error":"unauthenticated"`},
		{"DELETE", "/notes/1", viewer, 403, `"error":"insufficient_scope"`},
		{"DELETE", "/notes/1", superadmin, 200, "deleted 1\n"},
	} {
		status, body := call(t, c.method, service.URL+c.path, c.token)
		passed := c.status == http.StatusOK
		if status != c.status || !strings.Contains(body, c.body) || passed != !strings.Contains(body, `"error"`) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, body, c.status, c.body)
		}
		if !passed && (strings.Contains(body, "notes of") || strings.Contains(body, "deleted")) {
			t.Errorf("%s %s: the handler ran after a refusal: %s", c.method, c.path, body)
		}
	}
}

func call(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
