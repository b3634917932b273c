package server_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
)

// A token of ML-DSA-87 names few groups; /me has all.
func TestMeHasAllGroupsWhereTheTokenHasNot(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Auth.Algorithm, c.Auth.GroupClaim = "ML-DSA-87", config.GroupBoth })
	access, refresh := s.login("admin@pico.local", "admin")
	if got := s.must("GET", "/api/v1/auth/me", access, nil); !cmp.Equal(got["groups"], []any{}) {
		t.Errorf("without groups: %v", got["groups"])
	}
	me := s.claims(access)["sub"]
	ids, names := []any{}, []any{}
	for i := range 40 {
		name := fmt.Sprintf("group-%02d", i)
		id := s.must("POST", "/api/v1/groups", access, map[string]any{"name": name})["id"]
		s.must("POST", "/api/v1/groups/"+id.(string)+"/members", access, map[string]any{"user_id": me})
		ids, names = append(ids, id), append(names, name)
	}
	access = s.must("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": refresh})["access_token"].(string)
	claims := s.claims(access)
	if n := len("Authorization: Bearer " + access + "\r\n"); n >= 8000 || claims["groups_truncated"] != true {
		t.Errorf("a header of %d bytes, truncated: %v", n, claims["groups_truncated"])
	}
	fresh, _ := s.login("admin@pico.local", "admin")
	for name, token := range map[string]string{"login": fresh, "refresh": access} {
		claims := s.claims(token)
		if n := len(claims["groups"].([]any)); !cmp.Equal([]any{ids[:n], names[:n]}, []any{claims["groups"], claims["group_names"]}) {
			t.Errorf("%s: %v, %v", name, claims["groups"], claims["group_names"])
		}
	}
	got := s.must("GET", "/api/v1/auth/me", access, nil)
	if diff := cmp.Diff([]any{ids, names}, []any{got["groups"], got["group_names"]}); diff != "" {
		t.Errorf("/me: %s", diff)
	}
}
