package directory

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// UserChange is what Update changes. What is nil or not in Profile stays.
type UserChange struct {
	Profile map[string]string // see identity.ChangeProfile
	Email   *string
	OrgID   *string

	EmailVerified *bool                      // that the user receives mail at the address; another address is not verified
	Metadata      map[string]json.RawMessage // see identity.ChangeMetadata

	Tokens identity.TokenDecision // about the service tokens of one who is moved
}

// User returns a user that by may administer, with what stands in the way of a
// sign-in.
func (d *Directory) User(ctx context.Context, by identity.Actor, userID string) (store.Standing, error) {
	if !identity.ValidID(userID) {
		return store.Standing{}, identity.ErrNoUser
	}
	standing, err := d.store.Standing(ctx, by, userID)
	if err != nil {
		return store.Standing{}, fmt.Errorf("read user: %w", err)
	}
	return standing, nil
}

// Update changes a user on an administrator's behalf. Another address or
// organization ends their sessions; only a superadmin moves users.
func (d *Directory) Update(ctx context.Context, by identity.Actor, userID string, change UserChange) (identity.User, error) {
	next := store.UserChange{Profile: change.Profile, EmailVerified: change.EmailVerified, Metadata: change.Metadata}
	_, badMetadata := identity.ChangeMetadata("", change.Metadata)
	faults := []error{checkProfile(change.Profile), checkDecision(change.Tokens), badMetadata}
	if change.Email != nil {
		email, err := identity.ParseEmail(*change.Email)
		next.Email = email
		faults = append(faults, err)
	}
	if change.OrgID != nil {
		next.OrgID = *change.OrgID
		if !identity.ValidID(next.OrgID) {
			faults = append(faults, fault.BadField("org_id", "org_id must be an existing organization"))
		}
	}
	if err := fault.Gather(faults...); err != nil {
		return identity.User{}, err
	}
	if !identity.ValidID(userID) {
		return identity.User{}, identity.ErrNoUser
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return identity.User{}, err
	}
	act := store.Act{Action: identity.ActionUpdateUser, By: by, Tokens: change.Tokens}
	user, err := d.store.UpdateUser(ctx, act, userID, next)
	if err := d.ended(ctx, act, userID, err); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// UpdateOwn changes the profile of the actor, and of their metadata the part user; nil:
// it stays. Too many changes are Throttled.
func (d *Directory) UpdateOwn(ctx context.Context, by identity.Actor, profile map[string]string, metadata json.RawMessage) (identity.User, error) {
	if err := checkProfile(profile); err != nil {
		return identity.User{}, err
	}
	if err := d.throttle.ProfileChange(ctx, by); err != nil {
		return identity.User{}, err
	}
	act := store.Act{Action: identity.ActionUpdateUser, By: by}
	user, err := d.store.UpdateOwn(ctx, act, profile, metadata)
	if err := d.ended(ctx, act, by.UserID(), err); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// checkProfile checks the fields of a change before any of them is stored.
func checkProfile(profile map[string]string) error {
	_, err := identity.ChangeProfile(&identity.User{}, profile)
	return err
}

// DeleteOwn removes the actor, proved by their password or, if it is empty, by a
// recent sign-in, where the age of that is limited. tokens says what happens to the service tokens that they own.
func (d *Directory) DeleteOwn(ctx context.Context, by identity.Actor, password string, tokens identity.TokenDecision) error {
	if by.Kind != identity.ActorUser {
		return identity.ErrForbidden
	}
	if err := checkDecision(tokens); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionDeleteUser, By: by, Tokens: tokens}
	var proof identity.Proof
	if password != "" {
		var err error
		if proof, err = d.confirm(ctx, act, password); err != nil {
			return err
		}
	}
	return d.ended(ctx, act, by.ID, d.store.DeleteOwn(ctx, act, proof))
}
