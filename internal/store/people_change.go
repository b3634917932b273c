package store

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// The verbs here lock the person's row first and end the families after it.
// StartFamily locks it too, so a family that starts meanwhile is either ended
// or never begun.

var errPasswordChanged = fault.New(fault.Conflict, "password_changed", "the password was changed meanwhile")

// SetRole gives a person a role, at most the actor's own, and ends their
// refresh families when it is another one than before.
func (s *Store) SetRole(ctx context.Context, act Act, userID string, role identity.Role) (u identity.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		if u, err = t.manage(act.By, userID); err != nil {
			return err
		}
		err := t.permit(act.By, func(actor identity.Principal) error { return identity.MayGrant(actor, role) })
		if err != nil {
			return err
		}
		if u.Role != role {
			if err := t.changeRole(u, role); err != nil {
				return err
			}
			u.Role = role
		}
		return t.done(act, u.ID, u.OrgID)
	})
	return u, err
}

func (t *tx) changeRole(u identity.User, role identity.Role) error {
	if role != identity.Superadmin {
		if err := t.spare(u); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE users SET role = $1 WHERE id = $2", string(role), u.ID); err != nil {
		return err
	}
	return t.endFamilies(u.ID, "", identity.EndRoleChange)
}

// SetStatus suspends a person, which ends their refresh families, or lets them
// in again.
func (s *Store) SetStatus(ctx context.Context, act Act, userID string, status identity.Status) (u identity.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		if u, err = t.manage(act.By, userID); err != nil {
			return err
		}
		if status != identity.Active {
			if err := t.spare(u); err != nil {
				return err
			}
			if err := t.endFamilies(u.ID, "", identity.EndSuspension); err != nil {
				return err
			}
		}
		if _, err := t.exec("UPDATE users SET status = $1 WHERE id = $2", string(status), u.ID); err != nil {
			return err
		}
		u.Status = status
		return t.done(act, u.ID, u.OrgID)
	})
	return u, err
}

// DeleteUser removes a person and their memberships, and ends their refresh
// families.
func (s *Store) DeleteUser(ctx context.Context, act Act, userID string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		u, err := t.manage(act.By, userID)
		if err != nil {
			return err
		}
		if err := t.spare(u); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM users WHERE id = $1", u.ID); err != nil {
			return err
		}
		if err := t.endFamilies(u.ID, "", identity.EndDeletion); err != nil {
			return err
		}
		return t.done(act, u.ID, u.OrgID)
	})
}

// ResetPassword sets somebody's password and ends their refresh families.
func (s *Store) ResetPassword(ctx context.Context, act Act, userID string, hash identity.PasswordHash) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.manage(act.By, userID)
		if err != nil {
			return err
		}
		return t.resetPassword(act, u, hash)
	})
}

func (t *tx) resetPassword(act Act, u identity.User, hash identity.PasswordHash) error {
	if _, err := t.exec("UPDATE users SET password_hash = $1, default_password = 0 WHERE id = $2", string(hash), u.ID); err != nil {
		return err
	}
	if err := t.endFamilies(u.ID, "", identity.EndPasswordReset); err != nil {
		return err
	}
	return t.done(act, u.ID, u.OrgID)
}

// ReplaceDefaultPassword is ResetPassword for somebody who still has the default
// password, else it is a Conflict "password_changed": of several replicas that
// start at the same moment one does it.
func (s *Store) ReplaceDefaultPassword(ctx context.Context, act Act, userID string, hash identity.PasswordHash) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.manage(act.By, userID)
		if err != nil {
			return err
		}
		if !u.DefaultPassword {
			return errPasswordChanged
		}
		return t.resetPassword(act, u, hash)
	})
}

// ChangePassword sets the actor's own password if the old one is still what the
// caller verified, else it is a Conflict "password_changed". All their refresh
// families end; the access token of the session that asks stays good until it
// expires.
func (s *Store) ChangePassword(ctx context.Context, act Act, oldHash, newHash identity.PasswordHash) error {
	return s.write(ctx, func(t *tx) error {
		if act.By.Kind != identity.ActorUser {
			return ErrInvalidToken
		}
		u, err := t.user(act.By.ID, t.forUpdate("u"))
		switch {
		case err != nil && fault.KindOf(err) != fault.NotFound:
			return err
		case !identity.CanSignIn(u):
			return ErrInvalidToken
		}
		n, err := t.exec("UPDATE users SET password_hash = $1, default_password = 0 WHERE id = $2 AND password_hash = $3",
			string(newHash), u.ID, string(oldHash))
		switch {
		case err != nil:
			return err
		case n != 1:
			return errPasswordChanged
		}
		if act.By.FamilyID != "" {
			if _, err := t.endFamily(u.ID, act.By.FamilyID, identity.EndOwnChange); err != nil {
				return err
			}
		}
		if err := t.endFamilies(u.ID, act.By.FamilyID, identity.EndPasswordChange); err != nil {
			return err
		}
		return t.done(act, u.ID, u.OrgID)
	})
}
