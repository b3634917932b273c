package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// ChangePassword replaces the actor's password, proved by the old one, and
// returns the tokens with which their session continues. All their other sessions
// end. A wrong old password is Forbidden, invalid_credentials.
func (d *Directory) ChangePassword(ctx context.Context, by identity.Actor, oldPassword, newPassword string) (token.Pair, error) {
	act := store.Act{Action: identity.ActionChangePassword, By: by}
	proof, hash, err := d.newPassword(ctx, act, oldPassword, newPassword)
	if err != nil {
		return token.Pair{}, err
	}
	pair, err := d.sessions.ChangePassword(ctx, act, proof, hash)
	return pair, d.ended(ctx, act, by.ID, err)
}

// ChangePasswordInBrowser is ChangePassword for an actor in a browser, whose session
// continues with the cookie returned.
func (d *Directory) ChangePasswordInBrowser(ctx context.Context, by identity.Actor, oldPassword, newPassword string) (session.Cookie, error) {
	act := store.Act{Action: identity.ActionChangePassword, By: by}
	proof, hash, err := d.newPassword(ctx, act, oldPassword, newPassword)
	if err != nil {
		return "", err
	}
	cookie, err := d.sessions.ChangePasswordInBrowser(ctx, act, proof, hash)
	return cookie, d.ended(ctx, act, by.ID, err)
}

// newPassword proves the actor by the old password, and returns the hash of the new one.
func (d *Directory) newPassword(ctx context.Context, act store.Act, oldPassword, newPassword string) (proof identity.Proof, hash identity.PasswordHash, err error) {
	if act.By.Kind != identity.ActorUser {
		return proof, "", identity.ErrForbidden
	}
	user, err := d.store.UserByID(ctx, act.By.ID)
	if err != nil {
		return proof, "", fmt.Errorf("read user: %w", err)
	}
	if err := d.checkPassword(ctx, "new_password", newPassword, user.Email, user.OrgID); err != nil {
		return proof, "", err
	}
	if proof, err = d.confirm(ctx, act, oldPassword); err != nil {
		return proof, "", err
	}
	if hash, err = d.passwords.Hash(ctx, act.By.Network, newPassword); err != nil {
		return proof, "", fmt.Errorf("hash password: %w", err)
	}
	return proof, hash, nil
}

// Reauthenticate proves the actor by their password again, for acts that need a
// recent sign-in. A wrong password is Forbidden, invalid_credentials.
func (d *Directory) Reauthenticate(ctx context.Context, by identity.Actor, password string) error {
	if by.Kind != identity.ActorUser {
		return identity.ErrForbidden
	}
	act := store.Act{Action: identity.ActionReauthenticate, By: by}
	proof, err := d.confirm(ctx, act, password)
	if err != nil {
		return err
	}
	return d.ended(ctx, act, by.ID, d.sessions.Reauthenticate(ctx, act, proof))
}

// confirm proves the actor by their password, for an act on their own account.
func (d *Directory) confirm(ctx context.Context, act store.Act, password string) (identity.Proof, error) {
	proof, err := d.login.Confirm(ctx, act.By, act.By.ID, password)
	if errors.Is(err, login.ErrWrongPassword) {
		act.Detail = "wrong_password"
	}
	return proof, d.ended(ctx, act, act.By.ID, err)
}

// ResetPassword sets a user's password on an administrator's behalf, which
// ends their sessions.
func (d *Directory) ResetPassword(ctx context.Context, by identity.Actor, userID, newPassword string) error {
	act := store.Act{Action: identity.ActionResetPassword, By: by}
	target, err := d.resettable(ctx, by, userID)
	if err != nil {
		return d.ended(ctx, act, userID, err)
	}
	if err := d.checkPassword(ctx, "new_password", newPassword, target.Email, target.OrgID); err != nil {
		return err
	}
	if err := d.throttle.Change(ctx, by); err != nil {
		return err
	}
	hash, err := d.passwords.Hash(ctx, by.Network, newPassword)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	return d.ended(ctx, act, userID, d.store.ResetPassword(ctx, act, userID, hash))
}

// checkPassword applies the policy to a new password of a user with that address in
// the organization.
func (d *Directory) checkPassword(ctx context.Context, field, password, email, orgID string) error {
	about := []string{email, orgID}
	if identity.ValidID(orgID) {
		org, err := d.store.Organization(ctx, identity.Actor{Kind: identity.ActorSystem}, orgID)
		switch {
		case err == nil:
			about = append(about, org.Name)
		case fault.KindOf(err) != fault.NotFound: // a new user may make the organization
			return fmt.Errorf("read organization: %w", err)
		}
	}
	return d.passwords.Check(field, password, about...)
}

// resettable returns the user when by may reset their password: the check that the
// transaction repeats, before the cost of a hash.
func (d *Directory) resettable(ctx context.Context, by identity.Actor, userID string) (identity.User, error) {
	actor, err := d.administrator(ctx, by)
	if err != nil {
		return identity.User{}, err
	}
	if !identity.ValidID(userID) {
		return identity.User{}, identity.ErrNoUser
	}
	target, err := d.store.UserByID(ctx, userID)
	if err != nil {
		return identity.User{}, fmt.Errorf("read user: %w", err)
	}
	return target, identity.MayResetPassword(actor, target.Principal())
}
