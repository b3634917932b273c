package adopt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// adopted is the original's content in our form, and what was found in it.
type adopted struct {
	orgs          []string // sorted, the default one included
	users         []identity.User
	groups        []identity.Group
	members       []adoptedMember
	refreshTokens []adoptedRefresh
	serviceTokens []adoptedService

	expired    int      // refresh tokens dropped because they have expired
	ownerless  int      // refresh tokens dropped because no user may use them
	dropped    []string // a sentence for each membership dropped
	warnings   []string // oddities that are kept
	collisions []string // rows that would become one row; they forbid adoption
	resolving  []string // SQL that renames all but one of them
	problems   []string // rows that cannot be translated; they forbid adoption
}

type adoptedMember struct {
	groupID string
	identity.Member
}

// adoptedRefresh is a refresh token and its family, which has the same id.
type adoptedRefresh struct {
	id, userID, hash               string
	createdAt, expiresAt, familyTo time.Time
}

type adoptedService struct {
	identity.ServiceToken
	hash string
}

// translator translates the original's rows one by one.
type translator struct {
	adopted
	now        time.Time
	sessionEnd time.Time // when families of adopted refresh tokens end
	userByID   map[string]identity.User
	orgOfGroup map[string]string
}

// translate translates o at the time now. It is pure; no finding stops it, so that
// all of them are reported together.
func translate(o original, now time.Time, sessionMax time.Duration) adopted {
	t := translator{
		now: now, sessionEnd: now.Add(sessionMax),
		userByID: make(map[string]identity.User, len(o.users)), orgOfGroup: make(map[string]string, len(o.groups)),
	}
	for _, u := range o.users {
		t.user(u)
	}
	for _, g := range o.groups {
		t.group(g)
	}
	for _, m := range o.members {
		t.member(m)
	}
	for _, r := range o.refreshTokens {
		t.refreshToken(r)
	}
	for _, s := range o.serviceTokens {
		t.serviceToken(s)
	}
	t.findCrowded()
	t.findCollisions()
	t.collectOrgs()
	return t.adopted
}

func (t *translator) user(u legacyUser) {
	who := fmt.Sprintf("the user %q (id %q)", u.email, u.id)
	t.checkID(who, u.id)
	row := identity.User{
		ID: u.id, Email: identity.ShownEmail(u.email), EmailKey: identity.EmailKey(u.email), DisplayName: u.displayName,
		PasswordHash: identity.PasswordHash(u.hash), Role: identity.Role(u.role), OrgID: u.orgID,
		Status: identity.Status(u.status), CreatedAt: t.time(who, "created_at", u.createdAt),
	}
	if _, err := identity.ParseRole(u.role); err != nil {
		t.problems = append(t.problems, fmt.Sprintf("%s has the unknown role %q", who, u.role))
	}
	if !row.Status.Valid() {
		t.problems = append(t.problems, fmt.Sprintf("%s has the unknown status %q", who, u.status))
	}
	if u.lastLoginAt.Valid {
		row.LastLoginAt = t.time(who, "last_login_at", u.lastLoginAt.String)
	}
	t.users = append(t.users, row)
	t.userByID[u.id] = row
}

func (t *translator) group(g legacyGroup) {
	what := fmt.Sprintf("the group %q (id %q)", g.name, g.id)
	t.checkID(what, g.id)
	t.groups = append(t.groups, identity.Group{
		ID: g.id, Name: g.name, Description: g.description, OrgID: g.orgID,
		CreatedAt: t.time(what, "created_at", g.createdAt),
		UpdatedAt: t.time(what, "updated_at", g.updatedAt),
	})
	t.orgOfGroup[g.id] = g.orgID
}

// member drops memberships that the original did not delete with their user or
// group, and those across organizations: a group and its members are of one
// organization.
func (t *translator) member(m legacyMember) {
	what := fmt.Sprintf("the membership of the user %q in the group %q", m.userID, m.groupID)
	org, hasGroup := t.orgOfGroup[m.groupID]
	user, hasUser := t.userByID[m.userID]
	switch {
	case !hasGroup && !hasUser:
		t.dropped = append(t.dropped, what+": neither exists")
	case !hasGroup:
		t.dropped = append(t.dropped, what+": there is no such group")
	case !hasUser:
		t.dropped = append(t.dropped, what+": there is no such user")
	case user.OrgID != org:
		t.dropped = append(t.dropped, fmt.Sprintf("%s: they are of different organizations, %q and %q", what, user.OrgID, org))
	default:
		joined := t.time(what, "joined_at", m.joinedAt)
		t.members = append(t.members, adoptedMember{m.groupID, identity.Member{UserID: m.userID, JoinedAt: joined}})
	}
}

// refreshToken gives each valid token a family of its own, since the original
// did not store which token succeeded which. Those of suspended users are dropped:
// here a suspension ends them.
func (t *translator) refreshToken(r legacyRefresh) {
	if t.userByID[r.userID].Status == identity.Suspended || t.userByID[r.userID].ID != r.userID || r.userID == "" {
		t.ownerless++
		return
	}
	what := fmt.Sprintf("the refresh token with id %q of the user %q", r.id, r.userID)
	expires, err := parseLegacyTime(r.expiresAt)
	if err == nil && !expires.After(t.now) {
		t.expired++
		return
	}
	if err != nil {
		t.unreadable(what, "expires_at", r.expiresAt)
	}
	if expires.After(t.sessionEnd) {
		expires = t.sessionEnd
	}
	t.refreshTokens = append(t.refreshTokens, adoptedRefresh{
		id: r.id, userID: r.userID, hash: r.hash, expiresAt: expires, familyTo: t.sessionEnd,
		createdAt: t.time(what, "created_at", r.createdAt),
	})
}

// serviceToken keeps any role, since the original did not check it: an unknown role
// has fewer permissions here than every known one, and a client that validates the
// token gets the same response as before.
func (t *translator) serviceToken(s legacyService) {
	what := fmt.Sprintf("the service token %q (id %q)", s.name, s.id)
	row := adoptedService{hash: s.hash, ServiceToken: identity.ServiceToken{
		ID: s.id, Name: s.name, Role: identity.Role(s.role), OrgID: s.orgID, Description: s.description,
		CreatedAt: t.time(what, "created_at", s.createdAt),
	}}
	if s.revokedAt.Valid {
		row.RevokedAt = t.time(what, "revoked_at", s.revokedAt.String)
	} else if _, err := identity.ParseRole(s.role); err != nil {
		t.warnings = append(t.warnings, fmt.Sprintf("%s keeps its unknown role %q, which allows nothing here", what, s.role))
	}
	t.serviceTokens = append(t.serviceTokens, row)
}

func (t *translator) checkID(what, id string) {
	if !identity.ValidID(id) {
		t.warnings = append(t.warnings, what+" keeps an id that the API cannot name")
	}
}

func (t *translator) time(what, column, text string) time.Time {
	at, err := parseLegacyTime(text)
	if err != nil {
		t.unreadable(what, column, text)
	}
	return at
}

func (t *translator) unreadable(what, column, text string) {
	t.problems = append(t.problems, fmt.Sprintf("%s has no readable %s: %q", what, column, text))
}

// findCrowded warns of each user in more groups than one user joins here; the original
// had no limit.
func (t *translator) findCrowded() {
	groups := make(map[string]int)
	for _, m := range t.members {
		groups[m.UserID]++
	}
	for _, u := range t.users {
		if n := groups[u.ID]; n > store.MaxGroups {
			t.warnings = append(t.warnings, fmt.Sprintf(
				"the user %q (id %q) is in %d groups and stays in them; here a user joins at most %d", u.Email, u.ID, n, store.MaxGroups))
		}
	}
}

// collectOrgs makes an organization for each id that a row names; the original
// had no table of them.
func (t *translator) collectOrgs() {
	t.orgs = []string{identity.DefaultOrg}
	for _, u := range t.users {
		t.orgs = append(t.orgs, u.OrgID)
	}
	for _, g := range t.groups {
		t.orgs = append(t.orgs, g.OrgID)
	}
	for _, s := range t.serviceTokens {
		t.orgs = append(t.orgs, s.OrgID)
	}
	slices.SortFunc(t.orgs, cmp.Compare[string])
	t.orgs = slices.Compact(t.orgs)
}
