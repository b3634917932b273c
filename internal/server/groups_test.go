package server_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
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

// The original returned everything: what is left out must not go unnoticed.
func TestAListThatIsCutSaysSo(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	access, _ := s.login("admin@pico.local", "admin")
	storetest.Exec(t, "sqlite:///"+dir+"/auth.db", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
		INSERT INTO groups (id, name, name_key, description, org_id, created_at, updated_at)
		SELECT 'g' || i, 'n' || i, 'n' || i, '', 'default', '2026-11-22T10:15:30.123456Z', '2026-11-22T10:15:30.123456Z' FROM n`)
	first := s.must("GET", "/api/v1/groups", access, nil)
	cursor, _ := first["next_cursor"].(string)
	if n := len(first["groups"].([]any)); n != 1000 || first["total"] != 1001.0 || cursor == "" {
		t.Errorf("%d groups of %v, next_cursor %q", n, first["total"], cursor)
	}
	rest := s.must("GET", "/api/v1/groups?cursor="+cursor, access, nil)
	if _, more := rest["next_cursor"]; len(rest["groups"].([]any)) != 1 || rest["total"] != 1001.0 || more {
		t.Errorf("the rest: %v", rest)
	}
}
