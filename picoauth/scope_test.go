package picoauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
)

// The rules are those of scope_matches in the Python client library 0.7.1.
func TestScopesMatchAsInThePythonClient(t *testing.T) {
	for _, c := range []struct {
		granted, required string
		want              bool
	}{
		{"a:b:c", "a:b:c", true},
		{"a:b:*", "a:b:c", true},
		{"a:b:*", "a:b:c:d", true},
		{"a:b:*", "a:b", true},
		{"a:b:*", "a:bc", false},
		{"a:b:*", "a", false},
		{"a:b:*", "a:b*", false},
		{"*", "anything:at:all", true},
		{"a:*:c", "a:b:c", false},
		{"a:*:c", "a:*:c", true},
		{"a*", "ab", false},
		{"a", "a:b", false},
		{"a:b", "a:*", false}, // a star in what is required is no wildcard
		{"a:*", "a:*", true},
		{":*", ":a", true},
		{":*", "a", false},
		{"A:*", "a:b", false},
		{"", "a", false},
	} {
		who := &picoauth.SecurityContext{Scopes: []string{"other", c.granted}}
		if got := who.HasScope(c.required); got != c.want {
			t.Errorf("%q grants %q: %v", c.granted, c.required, got)
		}
	}
}

func TestScopesAreReadFromTheToken(t *testing.T) {
	g, key := fixedGuard(t, 0)
	for scope, want := range map[any]int{"": 0, "a": 1, "a b:c  d ": 3} {
		who, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(claims{"scope": scope})))
		if err != nil || len(who.Scopes) != want || who.Scopes == nil {
			t.Errorf("%q: %+v, %v", scope, who, err)
		}
	}
	_, err := g.Verify(t.Context(), sign(t, key, "k", atNoon(claims{"scope": 1})))
	wantCode(t, err, 401)
}

func TestRequireScopeRefusesWithTheScopesThatAreNeeded(t *testing.T) {
	handler := picoauth.RequireScope("notes:read", "notes:write")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		who       *picoauth.SecurityContext
		status    int
		challenge string
	}{
		{&picoauth.SecurityContext{Scopes: []string{"notes:write"}}, 200, ""},
		{&picoauth.SecurityContext{Scopes: []string{"notes:*"}}, 200, ""},
		{&picoauth.SecurityContext{Scopes: []string{"notes"}}, 403, `Bearer error="insufficient_scope", error_description="the token lacks the scope that this needs", scope="notes:read notes:write"`},
		{&picoauth.SecurityContext{Role: picoauth.Superadmin}, 403, `Bearer error="insufficient_scope", error_description="the token lacks the scope that this needs", scope="notes:read notes:write"`},
		{nil, 401, "Bearer"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.who != nil {
			r = r.WithContext(picoauth.NewContext(r.Context(), c.who))
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Www-Authenticate") != c.challenge {
			t.Errorf("%+v: %d %q", c.who, w.Code, w.Header().Get("Www-Authenticate"))
		}
	}
}

func TestRequireScopeOfNoScopePanics(t *testing.T) {
	for _, scopes := range [][]string{{}, {""}, {"a b"}, {"a", "b\""}, {"a\\"}, {"\n"}, {"é"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("RequireScope(%q) returned", scopes)
				}
			}()
			picoauth.RequireScope(scopes...)
		}()
	}
}
