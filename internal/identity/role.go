package identity

import "github.com/pico-auth/pico-auth/internal/fault"

// Role is what a user may do in general. Roles are ordered: see AtLeast.
type Role string

// The roles, weakest first.
const (
	Viewer     Role = "viewer"
	Operator   Role = "operator"
	OrgAdmin   Role = "org_admin"
	Superadmin Role = "superadmin"
)

// Roles returns all roles, weakest first.
func Roles() []Role { return []Role{Viewer, Operator, OrgAdmin, Superadmin} }

// ParseRole returns the role of that exact name.
func ParseRole(name string) (Role, error) {
	r := Role(name)
	if r.rank() == 0 {
		return "", fault.BadField("role", "role must be one of viewer, operator, org_admin, superadmin")
	}
	return r, nil
}

func (r Role) rank() int {
	for i, role := range Roles() {
		if r == role {
			return i + 1
		}
	}
	return 0
}

// AtLeast reports whether r is other or stronger. An unknown role is weaker
// than every known one, and nothing is at least as strong as an unknown one.
func (r Role) AtLeast(other Role) bool {
	return other.rank() > 0 && r.rank() >= other.rank()
}
