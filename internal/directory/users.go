package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// NewUser describes a new user.
type NewUser struct {
	Email       string
	Password    string
	DisplayName string // optional
	Role        string // empty: viewer
	OrgID       string // empty: the organization of the actor; a superadmin may name any, even a new one

	EmailVerified bool // the user receives mail at the address
}

// CreateUser makes a user on an administrator's behalf.
func (d *Directory) CreateUser(ctx context.Context, by identity.Actor, n NewUser) (identity.User, error) {
	act := store.Act{Action: identity.ActionCreateUser, By: by}
	actor, err := d.administrator(ctx, by)
	if err != nil {
		return identity.User{}, d.ended(ctx, act, "", err)
	}
	if n.OrgID == "" {
		n.OrgID = actor.OrgID
	}
	if err := d.mayCreate(actor, n); err != nil {
		return identity.User{}, d.ended(ctx, act, "", err)
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.User{}, err
	}
	user, err := d.newUser(ctx, by, n)
	if err != nil {
		return identity.User{}, err
	}
	act.Detail = string(user.Role)
	if err := d.ended(ctx, act, user.ID, d.store.CreateUser(ctx, act, user)); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// mayCreate makes the check that the transaction repeats, before the cost of a
// hash. Unknown roles are left to the validation.
func (d *Directory) mayCreate(actor identity.Principal, n NewUser) error {
	if err := identity.MayAdminister(actor, n.OrgID, "organization"); err != nil {
		return err
	}
	if role, err := identity.ParseRole(n.Role); err == nil {
		return identity.MayGrant(actor, role)
	}
	return nil
}

// newUser checks every field, hashes the password and returns the user.
func (d *Directory) newUser(ctx context.Context, by identity.Actor, n NewUser) (identity.User, error) {
	if n.Role == "" {
		n.Role = string(identity.Viewer)
	}
	if n.OrgID == "" {
		n.OrgID = identity.DefaultOrg
	}
	email, badEmail := identity.ParseEmail(n.Email)
	role, badRole := identity.ParseRole(n.Role)
	err := fault.Gather(
		badEmail,
		d.checkPassword(ctx, "password", n.Password, n.Email, n.OrgID),
		identity.ValidateDisplayName(n.DisplayName),
		badRole,
		identity.ValidateOrgID(n.OrgID),
	)
	if err != nil {
		return identity.User{}, err
	}
	hash, err := d.passwords.Hash(ctx, by.Network, n.Password)
	if err != nil {
		return identity.User{}, fmt.Errorf("hash password: %w", err)
	}
	return identity.User{
		ID: store.NewID(), Email: email, EmailKey: identity.EmailKey(email), DisplayName: identity.TrimName(n.DisplayName),
		PasswordHash: hash, PasswordForm: identity.FormNFC, Role: role, OrgID: n.OrgID, OrgStatus: identity.Active,
		EmailVerified: n.EmailVerified, Status: identity.Active, CreatedAt: d.now().UTC().Truncate(time.Microsecond),
	}, nil
}

// Users lists the users that by may administer, first created first.
func (d *Directory) Users(ctx context.Context, by identity.Actor, f Filter) (Page[identity.User], error) {
	filter, none, err := f.forStore()
	if err != nil || none {
		return Page[identity.User]{Items: []identity.User{}}, err
	}
	page, err := d.store.Users(ctx, by, filter)
	if err != nil {
		return Page[identity.User]{}, fmt.Errorf("list users: %w", err)
	}
	return page, nil
}

// SetRole gives a user another role, which ends their sessions. tokens decides about
// the service tokens of one who is demoted, and may be empty.
func (d *Directory) SetRole(ctx context.Context, by identity.Actor, userID, role string, tokens identity.TokenDecision) (identity.User, error) {
	r, badRole := identity.ParseRole(role)
	if err := fault.Gather(badRole, checkDecision(tokens)); err != nil {
		return identity.User{}, err
	}
	if !identity.ValidID(userID) {
		return identity.User{}, identity.ErrNoUser
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.User{}, err
	}
	act := store.Act{Action: identity.ActionSetRole, By: by, Detail: role, Tokens: tokens}
	user, err := d.store.SetRole(ctx, act, userID, r)
	if err := d.ended(ctx, act, userID, err); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// SetStatus suspends a user, which ends their sessions, or activates them
// again. tokens decides about the service tokens of one who is suspended, and may be
// empty.
func (d *Directory) SetStatus(ctx context.Context, by identity.Actor, userID, status string, tokens identity.TokenDecision) (identity.User, error) {
	s := identity.Status(status)
	var badStatus error
	if !s.Valid() {
		badStatus = fault.BadField("status", "status must be one of active, suspended")
	}
	if err := fault.Gather(badStatus, checkDecision(tokens)); err != nil {
		return identity.User{}, err
	}
	if !identity.ValidID(userID) {
		return identity.User{}, identity.ErrNoUser
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.User{}, err
	}
	act := store.Act{Action: identity.ActionSetStatus, By: by, Detail: status, Tokens: tokens}
	user, err := d.store.SetStatus(ctx, act, userID, s)
	if err := d.ended(ctx, act, userID, err); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// Delete removes a user, their sessions and memberships. tokens decides about their
// service tokens, and may be empty.
func (d *Directory) Delete(ctx context.Context, by identity.Actor, userID string, tokens identity.TokenDecision) error {
	if err := checkDecision(tokens); err != nil {
		return err
	}
	if !identity.ValidID(userID) {
		return identity.ErrNoUser
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionDeleteUser, By: by, Tokens: tokens}
	return d.ended(ctx, act, userID, d.store.DeleteUser(ctx, act, userID))
}

func checkDecision(tokens identity.TokenDecision) error {
	if !tokens.Valid() {
		return fault.BadField("service_tokens", "service_tokens must be one of revoke, keep")
	}
	return nil
}
