package picoauth

import (
	"errors"
	"net/http"
)

// Role is what a user may do, from Viewer to Superadmin. Roles are ordered:
//
//	if who.Role >= picoauth.Operator {
//
// The zero Role is weaker than all others: a token without a role, or with one that
// this package does not know.
type Role int

// The roles, from weakest to strongest. Each may do what those before it may.
const (
	Viewer Role = iota + 1
	Operator
	OrgAdmin // of the organization in OrgID only
	Superadmin
)

var roleNames = [...]string{Viewer: "viewer", Operator: "operator", OrgAdmin: "org_admin", Superadmin: "superadmin"}

// String returns the role's name in a token; empty for the zero Role.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return ""
	}
	return roleNames[r]
}

// MarshalText implements encoding.TextMarshaler: a role is written by its name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses unknown names; an
// empty one is the zero Role.
func (r *Role) UnmarshalText(text []byte) error {
	role := roleNamed(string(text))
	if role == 0 && len(text) > 0 {
		return errors.New("picoauth: unknown role")
	}
	*r = role
	return nil
}

// roleNamed is the zero Role for unknown names: a role without a place in the order
// grants nothing.
func roleNamed(name string) Role {
	for role := Viewer; role <= Superadmin; role++ {
		if name == roleNames[role] {
			return role
		}
	}
	return 0
}

// MinRole is middleware that lets a request pass whose token has this role or a
// stronger one. It goes inside Guard.Require or Guard.Optional:
//
//	mux.Handle("DELETE /notes/{id}", guard.Require(picoauth.MinRole(picoauth.Operator)(deleteNote)))
//
// A request without a token is refused with 401, one with a weaker role with
// 403. MinRole panics when role is none of the constants.
func MinRole(role Role) func(http.Handler) http.Handler {
	if role < Viewer || role > Superadmin {
		panic("picoauth: MinRole: not a role; use picoauth.Viewer, Operator, OrgAdmin or Superadmin")
	}
	return demand(insufficientScope("this needs at least the role "+role.String()), func(who *SecurityContext) bool { return who.Role >= role })
}

// RequireGroup is middleware that lets a request pass whose user is in at least
// one of the groups, given by id. To require several groups together, nest it. It
// goes inside Guard.Require or Guard.Optional. A request without a token is
// refused with 401, one of a user outside the groups with 403. Without ids every
// request is refused.
func RequireGroup(ids ...string) func(http.Handler) http.Handler {
	return demand(insufficientScope("this needs membership of another group"), func(who *SecurityContext) bool { return who.InGroup(ids...) })
}

func demand(refusal *Refusal, pass func(*SecurityContext) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, ok := FromContext(r.Context())
			switch {
			case !ok:
				asRefusal(ErrNoToken).write(w)
			case !pass(who):
				refusal.write(w)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}
