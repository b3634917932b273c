// Package identity is the vocabulary of users, organizations, groups and
// roles, and the rules that follow from them alone: valid names, equality of
// e-mail addresses, which user may sign in, and which actor may do what.
//
// It is pure: no clock, no database, no network. Every package above uses it; the
// store calls its policy inside the transaction that depends on the decision.
package identity

import (
	"log/slog"
	"time"
)

// DefaultOrg is the organization of users who register.
const DefaultOrg = "default"

// Status says whether a user or organization is active.
type Status string

// The statuses.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
)

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return s == Active || s == Suspended }

// PasswordHash is a bcrypt hash in its modular form. Printing redacts it.
type PasswordHash string

// String hides the hash from fmt and log.
func (PasswordHash) String() string { return "[redacted]" }

// GoString hides the hash from %#v.
func (PasswordHash) GoString() string { return "[redacted]" }

// LogValue hides the hash from slog.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// User is an account that signs in.
type User struct {
	ID              string
	Email           string // as typed, for display
	EmailKey        string // EmailKey(Email); unique
	DisplayName     string // optional
	PasswordHash    PasswordHash
	Role            Role
	OrgID           string
	OrgStatus       Status // of the organization, as read with the user
	Status          Status
	DefaultPassword bool      // still has the published default password
	CreatedAt       time.Time // UTC, microseconds
	LastLoginAt     time.Time // zero: never

	CredentialsVersion int64 // counts the changes of the user's credentials
}

// Group is a named set of users of one organization.
type Group struct {
	ID          string
	Name        string
	Description string // optional
	OrgID       string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Member is one user's membership in one group.
type Member struct {
	UserID   string
	JoinedAt time.Time
}

// ServiceToken is a named credential of a program. Its secret is stored only
// as a hash and is not part of it.
type ServiceToken struct {
	ID          string
	Name        string
	Role        Role
	OrgID       string
	OrgStatus   Status // of the organization, as read with the token
	Description string
	CreatedAt   time.Time
	RevokedAt   time.Time // zero: valid
}
