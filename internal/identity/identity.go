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

// DefaultOrg is the organization that always exists: of the first administrator, and
// of users who register unless auth.registration_org names another one.
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

// PasswordForm says which form of the password a hash is of.
type PasswordForm string

// The forms.
const (
	FormRaw PasswordForm = "raw" // as it was received
	FormNFC PasswordForm = "nfc" // Unicode form NFC
)

// User is an account that signs in.
type User struct {
	ID              string
	Email           string // see ParseEmail; of the original's users any text
	EmailKey        string // EmailKey(Email); unique
	DisplayName     string // optional
	PasswordHash    PasswordHash
	PasswordForm    PasswordForm
	Role            Role
	OrgID           string
	OrgStatus       Status // of the organization, as read with the user
	Status          Status
	DefaultPassword bool      // still has the published default password
	CreatedAt       time.Time // UTC, microseconds
	LastLoginAt     time.Time // zero: never

	Profile   Profile
	UpdatedAt time.Time // of the last change of the profile; zero: none

	EmailVerified bool   // an administrator says that the user receives mail at the address
	Metadata      string // a JSON object with the fields admin and user; empty: none, or not read

	CredentialsVersion int64 // counts the changes of the user's credentials
}

// Session is a user signed in on one device.
type Session struct {
	ID         string
	ClientID   string // of the JSON login: FirstPartyClient; empty: a browser
	CreatedAt  time.Time
	LastUsedAt time.Time // at most a minute too early
	ExpiresAt  time.Time // unless it is used again
	EndsAt     time.Time // however often it is used
	Address    string    // of the client that signed in; empty: unknown
	UserAgent  string    // as that client called itself
	Stay       bool      // in a browser: "stay signed in"

	// How the user was authenticated last.
	AuthTime time.Time
	Methods  []string // as in the claim amr
	ACR      string
}

// Organization is a tenant: each user, group and service token belongs to one.
type Organization struct {
	ID        string
	Name      string // for display, not unique
	Status    Status // Suspended: nothing that belongs to it is accepted
	CreatedAt time.Time
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
	OwnerID     string   // the user who answers for it; empty: none, as of an adopted one
	Audiences   []string // that it may be exchanged for; none: that of the server
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	LastUsedAt  time.Time // zero: never; up to some minutes late
	RevokedAt   time.Time // zero: valid
}

// TokenDecision says what happens to the service tokens of a user who is suspended,
// deleted, demoted or moved to another organization. The zero value is no decision: then a user who owns some is
// left unchanged.
type TokenDecision string

// The decisions.
const (
	RevokeTokens TokenDecision = "revoke"
	KeepTokens   TokenDecision = "keep" // the actor becomes their owner
)

// Valid reports whether d is one of the decisions, or none.
func (d TokenDecision) Valid() bool { return d == "" || d == RevokeTokens || d == KeepTokens }
