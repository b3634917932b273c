package identity

import (
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// ErrElsewhere is the cause of a NotFound that hides what belongs to another
// organisation. It is for the audit: a client must not learn which it was.
var ErrElsewhere = errors.New("it belongs to another organisation")

func hidden(what string) error {
	return fault.Wrap(fault.NotFound, "not_found", "there is no such "+what, ErrElsewhere)
}

// ErrForbidden is the answer to somebody who is known and may not.
var ErrForbidden = fault.New(fault.Forbidden, "forbidden", "your role does not allow this")

// CanSignIn is the one decision whether a person may have or use a token now.
// Login, refresh, every request with an access token and every later grant
// call it with a freshly read person.
func CanSignIn(u User) bool {
	return u.ID != "" && u.Status == Active && u.OrgStatus == Active
}

// CanUseServiceToken is the same decision for a program's token.
func CanUseServiceToken(t ServiceToken) bool {
	return t.ID != "" && t.RevokedAt.IsZero() && t.OrgStatus == Active
}

// MayAdminister decides whether actor may create, list and change things of
// the organisation. Another organisation's is not found rather than forbidden.
func MayAdminister(actor User, orgID, what string) error {
	switch {
	case !CanSignIn(actor) || !actor.Role.AtLeast(OrgAdmin):
		return ErrForbidden
	case actor.Role == Superadmin || actor.OrgID == orgID:
		return nil
	default:
		return hidden(what)
	}
}

// MaySee decides whether actor may read what belongs to the organisation.
func MaySee(actor User, orgID, what string) error {
	switch {
	case !CanSignIn(actor):
		return ErrForbidden
	case actor.Role == Superadmin || actor.OrgID == orgID:
		return nil
	default:
		return hidden(what)
	}
}

// MayGrant decides whether actor may give somebody the role: never one above
// their own.
func MayGrant(actor User, role Role) error {
	if !CanSignIn(actor) || !actor.Role.AtLeast(OrgAdmin) || !actor.Role.AtLeast(role) {
		return ErrForbidden
	}
	return nil
}

// MayManage decides whether actor may change, suspend, reset or delete target.
func MayManage(actor, target User) error {
	if err := MayAdminister(actor, target.OrgID, "user"); err != nil {
		return err
	}
	if !actor.Role.AtLeast(target.Role) {
		return ErrForbidden
	}
	return nil
}
