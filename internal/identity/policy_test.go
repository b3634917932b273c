package identity_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// outcome is the result of a decision.
type outcome string

const (
	allowed   outcome = "allowed"
	forbidden outcome = "forbidden"
	notFound  outcome = "not found"
)

func outcomeOf(t *testing.T, err error) outcome {
	t.Helper()
	switch {
	case err == nil:
		return allowed
	case errors.Is(err, identity.ErrForbidden):
		return forbidden
	case fault.KindOf(err) == fault.NotFound:
		return notFound
	default:
		t.Fatalf("unexpected refusal: %v", err)
		return ""
	}
}

// standing is everything about an actor that decisions use.
type standing struct {
	role      identity.Role
	status    identity.Status
	orgStatus identity.Status
}

// principal is the actor, who has just signed in.
func (s standing) principal(orgID string) identity.Principal {
	p := s.user(orgID).Principal()
	p.Recent = true
	return p
}

func (s standing) user(orgID string) identity.User {
	return identity.User{ID: "actor", Role: s.role, OrgID: orgID, Status: s.status, OrgStatus: s.orgStatus}
}

func (s standing) String() string {
	return fmt.Sprintf("%q %s in %s org", s.role, s.status, s.orgStatus)
}

// standings are all combinations of role, status and organization's status,
// including those that no database should hold.
func standings() []standing {
	var all []standing
	for _, role := range append(identity.Roles(), "", "root", "SUPERADMIN") {
		for _, status := range []identity.Status{identity.Active, identity.Suspended, "", "pending"} {
			for _, org := range []identity.Status{identity.Active, identity.Suspended, ""} {
				all = append(all, standing{role, status, org})
			}
		}
	}
	return all
}

func (s standing) signsIn() bool {
	return s.status == identity.Active && s.orgStatus == identity.Active
}

func TestOnlyActiveUsersOfActiveOrganizationsSignIn(t *testing.T) {
	for _, s := range standings() {
		want := s.status == "active" && s.orgStatus == "active"
		if got := identity.CanSignIn(s.user("a")); got != want {
			t.Errorf("%v: CanSignIn = %v, want %v", s, got, want)
		}
		anonymous := s.user("a")
		anonymous.ID = ""
		if identity.CanSignIn(anonymous) {
			t.Errorf("%v: a user without an id signs in", s)
		}
	}
}

func TestServiceTokenIsUsableUntilRevokedExpiredOrItsOrganizationSuspended(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	valid := identity.ServiceToken{ID: "t", OrgStatus: identity.Active, ExpiresAt: now.Add(1)}
	if !identity.CanUseServiceToken(valid, now) {
		t.Error("a valid token is refused")
	}
	for name, change := range map[string]func(*identity.ServiceToken){
		"no id":                  func(s *identity.ServiceToken) { s.ID = "" },
		"revoked":                func(s *identity.ServiceToken) { s.RevokedAt = s.RevokedAt.AddDate(2026, 0, 0) },
		"expired":                func(s *identity.ServiceToken) { s.ExpiresAt = now },
		"suspended organization": func(s *identity.ServiceToken) { s.OrgStatus = identity.Suspended },
		"unknown organization":   func(s *identity.ServiceToken) { s.OrgStatus = "" },
	} {
		changed := valid
		change(&changed)
		if identity.CanUseServiceToken(changed, now) {
			t.Errorf("%s: the token is usable", name)
		}
	}
}

// What each role may do in its own and in another organization, as in the API
// contract; the tests try every combination with these.
var (
	mayAdminister = map[identity.Role][2]outcome{ // own, other organization
		identity.Viewer:     {forbidden, forbidden},
		identity.Operator:   {forbidden, forbidden},
		identity.OrgAdmin:   {allowed, notFound},
		identity.Superadmin: {allowed, allowed},
	}
	maySee = map[identity.Role][2]outcome{
		identity.Viewer:     {allowed, notFound},
		identity.Operator:   {allowed, notFound},
		identity.OrgAdmin:   {allowed, notFound},
		identity.Superadmin: {allowed, allowed},
	}
	mayGrant = map[identity.Role]map[identity.Role]outcome{
		identity.Viewer:     {},
		identity.Operator:   {},
		identity.OrgAdmin:   {identity.Viewer: allowed, identity.Operator: allowed, identity.OrgAdmin: allowed},
		identity.Superadmin: {identity.Viewer: allowed, identity.Operator: allowed, identity.OrgAdmin: allowed, identity.Superadmin: allowed},
	}
)

// wanted returns the expected outcome; an actor that cannot sign in is refused.
func wanted(table map[identity.Role][2]outcome, s standing, other int) outcome {
	row, known := table[s.role]
	if !s.signsIn() || !known {
		return forbidden
	}
	return row[other]
}

func TestAdministeringIsForAdminsOfThatOrganization(t *testing.T) {
	for _, s := range standings() {
		for other, org := range []string{"a", "b"} {
			got := outcomeOf(t, identity.MayAdminister(s.principal("a"), org, "group"))
			if want := wanted(mayAdminister, s, other); got != want {
				t.Errorf("%v administers organization %s: %s, want %s", s, org, got, want)
			}
		}
	}
}

func TestSeeingIsForUsersOfThatOrganization(t *testing.T) {
	for _, s := range standings() {
		for other, org := range []string{"a", "b"} {
			want := wanted(maySee, s, other)
			if _, known := maySee[s.role]; !known && s.signsIn() {
				want = []outcome{allowed, notFound}[other] // a member, whatever the role
			}
			if got := outcomeOf(t, identity.MaySee(s.principal("a"), org, "group")); got != want {
				t.Errorf("%v sees organization %s: %s, want %s", s, org, got, want)
			}
		}
	}
}

func TestNoActorGrantsAboveItsOwnRole(t *testing.T) {
	for _, s := range standings() {
		for _, role := range append(identity.Roles(), "", "root", "Viewer") {
			want := forbidden
			if s.signsIn() && mayGrant[s.role][role] == allowed {
				want = allowed
			}
			if got := outcomeOf(t, identity.MayGrant(s.principal("a"), role)); got != want {
				t.Errorf("%v grants %q: %s, want %s", s, role, got, want)
			}
		}
	}
}

// TestNoActorManagesAboveItsOwnRole tries actor role x status x organization
// status x target role x target status x target organization.
func TestNoActorManagesAboveItsOwnRole(t *testing.T) {
	for _, s := range standings() {
		for _, target := range standings() {
			for other, org := range []string{"a", "b"} {
				want := wanted(mayAdminister, s, other)
				if want == allowed && mayGrant[s.role][target.role] != allowed {
					want = forbidden
				}
				victim := target.user(org)
				victim.ID = "target"
				if got := outcomeOf(t, identity.MayManage(s.principal("a"), victim.Principal())); got != want {
					t.Errorf("%v manages %v of organization %s: %s, want %s", s, target, org, got, want)
				}
			}
		}
	}
}

func TestARefusalNamesTheKindOfObject(t *testing.T) {
	admin := identity.Principal{Kind: identity.ActorUser, Role: identity.OrgAdmin, OrgID: "a", Active: true}
	for _, err := range []error{identity.MayAdminister(admin, "b", "group"), identity.MaySee(admin, "b", "group")} {
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != "not_found" || f.Message != "there is no such group" {
			t.Errorf("got %#v", err)
		}
	}
}

func TestServiceTokensAndClientsNeverReachASuperadmin(t *testing.T) {
	for _, kind := range []identity.ActorKind{identity.ActorServiceToken, identity.ActorClient} {
		for _, role := range append(identity.Roles(), "", "root") {
			actor := identity.Principal{Kind: kind, Role: role, OrgID: "a", Active: true}
			for _, other := range identity.Roles() {
				want := mayGrant[role][other]
				if want == "" || other == identity.Superadmin {
					want = forbidden
				}
				if got := outcomeOf(t, identity.MayGrant(actor, other)); got != want {
					t.Errorf("%s, %s grants %s: %s, want %s", kind, role, other, got, want)
				}
				if got := outcomeOf(t, identity.MayManage(actor, identity.Principal{Role: other, OrgID: "a"})); got != want {
					t.Errorf("%s, %s manages %s: %s, want %s", kind, role, other, got, want)
				}
				if got := outcomeOf(t, identity.MayRevoke(actor, identity.ServiceToken{Role: other, OrgID: "a"})); got != want {
					t.Errorf("%s, %s revokes a service token that is %s: %s, want %s", kind, role, other, got, want)
				}
			}
			if got := outcomeOf(t, identity.MayChangeKeys(actor)); got != forbidden {
				t.Errorf("%s, %s changes keys: %s", kind, role, got)
			}
		}
	}
}

func TestOnlySuperadminsAndTheSystemChangeKeysAndSettings(t *testing.T) {
	for _, s := range standings() {
		want := forbidden
		if s.signsIn() && s.role == identity.Superadmin {
			want = allowed
		}
		for what, rule := range map[string]func(identity.Principal) error{"keys": identity.MayChangeKeys, "settings": identity.MayConfigure} {
			if got := outcomeOf(t, rule(s.principal("a"))); got != want {
				t.Errorf("%v changes %s: %s, want %s", s, what, got, want)
			}
			if got := outcomeOf(t, rule(identity.System())); got != allowed {
				t.Errorf("the system changes %s: %s", what, got)
			}
		}
	}
}

func TestTheSystemMayDoEverything(t *testing.T) {
	for _, role := range append(identity.Roles(), "", "root") { // the system repairs rows with an unknown role, too
		target := identity.Principal{Role: role, OrgID: "a"}
		for name, err := range map[string]error{
			"grant":      identity.MayGrant(identity.System(), role),
			"manage":     identity.MayManage(identity.System(), target),
			"administer": identity.MayAdminister(identity.System(), "a", "group"),
			"see":        identity.MaySee(identity.System(), "a", "group"),
			"revoke":     identity.MayRevoke(identity.System(), identity.ServiceToken{Role: role, OrgID: "a"}),
		} {
			if err != nil {
				t.Errorf("the system, %s %q: %v", name, role, err)
			}
		}
	}
}

func TestAPrincipalWithoutAKindMayGrantNothing(t *testing.T) {
	for name, actor := range map[string]identity.Principal{
		"zero":            {},
		"without a kind":  {Role: identity.Superadmin, OrgID: "a", Active: true},
		"of another kind": {Kind: "root", Role: identity.Superadmin, OrgID: "a", Active: true},
		"not active":      {Kind: identity.ActorSystem, Role: identity.Superadmin, OrgID: "a"},
	} {
		for what, err := range map[string]error{
			"grant":  identity.MayGrant(actor, identity.Viewer),
			"manage": identity.MayManage(actor, identity.Principal{Role: identity.Viewer, OrgID: "a"}),
			"keys":   identity.MayChangeKeys(actor),
		} {
			if !errors.Is(err, identity.ErrForbidden) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestAServiceTokenOfAnUnknownRoleIsLeftToSuperadmins(t *testing.T) {
	adopted := identity.ServiceToken{Role: "root", OrgID: "a"}
	for role, want := range map[identity.Role]outcome{identity.OrgAdmin: forbidden, identity.Superadmin: allowed} {
		actor := identity.Principal{Kind: identity.ActorUser, Role: role, OrgID: "a", Active: true}
		if got := outcomeOf(t, identity.MayRevoke(actor, adopted)); got != want {
			t.Errorf("%s: %s, want %s", role, got, want)
		}
	}
}

func TestPrivilegedActsNeedARecentSignIn(t *testing.T) {
	root := identity.Principal{Kind: identity.ActorUser, ID: "root", Role: identity.Superadmin, OrgID: "a", Active: true}
	viewer := identity.Principal{Kind: identity.ActorUser, ID: "viewer", Role: identity.Viewer, OrgID: "a", Active: true}
	recent := root
	recent.Recent = true
	token := root
	token.Kind = identity.ActorServiceToken
	for name, act := range map[string]func(identity.Principal) error{
		"grant superadmin": func(p identity.Principal) error { return identity.MayGrant(p, identity.Superadmin) },
		"reset a password": func(p identity.Principal) error { return identity.MayResetPassword(p, viewer) },
		"change keys":      identity.MayChangeKeys,
	} {
		for who, p := range map[string]identity.Principal{"recent": recent, "the system": identity.System()} {
			if err := act(p); err != nil {
				t.Errorf("%s, %s: %v", name, who, err)
			}
		}
		if err := act(root); !errors.Is(err, identity.ErrReauthenticate) {
			t.Errorf("%s: %v", name, err)
		}
		weak := viewer // a recent sign-in would not help
		if err := act(weak); !errors.Is(err, identity.ErrForbidden) {
			t.Errorf("%s, viewer: %v", name, err)
		}
	}
	if err := identity.MayResetPassword(token, viewer); err != nil {
		t.Errorf("a service token, which has no sign-in: %v", err)
	}
	for name, err := range map[string]error{
		"grant org_admin": identity.MayGrant(root, identity.OrgAdmin),
		"revoke":          identity.MayRevoke(root, identity.ServiceToken{Role: identity.Superadmin, OrgID: "a"}),
		"manage":          identity.MayManage(root, viewer),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := identity.MayResetPassword(recent, recent); !errors.Is(err, identity.ErrOwnPassword) {
		t.Errorf("one's own password: %v", err)
	}
}

func TestASignInIsRecentUntilItsMaximumAge(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at     time.Time
		max    time.Duration
		recent bool
	}{
		{now, time.Minute, true},
		{now.Add(-time.Minute), time.Minute, true},
		{now.Add(-time.Minute - 1), time.Minute, false},
		{now.Add(time.Minute), time.Minute, true}, // by the clock of another replica
		{time.Time{}, time.Minute, false},
		{now.AddDate(-1, 0, 0), 0, true},
		{time.Time{}, 0, true},
	} {
		if p := (identity.Principal{}).SignedIn(c.at, now, c.max); p.Recent != c.recent {
			t.Errorf("%+v: %t", c, p.Recent)
		}
	}
}

// TestSessionsAreManagedByTheirUserAndAsUsersAre tries actor role x status x target
// role x target organization.
func TestSessionsAreManagedByTheirUserAndAsUsersAre(t *testing.T) {
	for _, s := range standings() {
		actor := s.principal("a")
		want := forbidden
		if s.signsIn() {
			want = allowed
		}
		if got := outcomeOf(t, identity.MayManageSessions(actor, actor)); got != want {
			t.Errorf("%v manages their own: %s, want %s", s, got, want)
		}
		for _, target := range standings() {
			for _, org := range []string{"a", "b"} {
				victim := target.user(org)
				victim.ID = "target"
				want := outcomeOf(t, identity.MayManage(actor, victim.Principal()))
				if got := outcomeOf(t, identity.MayManageSessions(actor, victim.Principal())); got != want {
					t.Errorf("%v manages those of %v of organization %s: %s, want %s", s, target, org, got, want)
				}
			}
		}
	}
	token := identity.Principal{Kind: identity.ActorServiceToken, ID: "x", Role: identity.Viewer, OrgID: "a", Active: true}
	if err := identity.MayManageSessions(token, identity.Principal{ID: "x", Role: identity.Viewer, OrgID: "a"}); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a service token with the id of a user: %v", err)
	}
}

// A client signs in the users of its organization, roles and groups that may sign in at
// all, and none while it is suspended or unknown.
func TestWhoMayUseAClient(t *testing.T) {
	user := identity.User{ID: "u", Role: identity.Operator, OrgID: "acme", Status: identity.Active, OrgStatus: identity.Active}
	suspended, elsewhere := user, user
	suspended.Status, elsewhere.OrgStatus = identity.Suspended, identity.Suspended
	groups := []string{"g1", "g2"}
	for name, c := range map[string]struct {
		user   identity.User
		policy identity.ClientPolicy
		want   bool
	}{
		"the zero policy":                  {user, identity.ClientPolicy{}, false},
		"suspended client":                 {user, identity.ClientPolicy{OrgID: "acme"}, false},
		"any user":                         {user, identity.ClientPolicy{Active: true}, true},
		"no user":                          {identity.User{}, identity.ClientPolicy{Active: true}, false},
		"suspended user":                   {suspended, identity.ClientPolicy{Active: true}, false},
		"user of a suspended organization": {elsewhere, identity.ClientPolicy{Active: true}, false},
		"own organization":                 {user, identity.ClientPolicy{Active: true, OrgID: "acme"}, true},
		"other organization":               {user, identity.ClientPolicy{Active: true, OrgID: "default"}, false},
		"one of the roles":                 {user, identity.ClientPolicy{Active: true, Roles: []string{"viewer", "operator"}}, true},
		"none of the roles":                {user, identity.ClientPolicy{Active: true, Roles: []string{"superadmin"}}, false},
		"member of one group":              {user, identity.ClientPolicy{Active: true, Groups: []string{"g9", "g2"}}, true},
		"member of no group":               {user, identity.ClientPolicy{Active: true, Groups: []string{"g9"}}, false},
		"the group and not the role":       {user, identity.ClientPolicy{Active: true, Groups: []string{"g1"}, Roles: []string{"viewer"}}, false},
	} {
		if got := identity.CanUseClient(c.user, groups, c.policy); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
