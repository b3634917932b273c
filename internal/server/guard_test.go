package server_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/picoauth"
)

// A service with a service token refuses the tokens of ended sessions within its bound,
// whatever ended them.
func TestOtherServicesRefuseEndedSessions(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil)
	admin, _ := s.login("admin@pico.local", "admin")
	service := s.must("POST", "/api/v1/auth/service-tokens", admin, map[string]any{"name": "guard", "role": "viewer"})
	cfg := testConfig("")
	guard, err := picoauth.New(picoauth.Config{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, JWKSURL: s.base + "/api/v1/auth/jwks",
		ServiceToken: service["token"].(string), RevokedURL: s.base + "/api/v1/auth/revoked-jtis", RevokedWithin: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	const password = "correct horse"
	for email, end := range map[string]func(access, refresh, id string){
		"logout@example.com":     func(access, _, _ string) { s.must("POST", "/api/v1/auth/logout", access, nil) },
		"logout-all@example.com": func(access, _, _ string) { s.must("POST", "/api/v1/auth/logout-all", access, nil) },
		"suspended@example.com": func(_, _, id string) {
			s.must("PUT", "/api/v1/auth/users/"+id+"/status", admin, map[string]any{"status": "suspended"})
		},
		"role@example.com": func(_, _, id string) {
			s.must("PUT", "/api/v1/auth/users/"+id+"/role", admin, map[string]any{"role": "operator"})
		},
		"password@example.com": func(access, _, _ string) {
			s.must("POST", "/api/v1/auth/me/password", access, map[string]any{"old_password": password, "new_password": "staple the horse"})
		},
		"reuse@example.com": func(_, refresh, _ string) {
			s.must("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": refresh})
			if status, _ := s.call("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": refresh}); status != 401 {
				t.Errorf("reuse: %d", status)
			}
		},
		"deleted@example.com": func(_, _, id string) { s.must("DELETE", "/api/v1/auth/users/"+id, admin, nil) },
	} {
		user := s.must("POST", "/api/v1/auth/register", "", map[string]any{"email": email, "password": password})
		access, refresh := s.login(email, password)
		if _, err := guard.Verify(t.Context(), access); err != nil {
			t.Fatalf("%s, before: %v", email, err)
		}
		end(access, refresh, user["id"].(string))
		time.Sleep(time.Second)
		if _, err := guard.Verify(t.Context(), access); err == nil {
			t.Errorf("%s: the token is accepted", email)
		}
	}
	if _, err := guard.Verify(t.Context(), admin); err != nil {
		t.Errorf("another session: %v", err)
	}
}
