package adopt_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

const collisions = `
INSERT INTO users VALUES ('c1', 'Ada@Example.org', '', 'x', 'viewer', 'default', 'suspended', '2026-01-01T00:00:00', '2026-11-02T00:00:00');
INSERT INTO users VALUES ('c''2', 'ada@example.ORG', '', 'x', 'viewer', 'default', 'active', '2026-01-02T00:00:00', NULL);
INSERT INTO users VALUES ('c3', 'ADA@example.org', '', 'x', 'viewer', 'default', 'active', '2026-01-03T00:00:00', '2026-11-01T00:00:00');
INSERT INTO users VALUES ('c4', '2-Ada@example.org', '', 'x', 'viewer', 'default', 'active', '2026-01-01T00:00:00', NULL);
INSERT INTO groups VALUES ('g1', 'Night watch', '', 'default', '2026-01-02T00:00:00', '2026-01-02T00:00:00');
INSERT INTO groups VALUES ('g2', ' Night watch', '', 'default', '2026-01-01T00:00:00', '2026-01-02T00:00:00');
INSERT INTO groups VALUES ('g3', 'Night watch (2)', '', 'default', '2026-01-01T00:00:00', '2026-01-02T00:00:00');
INSERT INTO group_members VALUES ('g1', 'c3', '2026-01-02T00:00:00');
INSERT INTO service_tokens VALUES ('s1', 'deploy', 'h1', 'operator', 'default', '', '2026-01-02T00:00:00', NULL);
INSERT INTO service_tokens VALUES ('s2', 'deploy', 'h2', 'operator', 'default', '', '2026-01-01T00:00:00', NULL);
INSERT INTO service_tokens VALUES ('s3', 'deploy', 'h3', 'operator', 'default', '', '2026-01-01T00:00:00', '2026-01-02T00:00:00');`

func TestTheSQLThatIsShownResolvesCollisionsAndKeepsTheOneInUse(t *testing.T) {
	eachOriginal(t, 3, collisions, func(t *testing.T, url string, raw *sql.DB) {
		var log bytes.Buffer
		cfg := store.Config{
			URL: url, Now: func() time.Time { return movingDay }, Adopt: adopt.New(adopt.Config{}),
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		plan, err := transfer.Check(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), cfg)
		if err == nil || len(plan.Collisions) != 3 || len(plan.Resolving) != 4 {
			t.Fatalf("start: %v, collisions %q, SQL %q", err, plan.Collisions, plan.Resolving)
		}
		for _, statement := range plan.Resolving {
			if !strings.Contains(err.Error(), statement) {
				t.Errorf("the start does not show %s:\n%v", statement, err)
			}
			execRaw(t, raw, statement)
		}
		if plan, err = transfer.Check(t.Context(), cfg); err != nil || !plan.OK() {
			t.Fatalf("after its SQL the check says %v %q %q", err, plan.Collisions, plan.Problems)
		}
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw = openRaw(t, url)
		for query, want := range map[string]string{
			"SELECT id || ' ' || email FROM users WHERE id LIKE 'c%' ORDER BY id":         "c'2 3-ada@example.ORG, c1 4-Ada@Example.org, c3 ADA@example.org, c4 2-Ada@example.org",
			"SELECT id || ' ' || name FROM groups WHERE id LIKE 'g_' ORDER BY id":         "g1 Night watch, g2  Night watch (3), g3 Night watch (2)",
			"SELECT id || ' ' || name FROM service_tokens WHERE id LIKE 's_' ORDER BY id": "s1 deploy (2), s2 deploy, s3 deploy",
		} {
			if got := strings.Join(queryRaw(t, raw, query), ", "); got != want {
				t.Errorf("%s:\n got %s\nwant %s", query, got, want)
			}
		}
		// The log of the adoption counts as the check did.
		for name, n := range map[string]int{
			"users": plan.Users, "groups": plan.Groups, "memberships": plan.Memberships, "refresh_tokens": plan.RefreshTokens,
			"service_tokens": plan.ServiceTokens, "dropped_memberships": plan.DanglingMembers,
		} {
			if want := fmt.Sprintf(" %s=%d ", name, n); !strings.Contains(log.String(), want) {
				t.Errorf("the log of the adoption lacks %q:\n%s", want, log.String())
			}
		}
	})
}
