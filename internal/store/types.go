package store

import (
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/trace"
)

// Act is an operation as the audit log records it. The method that takes it checks
// the permission of By and writes the audit row in its own transaction.
type Act struct {
	Action identity.Action // for the audit log
	By     identity.Actor  // the caller, and its address
	Detail string          // details for the audit log; never a secret; optional

	Tokens identity.TokenDecision // about the service tokens of the user who is suspended, deleted, demoted or moved; optional
}

// Outcomes of audit events.
const (
	OutcomeSuccess = "success"
	OutcomeRefused = "refused"
)

// Event is one row of the audit log.
type Event struct {
	ID         string    // empty on insertion: a new one
	At         time.Time // zero on insertion: now
	Action     identity.Action
	Outcome    string             // OutcomeSuccess or OutcomeRefused
	ActorKind  identity.ActorKind // empty: not authenticated
	ActorID    string             // as in identity.Actor
	OnBehalfOf string             // as in identity.Actor
	TargetID   string
	OrgID      string
	Address    string
	RequestID  string
	Detail     string

	Trace trace.Context // of the request; for the log, not stored
}

// ListFilter narrows and pages a list.
type ListFilter struct {
	OrgID  string // empty: see the method
	Limit  int    // 0 or more than MaxPage: MaxPage
	Cursor string // Page.Next of the previous page with the same filter; empty: from the start

	Members bool // of groups only: identity.SeesOwnGroupsOnly applies

	// Of users only; empty: all, in order of creation.
	EmailKey string
	Query    string // the beginning of the address or the name
	Role     identity.Role
	Status   identity.Status
	Sort     string // one of UserSorts
}

// MaxPage is the most rows one page has.
const MaxPage = 1000

// Page is one page of a list.
type Page[T any] struct {
	Items []T    // never nil
	Total int    // rows on all pages; of a search at most 1,000
	Next  string // cursor of the next page; empty: this is the last
}

// PresentedRefresh is a refresh token as a client presents it.
type PresentedRefresh struct {
	ClientID string
	Hashes   []string // one or two: the forms in which its secret may be stored
	Issued   bool     // this server issued it: it is not looked up before the transaction

	SharedHash string        // of the part that all tokens of a family share; empty: it has none
	Grace      time.Duration // so long after its use it yields its successor again, if it was sealed; 0: not at all

	// Permit may refuse to mark the token, which then is as if it had not been
	// presented. Asking needs a read. nil: it is permitted.
	Permit func(userID, familyID string) error

	// Admit decides about a token of a registered client, in the transaction; an error
	// leaves the token unused. nil: a token of the first-party client.
	Admit func(of Subject) error
}

// Rotation is the result of a rotation.
type Rotation struct {
	Subject
	Repeated *Successor // what a token that was used before had been exchanged for; nil: the token was not
}

// NewRefresh is a refresh token to be stored, and the access token that is issued
// with it.
type NewRefresh struct {
	ID              string    // of the row; empty: a new one
	Hash            string    // of the secret
	SharedHash      string    // PresentedRefresh.SharedHash; that of the token which it succeeds, if that has one
	Sealed          string    // the secret, sealed for the client that has the token which it succeeds; empty: there is no grace
	ExpiresAt       time.Time // capped by the end of the family
	AccessJTI       string    // of the tokens of a registered client ID, by which ClientBearer finds the row
	AccessExpiresAt time.Time
}

// NewFamily is a refresh token family to be stored: what one client holds of a
// session.
type NewFamily struct {
	ID       string // empty: a new one
	ClientID string
	Granted
	ExpiresAt time.Time // the latest expiry of its refresh tokens; zero: with the session
	First     NewRefresh

	// Limit is how many sessions the user may have with the one that starts with this
	// family, and how many families clients may have, see limitFamilies. The least recently
	// used ends. 0: no limit.
	Limit int

	// Permit decides in the transaction whether the session may have one family more.
	// nil: it may.
	Permit func(userID, sessionID string) error
}

// idleEnd is when the family ends unless it is used.
func (f NewFamily) idleEnd() time.Time { return earlier(f.First.ExpiresAt, f.ExpiresAt) }

// Granted is what a user allowed a client, and how they were authenticated at that
// moment: what is issued for the family never says more.
type Granted struct {
	Scope    string    // separated by spaces; optional
	Audience string    // the resources asked for (RFC 8707), separated by spaces; empty: none was
	Claims   string    // the parameter claims (OpenID Connect Core 5.5), JSON; optional
	AuthTime time.Time // zero: as the session says
	AMR      []string
	ACR      string
}

// Subject is the user, or the service token, that an access token is signed for, as
// read in the transaction that allowed it. Of the user it has at least what claims and
// identity.CanSignIn need.
type Subject struct {
	User       identity.User         // zero: a service token
	Service    identity.ServiceToken // zero: a user
	Groups     []string              // ids, sorted, never nil
	GroupNames []string              // in the order of Groups; nil unless Config.GroupNames is set
	SessionID  string
	FamilyID   string
	Granted    *Granted // of a registered client; nil: the first-party client
}

// AdoptedKey is what is known of the key that an adopted Python installation
// was signing with.
type AdoptedKey struct {
	Pending    bool   // an adoption has not yet decided which key it is
	Thumbprint string // the key that keeps the original's kid; empty: none
}

// The refusals that callers distinguish with errors.Is.
var (
	ErrLastSuperadmin = fault.New(fault.Conflict, "last_superadmin", "the last active superadmin must stay one")
)

// Settings keys and values.
const (
	settingRegistration  = "registration_enabled"
	settingGuard         = "superadmin_guard"
	settingAdoptedKey    = "adopted_key"
	adoptedKeyPending    = "pending" // never a thumbprint: those have 43 characters
	settingKeySet        = "key_set_version"
	settingLegacyHashKey = "legacy_hash_key"
	settingKeyRows       = "key_rows_authenticated"
	settingAuditHead     = "audit_head"
	settingAuditAnchor   = "audit_anchor"

	settingThrottleSecret = "throttle_secret"
)
