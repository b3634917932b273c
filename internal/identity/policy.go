package identity

import (
	"errors"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// ErrElsewhere is the cause of a NotFound that hides what belongs to another
// organization. It is for the audit log: a client must not learn it.
var ErrElsewhere = errors.New("it belongs to another organization")

func hidden(what string) error {
	return fault.Wrap(fault.NotFound, "not_found", "there is no such "+what, ErrElsewhere)
}

// CanSignIn is the one decision whether a user may have or use a token now.
// Login, refresh, every request with an access token and every grant call it with
// a freshly read user.
func CanSignIn(u User) bool {
	return u.ID != "" && u.Status == Active && u.OrgStatus == Active
}

// ClientPolicy is which users a client signs in. The zero ClientPolicy signs in none.
type ClientPolicy struct {
	Active bool     // the client is not suspended
	OrgID  string   // users of this organization only; empty: of all
	Roles  []string // none: all
	Groups []string // ids; members of one of them only; none: all users
}

// CanUseClient is the one decision whether a user may have or use a token of a client
// now. Every grant calls it with a freshly read user, their groups, and the client's
// policy.
func CanUseClient(u User, groups []string, p ClientPolicy) bool {
	return CanSignIn(u) && p.Active &&
		(p.OrgID == "" || p.OrgID == u.OrgID) &&
		(len(p.Roles) == 0 || slices.Contains(p.Roles, string(u.Role))) &&
		(len(p.Groups) == 0 || slices.ContainsFunc(groups, func(id string) bool { return slices.Contains(p.Groups, id) }))
}

// CanUseServiceToken is the same decision for a service token.
func CanUseServiceToken(t ServiceToken, now time.Time) bool {
	return t.ID != "" && t.RevokedAt.IsZero() && t.OrgStatus == Active && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// MayAdminister decides whether actor may create, list and change objects of
// the organization. Those of another organization are not found rather than
// forbidden.
func MayAdminister(actor Principal, orgID, what string) error {
	switch {
	case !actor.Active || !actor.Role.AtLeast(OrgAdmin):
		return ErrForbidden
	case actor.Role == Superadmin || actor.OrgID == orgID:
		return nil
	default:
		return hidden(what)
	}
}

// MaySee decides whether actor may read what belongs to the organization.
func MaySee(actor Principal, orgID, what string) error {
	switch {
	case !actor.Active:
		return ErrForbidden
	case actor.Role == Superadmin || actor.OrgID == orgID:
		return nil
	default:
		return hidden(what)
	}
}

// SeesOwnGroupsOnly reports whether actor sees the groups that they are a member of
// and no others, where groups.visibility is members.
func SeesOwnGroupsOnly(actor Principal) bool { return !actor.Role.AtLeast(Operator) }

// MayGrant decides whether actor may give the role to a user or a service
// token: never one above their own, and only a user who signed in recently gives
// superadmin.
func MayGrant(actor Principal, role Role) error {
	if err := actor.reaches(role); err != nil || role != Superadmin {
		return err
	}
	return actor.recent()
}

// MayResetPassword decides whether actor may set the password of target. One's own
// is changed with the old one instead: a stolen access token is not an account.
func MayResetPassword(actor, target Principal) error {
	if err := MayManage(actor, target); err != nil {
		return err
	}
	if actor.is(target) {
		return ErrOwnPassword
	}
	return actor.recent()
}

// MayManage decides whether actor may change, suspend, reset or delete target.
func MayManage(actor, target Principal) error {
	if err := MayAdminister(actor, target.OrgID, "user"); err != nil {
		return err
	}
	if !actor.commands(target.Role) {
		return ErrForbidden
	}
	return nil
}

// MayManageSessions decides whether actor may list and end the sessions of target:
// all users those of their own, administrators those of users that they manage.
func MayManageSessions(actor, target Principal) error {
	if actor.Active && actor.is(target) {
		return nil
	}
	return MayManage(actor, target)
}

// MayChangeEmail decides whether actor may give target another address: it is what
// they sign in with, and what a forgotten password is reset by.
func MayChangeEmail(actor, target Principal) error {
	if err := MayManage(actor, target); err != nil {
		return err
	}
	return actor.recent()
}

// MayDeleteOwn decides whether a user may delete their own account without the
// password.
func MayDeleteOwn(actor Principal) error {
	if actor.Kind != ActorUser || !actor.Active {
		return ErrForbidden
	}
	return actor.recent()
}

// MayMove decides whether actor may move target to another organization.
func MayMove(actor, target Principal) error {
	if err := MayManage(actor, target); err != nil {
		return err
	}
	return MayConfigure(actor)
}

// MayGiveAudiences decides whether actor, who may give the role of the service token, may
// let it request audiences besides that of the server, or change those it has: users
// themselves and the system, as with clients, but no service token and no client.
func MayGiveAudiences(actor Principal) error {
	if actor.Kind != ActorUser && actor.Kind != ActorSystem {
		return ErrForbidden
	}
	return nil
}

// MayRevoke decides whether actor may revoke the service token: one of a role that
// they may give, however long ago they signed in. Only superadmins may revoke one that was adopted with an
// unknown role.
func MayRevoke(actor Principal, t ServiceToken) error {
	if err := MayAdminister(actor, t.OrgID, "service token"); err != nil {
		return err
	}
	if actor.Role == Superadmin && !Superadmin.AtLeast(t.Role) {
		return nil
	}
	return actor.reaches(t.Role)
}

// MayManageOrganizations decides whether actor may create, change and delete
// organizations.
func MayManageOrganizations(actor Principal) error { return MayConfigure(actor) }

// MayConfigure decides whether actor may change settings of the server.
func MayConfigure(actor Principal) error {
	if !actor.Active || !actor.Role.AtLeast(Superadmin) {
		return ErrForbidden
	}
	return nil
}

// MayChangeKeys decides whether actor may change the signing keys: superadmins who
// signed in recently and the system, but no service token and no client, whatever
// their role.
func MayChangeKeys(actor Principal) error {
	if !actor.Active || !actor.commands(Superadmin) {
		return ErrForbidden
	}
	return actor.recent()
}

// recent refuses a privileged act of a user who did not sign in recently, through a
// client or not. Service tokens and the system do not sign in.
func (p Principal) recent() error {
	if (p.Kind == ActorUser || p.Kind == ActorClient) && !p.Recent {
		return ErrReauthenticate
	}
	return nil
}

// reaches refuses actors that administer nothing, and roles above their own.
func (p Principal) reaches(role Role) error {
	if !p.Active || !p.Role.AtLeast(OrgAdmin) || !p.commands(role) {
		return ErrForbidden
	}
	return nil
}

// commands reports whether p may give the role, and change those who have it.
// Only users and the system may for superadmins: a secret in the configuration of
// a program must not be worth the whole server. The system may also repair rows
// with an unknown role.
func (p Principal) commands(role Role) bool {
	switch p.Kind {
	case ActorSystem:
		return true
	case ActorUser:
		return p.Role.AtLeast(role)
	case ActorServiceToken, ActorClient:
		return p.Role.AtLeast(role) && role != Superadmin
	default:
		return false
	}
}
