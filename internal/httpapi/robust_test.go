package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

// FuzzBodyIsNeverAServerFault sends random bodies to every endpoint that takes one,
// as a superadmin. The response is never a 5xx, and every refusal has the one
// form.
func FuzzBodyIsNeverAServerFault(f *testing.F) {
	r := newRig(f)
	root := r.as(identity.Superadmin, "default")
	r.user(identity.Superadmin, "default")
	var routes []web.Route
	for _, route := range r.Group().Routes {
		if route.Method == http.MethodPost || route.Method == http.MethodPut || route.Method == http.MethodPatch {
			routes = append(routes, route)
		}
	}
	for i, seed := range []string{
		`"viewer"`, `{"role":"viewer"}`, `{"email":"a@example.com","password":"secret123"}`, `{"name":"\u0000"}`,
		`{"name":"x","org_id":"\u202e"}`, `{"enabled":true}`, `{"status":"active"}`, `{"refresh_token":"\ud800"}`, `[1e999]`, `{"a":{"a":1}}`,
		`{"email":"a@xn--.example","password":"secret123","display_name":"\ufeff"}`, `{"token":"pico_svc_\u0000"}`,
		`{"display_name":null,"zoneinfo":"a/b","birthdate":"0000-02-29","picture":"http://%zz"}`, `{"email":"\u0130@x","org_id":"\u0000"}`,
	} {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		route := routes[int(which)%len(routes)]
		path := strings.NewReplacer("{id}", "1234", "{name}", "x").Replace(route.Pattern)
		req := httptest.NewRequest(route.Method, path, strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		if route.ID != "logout" && route.ID != "change_password" {
			req.Header.Set("Authorization", "Bearer "+root)
		}
		a := r.under(t).do(req)
		if a.status != http.StatusOK {
			checkProblem(t, a)
		}
		if a.status >= http.StatusInternalServerError {
			t.Errorf("%s %s %q: %d %s", route.Method, path, body, a.status, a.raw)
		}
	})
}

// FuzzAddressIsNeverAServerFault does the same with paths and queries, and nothing
// is ever redirected.
func FuzzAddressIsNeverAServerFault(f *testing.F) {
	r := newRig(f)
	root := r.as(identity.Superadmin, "default")
	for _, seed := range []string{
		"/api/v1/auth/users?limit=1&cursor=x", "/api/v1/groups/%00", "/api/v1/groups/..%2f..", "//docs", "/docs/%2e%2e/x", "/docs/../docs",
		"/api/v1/auth/users?email=%ff", "/api/v1/auth/service-tokens?limit=1;cursor=2", "/?%", "/api/v1/auth/jwks/", "/%", "*",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.ParseRequestURI(address)
		if err != nil || u.Host != "" {
			t.Skip()
		}
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.URL, req.RequestURI = u, address
		req.Header.Set("Authorization", "Bearer "+root)
		a := r.under(t).do(req)
		if a.status >= http.StatusInternalServerError || (a.status >= 300 && a.status < 400) {
			t.Errorf("%q: %d %s", address, a.status, a.raw)
		}
		if a.status >= http.StatusBadRequest {
			checkProblem(t, a)
		}
	})
}
