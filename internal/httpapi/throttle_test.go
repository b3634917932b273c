package httpapi

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

// from sends a request of a client with that address.
func (r *rig) from(address, path, body string) response {
	r.t.Helper()
	req := httptest.NewRequest("POST", path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address)
	return r.do(req)
}

func TestALimitedLoginNamesTheLimitAndLooksTheSameForUnknownAccounts(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "")
	wait := regexp.MustCompile(`^"account-network";r=0;t=[1-8]$`)
	limited := map[string]response{}
	for _, email := range []string{u.Email, "nobody@example.com"} {
		for range 12 { // the first wait may be over on a slow machine
			a := r.from("198.51.100.7", "/api/v1/auth/login", toJSON(t, map[string]string{"email": email, "password": "wrong horse"}))
			if a.status == http.StatusTooManyRequests {
				limited[email] = a
				break
			}
			r.want(http.StatusUnauthorized, a)
		}
		h := limited[email].header
		if !wait.MatchString(h.Get("RateLimit")) || h.Get("RateLimit-Policy") != `"account-network";q=5;w=86400` ||
			!strings.HasSuffix(h.Get("RateLimit"), "t="+h.Get("Retry-After")) {
			t.Errorf("%s: %v", email, h)
		}
	}
	known, unknown := limited[u.Email], limited["nobody@example.com"]
	if string(known.raw) != string(unknown.raw) || known.text("error") != "rate_limited" {
		t.Errorf("%s\n%s", known.raw, unknown.raw)
	}
	r.want(http.StatusOK, r.from("203.0.113.7", "/api/v1/auth/login", toJSON(t, map[string]string{"email": u.Email, "password": testPassword})))
}

func TestMadeUpTokensAreLimitedAndOnesThatExistAreNot(t *testing.T) {
	r := newRig(t)
	_, refresh := r.session(r.user(identity.Viewer, ""))
	created := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/service-tokens", r.as(identity.OrgAdmin, ""), `{"name":"billing"}`))
	const address = "198.51.100.7"
	bodies := []struct{ path, body string }{
		{"/api/v1/auth/refresh", `{"refresh_token":"made-up"}`},
		{"/api/v1/auth/logout", `{"refresh_token":"made-up"}`},
		{"/api/v1/auth/service-tokens/validate", `{"token":"pico_svc_made-up"}`},
	}
	for i := range 60 {
		one := bodies[i%len(bodies)]
		if a := r.from(address, one.path, one.body); a.status == http.StatusTooManyRequests {
			t.Fatalf("token %d: %s", i, a.raw)
		}
	}
	for _, one := range bodies {
		a := r.want(http.StatusTooManyRequests, r.from(address, one.path, one.body))
		if a.header.Get("RateLimit-Policy") != `"tokens";q=60;w=60` {
			t.Errorf("%s: %v", one.path, a.header)
		}
	}
	r.want(http.StatusOK, r.from(address, "/api/v1/auth/refresh", toJSON(t, refresh)))
	valid := r.want(http.StatusOK, r.from(address, "/api/v1/auth/service-tokens/validate", toJSON(t, map[string]string{"token": created.text("token")})))
	if valid.body["valid"] != true {
		t.Errorf("%s", valid.raw)
	}
}

func TestRegistrationsFromOneNetworkAreLimited(t *testing.T) {
	r := newRig(t)
	for range 100 {
		r.want(http.StatusUnprocessableEntity, r.from("198.51.100.7", "/api/v1/auth/register", `{"email":"ada@example.com","password":"short"}`))
	}
	a := r.want(http.StatusTooManyRequests, r.from("198.51.100.8", "/api/v1/auth/register", `{"email":"ada@example.com","password":"secret123"}`))
	if a.header.Get("RateLimit-Policy") != `"registrations";q=100;w=60` {
		t.Errorf("%v", a.header)
	}
	r.want(http.StatusOK, r.from("203.0.113.7", "/api/v1/auth/register", `{"email":"ada@example.com","password":"secret123"}`))
}

func TestOneUserCannotFillTheAuditLogWithChangesOfTheProfile(t *testing.T) {
	r := newRig(t)
	bearer := r.as(identity.Viewer, "")
	change := func(bearer string) response { return r.call("PATCH", "/api/v1/auth/me", bearer, `{"nickname":"Ada"}`) }
	for range 600 {
		r.want(http.StatusOK, change(bearer))
	}
	a := r.want(http.StatusTooManyRequests, change(bearer))
	if a.header.Get("RateLimit-Policy") != `"profile";q=600;w=60` {
		t.Errorf("%v", a.header)
	}
	r.want(http.StatusOK, change(r.as(identity.Viewer, "")))
}

// An administrator is trusted with one organization: their changes must not fill the disk
// that all share. The limit holds for every route by which they change something.
func TestEveryChangeByAnAdministratorOfOneOrganizationIsLimited(t *testing.T) {
	r := newRig(t)
	r.user(identity.Superadmin, "default")
	r.user(identity.Viewer, "other")
	var changes []row
	for _, row := range r.rows() {
		if row.route.Access != web.OrgAdmin || row.route.Method == http.MethodGet {
			continue
		}
		path, body := row.make(r)
		if a := r.call(row.route.Method, path, r.as(identity.OrgAdmin, "default"), body); a.status < 300 {
			changes = append(changes, row)
		}
	}
	if len(changes) < 20 {
		t.Fatalf("only %d changes", len(changes))
	}
	admin := identity.Actor{}.AsUser(r.user(identity.OrgAdmin, "default").ID)
	for r.limits.Change(t.Context(), admin) == nil { // until none is left
	}
	r.ahead.Add(-int64(time.Hour)) // before that: none passes, however long this takes
	for _, row := range changes {
		path, body := row.make(r)
		a := r.call(row.route.Method, path, r.as(identity.OrgAdmin, "default"), body)
		if a.status != http.StatusTooManyRequests || !strings.HasPrefix(a.header.Get("RateLimit-Policy"), `"changes";`) || a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s (%s): %d %v", row.route.Method, row.route.Pattern, row.about, a.status, a.header)
		}
		a = r.call(row.route.Method, path, r.as(identity.Superadmin, "default"), body)
		if a.status >= 300 {
			t.Errorf("%s %s (%s) as superadmin: %d %s", row.route.Method, row.route.Pattern, row.about, a.status, a.raw)
		}
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/groups", r.as(identity.OrgAdmin, "other"), `{"name":"ops"}`))
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout-all", r.as(identity.OrgAdmin, "default"), ""))
}

// A deployment asks for its service token at each start, and gets the one that exists.
func TestAskingForAServiceTokenThatExistsUsesNothingUp(t *testing.T) {
	r := newRig(t)
	create := func(name string) response {
		return r.call("POST", "/api/v1/auth/service-tokens", r.as(identity.OrgAdmin, "default"), `{"name":"`+name+`"}`)
	}
	r.want(http.StatusOK, create("billing"))
	admin := identity.Actor{}.AsUser(r.user(identity.OrgAdmin, "default").ID)
	for range 998 {
		if err := r.limits.NewClient(t.Context(), admin, func() (made bool, err error) { return true, nil }); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		r.want(http.StatusOK, create("billing"))
	}
	r.want(http.StatusOK, create("shipping"))
	r.want(http.StatusTooManyRequests, create("returns"))
}
