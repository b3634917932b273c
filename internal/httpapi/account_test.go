package httpapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// fieldNames are the names of the fields of a response, sorted.
func fieldNames(a response) []string { return slices.Sorted(maps.Keys(a.body)) }

// wantFields fails the test unless the response has exactly these fields.
func wantFields(t *testing.T, a response, names ...string) {
	t.Helper()
	slices.Sort(names)
	if diff := cmp.Diff(names, fieldNames(a)); diff != "" {
		t.Errorf("fields of %s: %s", a.raw, diff)
	}
}

func TestRegisterThenLoginThenMe(t *testing.T) {
	r := newRig(t)
	a := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/register", "",
		`{"email":"Ada@Example.com","password":"secret123","display_name":"Ada"}`))
	wantFields(t, a, "id", "email", "role", "status")
	if a.text("email") != "Ada@example.com" || a.text("role") != "viewer" || a.text("status") != "active" || len(a.text("id")) != 36 {
		t.Errorf("%s", a.raw)
	}

	login := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/login", "", `{"email":"ada@example.com","password":"secret123"}`))
	wantFields(t, login, "access_token", "refresh_token", "token_type", "expires_in")
	if login.text("token_type") != "Bearer" || login.body["expires_in"] != float64(900) {
		t.Errorf("%s", login.raw)
	}

	me := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", login.text("access_token"), ""))
	wantFields(t, me, "id", "email", "display_name", "role", "org_id", "status", "created_at", "last_login_at", "groups")
	if me.text("id") != a.text("id") || me.text("display_name") != "Ada" || me.text("org_id") != "default" {
		t.Errorf("%s", me.raw)
	}
	for _, name := range []string{"created_at", "last_login_at"} {
		if _, err := time.Parse(time.RFC3339Nano, me.text(name)); err != nil || !strings.HasSuffix(me.text(name), "Z") {
			t.Errorf("%s is %q", name, me.text(name))
		}
	}

	again := r.want(http.StatusConflict, r.call("POST", "/api/v1/auth/register", "",
		`{"email":"ADA@example.com","password":"another secret 1"}`))
	if again.text("error") != "email_taken" {
		t.Errorf("%s", again.raw)
	}
}

func TestDisplayNameIsOptional(t *testing.T) {
	r := newRig(t)
	for i, extra := range []string{``, `,"display_name":""`, `,"display_name":null`} {
		r.want(http.StatusOK, r.call("POST", "/api/v1/auth/register", "",
			fmt.Sprintf(`{"email":"ada%d@example.com","password":"secret123"%s}`, i, extra)))
	}
}

func TestLastLoginIsNullBeforeTheFirstLogin(t *testing.T) {
	profile, err := (&API{}).me(context.Background(), &caller{user: &identity.User{ID: "1"}}, nil)
	if err != nil || !strings.Contains(toJSON(t, profile), `"last_login_at":null`) {
		t.Errorf("%v %s", err, toJSON(t, profile))
	}
}

func TestLoginRefusalsLookAlike(t *testing.T) {
	r := newRig(t)
	known, suspended := r.user(identity.Viewer, "default"), r.user(identity.Viewer, "default")
	r.suspend(suspended)
	var first []byte
	for _, body := range []string{
		toJSON(t, map[string]string{"email": "nobody@example.com", "password": testPassword}),
		toJSON(t, map[string]string{"email": "not an address", "password": testPassword}),
		toJSON(t, map[string]string{"email": "", "password": ""}),
		toJSON(t, map[string]string{"email": known.Email, "password": "wrong"}),
		toJSON(t, map[string]string{"email": known.Email, "password": strings.Repeat("x", 100)}),
		toJSON(t, map[string]string{"email": known.Email, "password": "nul\x00"}),
		toJSON(t, map[string]string{"email": suspended.Email, "password": testPassword}),
	} {
		a := r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/login", "", body))
		if a.text("error") != "invalid_credentials" || a.header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("%s: %v %s", body, a.header, a.raw)
		}
		if first == nil {
			first = a.raw
		}
		if diff := cmp.Diff(string(first), string(a.raw)); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestRegistrationRefusals(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ body, location string }{
		{`{"email":"no address","password":"secret123"}`, "body.email"},
		{`{"email":"a@example.com","password":"short"}`, "body.password"},
		{`{"email":"a@example.com","password":"` + strings.Repeat("é", 37) + `"}`, "body.password"},
		{`{"email":"a@example.com","password":"secret123","display_name":"a\u0000b"}`, "body.display_name"},
		{`{"email":"a@example.com","password":"secret123","display_name":"` + strings.Repeat("x", 256) + `"}`, "body.display_name"},
		{`{"email":"a@example.com","password":"secret123","role":"superadmin"}`, "body.role"},
		{`{"email":"a@example.com","password":"secret123","org_id":"other"}`, "body.org_id"},
	} {
		a := r.want(http.StatusUnprocessableEntity, r.call("POST", "/api/v1/auth/register", "", c.body))
		if !strings.Contains(string(a.raw), `"location":"`+c.location+`"`) {
			t.Errorf("%s: %s", c.body, a.raw)
		}
	}
}

func TestRefreshTakesAStringOrAnObjectAndIsSingleUse(t *testing.T) {
	r := newRig(t)
	access, token := r.session(r.user(identity.Viewer, "default"))
	for _, form := range []string{`%q`, `{"refresh_token":%q}`, ` %q `} {
		a := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf(form, token)))
		wantFields(t, a, "access_token", "refresh_token", "token_type", "expires_in")
		if a.text("refresh_token") == token {
			t.Error("the same token was returned")
		}
		r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", a.text("access_token"), ""))
		token, access = a.text("refresh_token"), a.text("access_token")
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", token)))
	reuse := r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", token)))
	if reuse.text("error") != "invalid_token" || !strings.Contains(reuse.header.Get("Www-Authenticate"), `error="invalid_token"`) {
		t.Errorf("%v %s", reuse.header, reuse.raw)
	}
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", access, ""))
	for _, c := range []struct {
		body   string
		status int
	}{
		{`""`, 401},
		{`"x"`, 401},
		{`"` + strings.Repeat("x", 4_000) + `"`, 401},
		{`"` + strings.Repeat("x", 60_000) + `"`, 413}, // more than an anonymous route reads
		{`"\u0000"`, 401},
		{`{"refresh_token":""}`, 401},
		{`{"refresh_token":5}`, 422},
		{`5`, 422},
		{`{}`, 422},
		{`[]`, 422},
		{`null`, 422},
		{`{"refresh_token":"x","more":1}`, 422},
		{`{"Refresh_token":"x"}`, 422},
	} {
		r.want(c.status, r.call("POST", "/api/v1/auth/refresh", "", c.body))
	}
}

func TestOneOfManyParallelRefreshesSucceeds(t *testing.T) {
	r := newRig(t)
	_, token := r.session(r.user(identity.Viewer, "default"))
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a := r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", token))
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[http.StatusOK] != 1 || statuses[http.StatusUnauthorized] != 7 {
		t.Errorf("%v", statuses)
	}
}

func TestLogoutEndsTheSessionOfEitherToken(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Viewer, "default")
	for name, logout := range map[string]func(access, refresh string) response{
		"access token":                  func(a, _ string) response { return r.call("POST", "/api/v1/auth/logout", a, "") },
		"access token and empty object": func(a, _ string) response { return r.call("POST", "/api/v1/auth/logout", a, "{}") },
		"refresh token": func(_, f string) response {
			return r.call("POST", "/api/v1/auth/logout", "", `{"refresh_token":"`+f+`"}`)
		},
		"refresh token, bad access token": func(_, f string) response {
			return r.call("POST", "/api/v1/auth/logout", "expired", `{"refresh_token":"`+f+`"}`)
		},
		"both": func(a, f string) response {
			return r.call("POST", "/api/v1/auth/logout", a, `{"refresh_token":"`+f+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			other, _ := r.session(user)
			access, refresh := r.session(user)
			wantFields(t, r.want(http.StatusOK, logout(access, refresh)), "message")
			r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", access, ""))
			r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))
			r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", other, ""))
		})
	}
	for _, c := range []struct {
		bearer, body string
		status       int
		code         string
	}{
		{"", "", 401, "unauthenticated"},
		{"", "{}", 401, "unauthenticated"},
		{"garbage", "", 401, "invalid_token"},
		{"", `{"refresh_token":"unknown"}`, 401, "invalid_token"},
		{"", `{"token":"x"}`, 422, "validation_failed"},
		{"", `"x"`, 422, "validation_failed"},
		{"", `{`, 400, "malformed_json"},
	} {
		a := r.want(c.status, r.call("POST", "/api/v1/auth/logout", c.bearer, c.body))
		if a.text("error") != c.code {
			t.Errorf("%+v: %s", c, a.raw)
		}
	}
}

func TestChangedPasswordEndsEverySession(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Viewer, "default")
	access, refresh := r.session(user)
	elsewhere, _ := r.session(user)
	change := func(from, to string) response {
		return r.call("POST", "/api/v1/auth/me/password", access, toJSON(t, map[string]string{"old_password": from, "new_password": to}))
	}
	if a := r.want(http.StatusForbidden, change("wrong", "staple the other horse")); a.text("error") != "invalid_credentials" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusUnprocessableEntity, change(testPassword, "short")); !strings.Contains(string(a.raw), "body.new_password") {
		t.Errorf("%s", a.raw)
	}
	pair := r.want(http.StatusOK, change(testPassword, "staple the other horse"))
	wantFields(t, pair, "message", "access_token", "refresh_token", "token_type", "expires_in")
	if pair.text("token_type") != "Bearer" || pair.body["expires_in"] != float64(900) {
		t.Errorf("%s", pair.raw)
	}
	r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", elsewhere, ""))
	r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", access, "")) // it made the change; it is refused everywhere else
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/groups", access, ""))
	r.want(http.StatusUnauthorized, change("staple the other horse", testPassword))
	for _, path := range []string{"/api/v1/auth/me", "/api/v1/groups"} {
		r.want(http.StatusOK, r.call("GET", path, pair.text("access_token"), ""))
	}
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", pair.text("refresh_token"))))
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/login", "",
		toJSON(t, map[string]string{"email": user.Email, "password": "staple the other horse"})))
}
