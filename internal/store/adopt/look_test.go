package adopt_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func lookAtUsers(t *testing.T, s *store.Store) {
	t.Helper()
	for _, want := range []struct {
		typed   string
		id      string
		role    identity.Role
		org     string
		status  identity.Status
		marked  bool
		created string
		login   string
	}{
		{"admin@pico.local", "8cf6396af68b", identity.Superadmin, "default", identity.Active, true, "2026-11-01T00:03:36.556012Z", "2026-11-22T00:03:42.288219Z"},
		{"ada.lovelace@example.ORG", "0a1b2c3d4e5f", identity.OrgAdmin, "default", identity.Active, false, "2026-11-02T10:00:00Z", ""},
		{"bob", "1b2c3d4e5f60", identity.Viewer, "default", identity.Active, false, "2026-11-03T10:30:00.5Z", "2026-11-20T08:00:00Z"},
		{"carol@example.org", "2c3d4e5f6071", identity.Operator, "acme", identity.Suspended, false, "2026-11-04T09:15:30.000001Z", ""},
	} {
		u, err := s.UserByEmail(t.Context(), identity.EmailKey(want.typed))
		if err != nil {
			t.Errorf("%s: %v", want.typed, err)
			continue
		}
		if u.ID != want.id || u.Role != want.role || u.OrgID != want.org || u.Status != want.status || u.DefaultPassword != want.marked ||
			u.OrgStatus != identity.Active {
			t.Errorf("%s: %+v", want.typed, u)
		}
		if got := u.CreatedAt.Format(time.RFC3339Nano); got != want.created {
			t.Errorf("%s: created %s, want %s", want.typed, got, want.created)
		}
		if got := u.LastLoginAt; !got.IsZero() && got.Format(time.RFC3339Nano) != want.login || got.IsZero() != (want.login == "") {
			t.Errorf("%s: last login %s, want %q", want.typed, got, want.login)
		}
	}
	ada, err := s.UserByID(t.Context(), "0a1b2c3d4e5f")
	if err != nil || ada.Email != "Ada.Lovelace@Example.org" || ada.DisplayName != "Ada" ||
		bcrypt.CompareHashAndPassword([]byte(ada.PasswordHash), []byte("correct horse")) != nil {
		t.Errorf("Ada = %+v, %v; want her unchanged", ada, err)
	}
	if email, ok, err := s.DefaultPasswordAdmin(t.Context()); err != nil || !ok || email != "admin@pico.local" {
		t.Errorf("DefaultPasswordAdmin = %q, %v, %v", email, ok, err)
	}
}

func lookAtRefreshTokens(t *testing.T, s *store.Store) {
	t.Helper()
	for _, token := range []string{"refresh-of-ada", "refresh-of-bob"} {
		g, err := rotate(t, s, token)
		if err != nil {
			t.Errorf("%s does not rotate: %v", token, err)
			continue
		}
		if want := map[string]string{"refresh-of-ada": "612f8df88801", "refresh-of-bob": "612f8df88802"}[token]; g.FamilyID != want {
			t.Errorf("%s is of the family %s, want one of its own, %s", token, g.FamilyID, want)
		}
	}
	if _, err := rotate(t, s, "refresh-of-ada"); !errors.Is(err, store.ErrReuse) {
		t.Errorf("an adopted token presented again: %v, want reuse", err)
	}
	if _, err := rotate(t, s, "successor of refresh-of-bob"); err != nil {
		t.Errorf("reuse of Ada's token ended Bob's family: %v", err)
	}
	for _, token := range []string{"refresh-of-ada-expired", "refresh-of-nobody", "refresh-of-carol"} {
		if _, err := rotate(t, s, token); fault.KindOf(err) != fault.Unauthenticated || errors.Is(err, store.ErrReuse) {
			t.Errorf("%s: %v, want it refused", token, err)
		}
	}
}

func lookAtGroups(t *testing.T, s *store.Store) {
	t.Helper()
	for id, want := range map[string][]string{
		"aaaaaaaaaaaa": {"0a1b2c3d4e5f", "1b2c3d4e5f60"}, "bbbbbbbbbbbb": {"0a1b2c3d4e5f"}, "cccccccccccc": {"2c3d4e5f6071"},
	} {
		_, members, err := s.Group(t.Context(), identity.Actor{Kind: identity.ActorSystem}, id, false)
		if err != nil {
			t.Errorf("group %s: %v", id, err)
		}
		var got []string
		for _, m := range members {
			got = append(got, m.UserID)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("members of %s (-want +got):\n%s", id, diff)
		}
	}
	ops, _, err := s.Group(t.Context(), identity.Actor{Kind: identity.ActorSystem}, "aaaaaaaaaaaa", false)
	if err != nil || ops.Name != "Ops" || ops.Description != "On call" || ops.OrgID != "default" ||
		ops.CreatedAt.Day() != 5 || ops.UpdatedAt.Day() != 6 {
		t.Errorf("group = %+v, %v", ops, err)
	}
	g, err := rotate(t, s, "successor of successor of refresh-of-bob")
	if err != nil || !slices.Equal(g.Groups, []string{"aaaaaaaaaaaa"}) {
		t.Errorf("Bob's next token has the groups %q, %v", g.Groups, err)
	}
}

func lookAtServiceTokens(t *testing.T, s *store.Store) {
	t.Helper()
	st, err := s.ServiceTokenByHash(t.Context(), []string{hashOf("pico_svc_ci")})
	if err != nil || st.Name != "ci" || st.Role != identity.Operator || st.OrgID != "robots" || st.Description != "Builds" || st.OrgStatus != identity.Active {
		t.Errorf("service token = %+v, %v", st, err)
	}
	if _, err := s.ServiceTokenByHash(t.Context(), []string{hashOf("pico_svc_old")}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a revoked token: %v, want not found", err)
	}
}

func lookAtLog(t *testing.T, engine, backup, log string, minor int) {
	t.Helper()
	wants := []string{"users=4", "refresh_tokens=2", "expired_refresh_tokens=1", "ownerless_refresh_tokens=2"}
	if engine == "postgres" {
		wants = append(wants, "no copy is made", "pg_dump")
		if backup != "" {
			t.Errorf("backup = %q on PostgreSQL", backup)
		}
	} else {
		wants = append(wants, backup)
		info, err := os.Stat(backup)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("backup: %v, %v; want mode 0600", info, err)
		}
	}
	if minor >= 2 {
		wants = append(wants, "memberships=4", "dropped_memberships=3", "no such group", "no such user", "different organizations", "eeeeeeeeeeee")
	}
	for _, want := range wants {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "$2b$") || strings.Contains(log, hashOf("refresh-of-ada")) || strings.Contains(log, "mailbox password") {
		t.Errorf("the log holds a secret:\n%s", log)
	}
}
