package directory

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// ChangePassword replaces the password of by, who proves the old one. All
// their sessions end; the access token of this one lives out its quarter of an
// hour. A wrong old password is Forbidden, invalid_credentials.
func (d *Directory) ChangePassword(ctx context.Context, by identity.Actor, oldPassword, newPassword string) error {
	if by.Kind != identity.ActorUser {
		return identity.ErrForbidden
	}
	user, err := d.store.UserByID(ctx, by.ID)
	if err != nil {
		return fmt.Errorf("read person: %w", err)
	}
	if err := d.passwords.Check("new_password", newPassword, user.Email); err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionChangePassword, By: by}
	matches, err := d.passwords.Verify(ctx, user.PasswordHash, oldPassword)
	if err != nil {
		return fmt.Errorf("verify old password: %w", err)
	}
	if !matches {
		act.Detail = "wrong_password"
		return d.ended(ctx, act, user.ID,
			fault.New(fault.Forbidden, "invalid_credentials", "the old password is not right"))
	}
	hash, err := d.passwords.Hash(ctx, newPassword)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	return d.ended(ctx, act, user.ID, d.store.ChangePassword(ctx, act, user.PasswordHash, hash))
}

// ResetPassword gives a person a password on an administrator's behalf, which
// ends their sessions.
func (d *Directory) ResetPassword(ctx context.Context, by identity.Actor, userID, newPassword string) error {
	act := store.Act{Action: identity.ActionResetPassword, By: by}
	target, err := d.manageable(ctx, by, userID)
	if err != nil {
		return d.ended(ctx, act, userID, err)
	}
	if err := d.passwords.Check("new_password", newPassword, target.Email); err != nil {
		return err
	}
	hash, err := d.passwords.Hash(ctx, newPassword)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	return d.ended(ctx, act, userID, d.store.ResetPassword(ctx, act, userID, hash))
}

// manageable returns the person when by may manage them: what the transaction
// asks again, before a hash is spent.
func (d *Directory) manageable(ctx context.Context, by identity.Actor, userID string) (identity.User, error) {
	actor, err := d.administrator(ctx, by)
	if err != nil {
		return identity.User{}, err
	}
	if !identity.ValidID(userID) {
		return identity.User{}, errNoUser()
	}
	target, err := d.store.UserByID(ctx, userID)
	if err != nil {
		return identity.User{}, fmt.Errorf("read person: %w", err)
	}
	return target, identity.MayManage(actor, target.Principal())
}
