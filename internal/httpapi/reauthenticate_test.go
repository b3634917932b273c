package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// privileged are the requests that need a recent sign-in, each of a superadmin.
func (r *rig) privileged() map[string]func(access string) response {
	return map[string]func(string) response{
		"create a superadmin": func(access string) response {
			return r.call(http.MethodPost, "/api/v1/auth/users", access,
				fmt.Sprintf(`{"email":"%s@example.com","password":%q,"role":"superadmin"}`, uuid.NewString(), testPassword))
		},
		"promote a superadmin": func(access string) response {
			return r.call(http.MethodPut, "/api/v1/auth/users/"+r.user(identity.OrgAdmin, "default").ID+"/role", access, `"superadmin"`)
		},
		"make a service token of a superadmin": func(access string) response {
			return r.call(http.MethodPost, "/api/v1/auth/service-tokens", access, fmt.Sprintf(`{"name":%q,"role":"superadmin"}`, uuid.NewString()))
		},
		"give a service token of a superadmin audiences": func(access string) response {
			st, _ := r.service(identity.Superadmin, "default", nil)
			return r.call(http.MethodPatch, "/api/v1/auth/service-tokens/"+st.Name, access, `{"audiences":["https://api.example"]}`)
		},
		"change an address": func(access string) response {
			return r.call(http.MethodPatch, "/api/v1/auth/users/"+r.user(identity.Viewer, "default").ID, access, fmt.Sprintf(`{"email":"%s@example.com"}`, uuid.NewString()))
		},
		"reset a password": func(access string) response {
			return r.call(http.MethodPut, "/api/v1/auth/users/"+r.user(identity.Viewer, "default").ID+"/password", access,
				`{"new_password":"staple the other horse"}`)
		},
	}
}

func (r *rig) reauthenticate(access, password string) response {
	r.t.Helper()
	return r.call(http.MethodPost, "/api/v1/auth/reauthenticate", access, fmt.Sprintf(`{"password":%q}`, password))
}

func TestPrivilegedActsNeedARecentSignIn(t *testing.T) {
	r := newRig(t)
	access, refresh := r.session(r.user(identity.Superadmin, "default"))
	r.ahead.Store(int64(testMaxAge - 10*time.Second))
	for name, act := range r.privileged() {
		if a := act(access); a.status != http.StatusOK {
			t.Errorf("%s after less than the maximum age: %d %s", name, a.status, a.raw)
		}
	}
	r.ahead.Store(int64(testMaxAge + time.Second))
	access = r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh))).text("access_token")
	for name, act := range r.privileged() {
		a := act(access)
		if a.status != http.StatusUnauthorized || a.text("error") != "reauthentication_required" ||
			a.header.Get("Www-Authenticate") != `Bearer error="insufficient_user_authentication", max_age="600"` {
			t.Errorf("%s after a refresh: %d %v %s", name, a.status, a.header, a.raw)
		}
		checkProblem(t, a)
	}
	r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/users", access, "")) // needs none
	wantFields(t, r.want(http.StatusOK, r.reauthenticate(access, testPassword)), "message")
	for name, act := range r.privileged() {
		if a := act(access); a.status != http.StatusOK {
			t.Errorf("%s after reauthentication: %d %s", name, a.status, a.raw)
		}
	}
}

func TestReauthenticationNeedsThePasswordAndConcernsOneSession(t *testing.T) {
	r := newRig(t)
	admin := r.user(identity.Superadmin, "default")
	access, _ := r.session(admin)
	other, _ := r.session(admin)
	r.ahead.Store(int64(testMaxAge + time.Second))
	reset := r.privileged()["reset a password"]
	if a := r.want(http.StatusForbidden, r.reauthenticate(access, "wrong")); a.text("error") != "invalid_credentials" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusUnauthorized, reset(access))
	r.want(http.StatusOK, r.reauthenticate(access, testPassword))
	r.want(http.StatusOK, reset(access))
	r.want(http.StatusUnauthorized, reset(other))
}

func TestTheAdminRouteNeverResetsTheOwnPassword(t *testing.T) {
	r := newRig(t)
	for _, role := range []identity.Role{identity.OrgAdmin, identity.Superadmin} {
		admin := r.user(role, "default")
		access, _ := r.session(admin)
		a := r.want(http.StatusForbidden, r.call(http.MethodPut, "/api/v1/auth/users/"+admin.ID+"/password", access, `{"new_password":"staple the other horse"}`))
		if a.text("error") != "own_password" {
			t.Errorf("%s: %s", role, a.raw)
		}
		r.session(admin) // with the password unchanged
	}
}

// An access token of the original names no session, so its age of authentication is
// unknown: its user logs in again, which needs no privilege.
func TestAnAccessTokenWithoutASessionDoesNothingPrivileged(t *testing.T) {
	r := newRig(t)
	admin := r.user(identity.Superadmin, "default")
	now := time.Now().Unix()
	access, err := r.signer().Sign("JWT", []byte(toJSON(t, map[string]any{
		"sub": admin.ID, "email": admin.Email, "role": "superadmin", "org_id": "default", "groups": []string{},
		"iss": testIssuer(), "aud": testAudience, "iat": now, "exp": now + 900, "jti": uuid.NewString(),
	})))
	if err != nil {
		t.Fatal(err)
	}
	r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/users", access, ""))
	for name, act := range r.privileged() {
		if a := act(access); a.status != http.StatusUnauthorized || a.text("error") != "reauthentication_required" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	a := r.want(http.StatusUnauthorized, r.reauthenticate(access, testPassword))
	if a.text("error") != "reauthentication_required" {
		t.Errorf("%s", a.raw)
	}
	if list := listed(r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/sessions", access, ""))); len(list) != 0 {
		t.Errorf("sessions %v", list)
	}
	r.want(http.StatusOK, r.call(http.MethodPost, "/api/v1/auth/logout-all", access, ""))
}
