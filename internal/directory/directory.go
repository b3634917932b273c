// Package directory keeps users and groups: registration and creation, names,
// roles, statuses, memberships, and the first administrator.
//
// It owns the validation of input, the same for the API and the command line, and
// the order of work: cheap refusals before costly hashes. The permission check that
// counts is made inside the store's transaction; it is also made here first if a
// hash would be wasted. It does not authenticate users (login) and issues nothing
// (token). httpapi and the commands call it.
package directory

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// MaxLimit is the maximum length of a page of a list.
const MaxLimit = store.MaxPage

// Config is what a Directory needs. Store, Passwords and Audit are required;
// Login and Sessions are for ChangePassword.
type Config struct {
	Store     *store.Store
	Passwords *password.Hasher
	Audit     *audit.Log
	Login     *login.Login
	Sessions  *session.Sessions
	Throttle  *throttle.Throttle // nil: nothing is limited
	Log       *slog.Logger       // nil: discard

	RegistrationDefault bool   // whether anyone may register while no administrator has decided it
	RegistrationOff     bool   // the configuration forbids registration, whatever an administrator decided
	RegistrationOrg     string // organization of users who register; empty: identity.DefaultOrg
	GroupsOfMembers     bool   // viewers see the groups that they are a member of, and no others

	Now func() time.Time // nil: time.Now
}

// Directory manages users and groups. It is safe for concurrent use.
type Directory struct {
	store               *store.Store
	passwords           *password.Hasher
	audit               *audit.Log
	login               *login.Login
	sessions            *session.Sessions
	throttle            *throttle.Throttle
	log                 *slog.Logger
	registrationDefault bool
	registrationOff     bool
	registrationOrg     string
	groupsOfMembers     bool
	now                 func() time.Time
}

// New returns a Directory.
func New(cfg Config) *Directory {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Directory{
		store: cfg.Store, passwords: cfg.Passwords, audit: cfg.Audit, login: cfg.Login, sessions: cfg.Sessions, throttle: cfg.Throttle, log: cfg.Log,
		registrationDefault: cfg.RegistrationDefault, registrationOff: cfg.RegistrationOff,
		registrationOrg: cmp.Or(cfg.RegistrationOrg, identity.DefaultOrg), groupsOfMembers: cfg.GroupsOfMembers, now: cfg.Now,
	}
}

// Filter narrows a list. The zero Filter is its first MaxLimit elements.
type Filter struct {
	OrgID  string // for superadmins; empty: every organization for users, the actor's own for groups
	Limit  int    // 1 to MaxLimit; 0: MaxLimit
	Cursor string // Next of the previous page; empty: the first page

	// Of users only; empty: all, first created first.
	Email  string
	Query  string // the beginning of the address or the name, at most MaxQuery characters
	Role   string
	Status string
	Sort   string // one of store.UserSorts
}

// MaxQuery is the maximum length of what is searched for, in characters.
const MaxQuery = 64

// Page is one page of a list; Next is empty on the last one.
type Page[T any] = store.Page[T]

// forStore checks the filter. none reports that it names text that no row can
// hold, so that no row matches.
func (f Filter) forStore() (lf store.ListFilter, none bool, err error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return store.ListFilter{}, false, fault.BadField("limit", fmt.Sprintf("limit must be from 1 to %d", MaxLimit))
	}
	if utf8.RuneCountInString(f.Query) > MaxQuery {
		return store.ListFilter{}, false, fault.BadField("q", fmt.Sprintf("q must be at most %d characters long", MaxQuery))
	}
	if !identity.Storable(f.OrgID) || !identity.Storable(f.Email) || !identity.Storable(f.Query) {
		return store.ListFilter{}, true, nil
	}
	lf = store.ListFilter{
		OrgID: f.OrgID, Limit: f.Limit, Cursor: f.Cursor,
		Query: f.Query, Role: identity.Role(f.Role), Status: identity.Status(f.Status), Sort: f.Sort,
	}
	if f.Email != "" {
		lf.EmailKey = identity.EmailKey(f.Email)
	}
	return lf, false, nil
}

// administrator returns what policy knows of the actor, and an error when the actor
// may not administer at all.
func (d *Directory) administrator(ctx context.Context, by identity.Actor) (identity.Principal, error) {
	actor, err := d.store.Principal(ctx, by)
	if err != nil {
		return identity.Principal{}, fmt.Errorf("read actor: %w", err)
	}
	return actor, identity.MayAdminister(actor, actor.OrgID, "organization")
}

// ended adds the action to the error, and records a refusal of the actor. The
// store has recorded a success.
func (d *Directory) ended(ctx context.Context, act store.Act, targetID string, err error) error {
	if err == nil {
		return nil
	}
	d.audit.Refused(ctx, act, targetID, err)
	return fmt.Errorf("%s: %w", act.Action, err)
}
