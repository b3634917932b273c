package adopt

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

var adoptionDay = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const adoptionLife = 90 * 24 * time.Hour

// userRow returns a row as the original wrote it.
func userRow(id, email string) legacyUser {
	return legacyUser{
		id: id, email: email, hash: "$2b$12$x", role: "viewer", orgID: "default", status: "active",
		createdAt: "2026-11-01T00:00:00+00:00",
	}
}

func team(id, name, org string) legacyGroup {
	return legacyGroup{id: id, name: name, orgID: org, createdAt: "2026-11-01T00:00:00+00:00", updatedAt: "2026-11-01T00:00:00+00:00"}
}

func robot(id, name string, revoked sql.NullString) legacyService {
	return legacyService{id: id, name: name, hash: "h" + id, role: "operator", orgID: "default", createdAt: "2026-11-01T00:00:00+00:00", revokedAt: revoked}
}

func TestTranslateNamesEveryCollision(t *testing.T) {
	revoked := sql.NullString{String: "2026-11-02T00:00:00+00:00", Valid: true}
	got := translate(original{
		users: []legacyUser{userRow("u1", "Ada@Example.org"), userRow("u2", "ada@example.ORG"), userRow("u3", "bob"), userRow("u4", "BOB"), userRow("u5", "eve@example.org")},
		groups: []legacyGroup{
			team("g1", "Ops", "default"), team("g2", "Ops ", "default"), team("g3", "ops", "default"), team("g4", "Ops", "acme"),
			team("g5", "Caf\u00e9", "acme"), team("g6", "Cafe\u0301", "acme"),
		},
		serviceTokens: []legacyService{robot("s1", "ci", sql.NullString{}), robot("s2", "ci", sql.NullString{}), robot("s3", "ci", revoked), robot("s4", "cd", revoked)},
	}, adoptionDay, adoptionLife)
	if len(got.collisions) != 5 {
		t.Errorf("collisions = %q, want 5", got.collisions)
	}
	for _, names := range [][]string{
		{`"Ada@Example.org" (id "u1")`, `"ada@example.ORG" (id "u2")`},
		{`"bob" (id "u3")`, `"BOB" (id "u4")`},
		{`"Ops" (id "g1", organization "default")`, `"Ops " (id "g2", organization "default")`},
		{`(id "g5", organization "acme")`, `(id "g6", organization "acme")`},
		{`"ci" (id "s1")`, `"ci" (id "s2")`},
	} {
		if !slices.ContainsFunc(got.collisions, func(s string) bool { return strings.Contains(s, names[0]) && strings.Contains(s, names[1]) }) {
			t.Errorf("collisions = %q, want one that names %q", got.collisions, names)
		}
	}
	for _, innocent := range []string{`"u5"`, `"g3"`, `"g4"`, `"s3"`, `"s4"`} {
		if strings.Contains(strings.Join(got.collisions, "\n"), innocent) {
			t.Errorf("collisions = %q, want none with %s", got.collisions, innocent)
		}
	}
}

func TestTranslateReportsEverythingItCannotTranslate(t *testing.T) {
	u1, u2, u3, u4 := userRow("u1", "a"), userRow("u2", "b"), userRow("u3", "c"), userRow("u4", "d")
	u1.role, u2.status, u3.createdAt = "owner", "locked", "yesterday"
	u4.lastLoginAt = sql.NullString{String: "", Valid: true}
	g1, g2 := team("g1", "x", "default"), team("g2", "y", "default")
	g1.createdAt, g2.updatedAt = "", "0"
	s1, s2 := robot("s1", "x", sql.NullString{}), robot("s2", "y", sql.NullString{String: "never", Valid: true})
	s1.createdAt = "-"
	got := translate(original{
		users: []legacyUser{u1, u2, u3, u4, userRow("u5", "e")}, groups: []legacyGroup{g1, g2},
		members: []legacyMember{{"g1", "u5", "soon"}, {"g9", "u5", "dropped, so never read"}},
		refreshTokens: []legacyRefresh{
			{"r1", "u5", "h1", "soon", "2026-11-01"},
			{"r2", "u5", "h2", "2026-12-01", "late"},
			{"r3", "u9", "h3", "dropped, so never read", ""},
			{"r4", "u5", "h4", "2026-11-01", "expired, so never read"},
		},
		serviceTokens: []legacyService{s1, s2},
	}, adoptionDay, adoptionLife)
	want := []string{
		`the user "a" (id "u1") has the unknown role "owner"`,
		`the user "b" (id "u2") has the unknown status "locked"`,
		`the user "c" (id "u3") has no readable created_at: "yesterday"`,
		`the user "d" (id "u4") has no readable last_login_at: ""`,
		`the group "x" (id "g1") has no readable created_at: ""`,
		`the group "y" (id "g2") has no readable updated_at: "0"`,
		`the membership of the user "u5" in the group "g1" has no readable joined_at: "soon"`,
		`the refresh token with id "r1" of the user "u5" has no readable expires_at: "soon"`,
		`the refresh token with id "r2" of the user "u5" has no readable created_at: "late"`,
		`the service token "x" (id "s1") has no readable created_at: "-"`,
		`the service token "y" (id "s2") has no readable revoked_at: "never"`,
	}
	if diff := cmp.Diff(want, got.problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestTranslateKeepsHarmlessOddities(t *testing.T) {
	long := strings.Repeat("x", 300)
	u := userRow("an id of the original that is far too long for ours", long+"@"+long)
	u.displayName, u.orgID = long+"\x07", ""
	agent := robot("s1", "ci\n", sql.NullString{})
	agent.role = "agent"
	got := translate(original{users: []legacyUser{u}, groups: []legacyGroup{team("g1", long, "")}, serviceTokens: []legacyService{agent}}, adoptionDay, adoptionLife)
	if len(got.problems)+len(got.collisions) > 0 {
		t.Fatalf("problems = %q, collisions = %q, want none", got.problems, got.collisions)
	}
	if len(got.warnings) != 2 || !strings.Contains(got.warnings[0], "far too long") || !strings.Contains(got.warnings[1], `"agent"`) {
		t.Errorf("warnings = %q, want the id and the role", got.warnings)
	}
	if g := got.users[0]; g.ID != u.id || g.Email != u.email || g.DisplayName != u.displayName || g.OrgID != "" {
		t.Errorf("user = %+v, want it unchanged", g)
	}
	if s := got.serviceTokens[0]; s.Name != "ci\n" || s.Role != "agent" {
		t.Errorf("service token = %+v, want it unchanged", s)
	}
	if want := []string{"", "default"}; !slices.Equal(got.orgs, want) {
		t.Errorf("orgs = %q, want %q", got.orgs, want)
	}
}

func TestTranslateNamesUsersInMoreGroupsThanAUserJoins(t *testing.T) {
	o := original{users: []legacyUser{userRow("u1", "many@example.org"), userRow("u2", "most@example.org")}}
	for i := range store.MaxGroups + 1 {
		id := fmt.Sprintf("g%d", i)
		o.groups = append(o.groups, team(id, id, "default"))
		o.members = append(o.members, legacyMember{groupID: id, userID: "u1"})
		if i > 0 {
			o.members = append(o.members, legacyMember{groupID: id, userID: "u2"})
		}
	}
	for i := range o.members {
		o.members[i].joinedAt = "2026-01-02T03:04:05"
	}
	got := translate(o, adoptionDay, adoptionLife)
	if len(got.warnings) != 1 || !strings.Contains(got.warnings[0], "many@example.org") || !strings.Contains(got.warnings[0], fmt.Sprint(store.MaxGroups+1, " groups")) {
		t.Errorf("warnings = %q, want the one user", got.warnings)
	}
	if len(got.members) != 2*store.MaxGroups+1 {
		t.Errorf("%d memberships, want all", len(got.members))
	}
}

func TestTranslateCapsRefreshTokensByTheirFamily(t *testing.T) {
	got := translate(original{users: []legacyUser{userRow("u1", "a")}, refreshTokens: []legacyRefresh{
		{"r1", "u1", "h1", "2027-11-22", "2026-11-01"},
		{"r2", "u1", "h2", "2026-11-22T12:00:00.000001+00:00", "2026-11-01"},
		{"r3", "u1", "h3", "2026-11-22T12:00:00+00:00", "2026-11-01"},
	}}, adoptionDay, adoptionLife)
	if len(got.refreshTokens) != 2 || got.expired != 1 {
		t.Fatalf("kept %d, expired %d, want 2 and 1: a token is invalid from its expiry on", len(got.refreshTokens), got.expired)
	}
	end := adoptionDay.Add(adoptionLife)
	if r := got.refreshTokens[0]; !r.expiresAt.Equal(end) || !r.familyTo.Equal(end) {
		t.Errorf("a token of a year ends %v, its family %v, want both at %v", r.expiresAt, r.familyTo, end)
	}
	if r := got.refreshTokens[1]; !r.expiresAt.Equal(adoptionDay.Add(time.Microsecond)) || !r.familyTo.Equal(end) {
		t.Errorf("a short token ends %v, its family %v", r.expiresAt, r.familyTo)
	}
}

// drawOriginal makes a database that the original could have written, with
// addresses, names and ids from small sets so that they collide.
func drawOriginal(t *rapid.T) original {
	var o original
	ids := rapid.StringMatching(`[0-9a-f]{2}`)
	at := rapid.SampledFrom([]string{"2026-11-01T00:00:00.000001+00:00", "2026-12-01T00:00:00+00:00", "2027-06-01T10:00:00+05:30", "2026-11-22T12:00:00Z"})
	orgs := rapid.SampledFrom([]string{"default", "acme"})
	for _, id := range rapid.SliceOfNDistinct(ids, 0, 8, rapid.ID).Draw(t, "users") {
		u := userRow(id, rapid.StringMatching(`[aA]?[bB][cC]?@[eE]x\.org`).Draw(t, "email"))
		u.orgID, u.createdAt = orgs.Draw(t, "org"), at.Draw(t, "created")
		u.status = rapid.SampledFrom([]string{"active", "active", "suspended"}).Draw(t, "status")
		o.users = append(o.users, u)
	}
	for _, id := range rapid.SliceOfNDistinct(ids, 0, 5, rapid.ID).Draw(t, "groups") {
		o.groups = append(o.groups, team(id, rapid.StringMatching(` ?[oO]ps`).Draw(t, "name"), orgs.Draw(t, "org")))
	}
	for _, pair := range rapid.SliceOfNDistinct(rapid.StringMatching(`[0-9a-f]{2} [0-9a-f]{2}`), 0, 12, rapid.ID).Draw(t, "members") {
		group, user, _ := strings.Cut(pair, " ")
		o.members = append(o.members, legacyMember{group, user, at.Draw(t, "joined")})
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "tokens") {
		o.refreshTokens = append(o.refreshTokens, legacyRefresh{
			id: fmt.Sprint("r", i), userID: ids.Draw(t, "of"), hash: fmt.Sprint("h", i), expiresAt: at.Draw(t, "expires"), createdAt: at.Draw(t, "created"),
		})
	}
	return o
}

func TestTranslateLosesNoUserGroupOrLiveToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOriginal(t)
		got := translate(o, adoptionDay, adoptionLife)
		if len(got.problems) > 0 {
			t.Fatalf("problems = %q", got.problems)
		}
		if len(got.users) != len(o.users) || len(got.groups) != len(o.groups) || len(got.members)+len(got.dropped) != len(o.members) ||
			len(got.refreshTokens)+got.expired+got.ownerless != len(o.refreshTokens) {
			t.Fatalf("counts differ: %+v", got)
		}
		users := map[string]identity.User{}
		keys := map[string]bool{}
		for _, u := range got.users {
			users[u.ID] = u
			keys[u.EmailKey] = true
		}
		names := map[string]bool{}
		for _, g := range got.groups {
			names[g.OrgID+"\x00"+identity.GroupKey(g.Name)] = true
		}
		if unique := len(keys) == len(o.users) && len(names) == len(o.groups); unique != (len(got.collisions) == 0) {
			t.Fatalf("collisions = %q, but every key is unique: %v", got.collisions, unique)
		}
		for _, r := range o.refreshTokens {
			expires, err := parseLegacyTime(r.expiresAt)
			live := err == nil && expires.After(adoptionDay) && users[r.userID].Status == identity.Active
			if kept := slices.ContainsFunc(got.refreshTokens, func(a adoptedRefresh) bool { return a.hash == r.hash }); kept != live {
				t.Fatalf("token %+v: kept %v, live %v", r, kept, live)
			}
		}
	})
}
