package store

import (
	"context"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// The methods here lock the user's row first and end the sessions after it.
// StartSession locks it too, so a session that starts concurrently is either ended
// or refused.

var errPasswordChanged = fault.New(fault.Conflict, "password_changed", "the password was changed by another request")

// SetRole gives a user a role, at most the actor's own, and ends their sessions
// when the role changes.
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
			if err := t.changeRole(act, u, role); err != nil {
				return err
			}
			u.Role = role
		}
		return t.done(act, u.ID, u.OrgID)
	})
	return u, err
}

func (t *tx) changeRole(act Act, u identity.User, role identity.Role) error {
	if role != identity.Superadmin {
		if err := t.spare(u); err != nil {
			return err
		}
	}
	if !role.AtLeast(u.Role) {
		if err := t.disown(act, u.ID); err != nil {
			return err
		}
	}
	if _, err := t.exec("UPDATE users SET role = $1 WHERE id = $2", string(role), u.ID); err != nil {
		return err
	}
	_, err := t.end(EndRoleChange, subjects{userID: u.ID})
	return err
}

// SetStatus suspends a user, which ends their sessions, or activates them again.
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
			if err := t.disown(act, u.ID); err != nil {
				return err
			}
			if _, err := t.end(EndSuspension, subjects{userID: u.ID}); err != nil {
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

// DeleteUser removes a user and their memberships, and ends their sessions.
func (s *Store) DeleteUser(ctx context.Context, act Act, userID string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		u, err := t.manage(act.By, userID)
		if err != nil {
			return err
		}
		return t.deleteUser(act, u)
	})
}

// ResetPassword sets another user's password and ends their sessions.
func (s *Store) ResetPassword(ctx context.Context, act Act, userID string, hash identity.PasswordHash) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayResetPassword)
		if err != nil {
			return err
		}
		return t.resetPassword(act, u, hash)
	})
}

func (t *tx) resetPassword(act Act, u identity.User, hash identity.PasswordHash) error {
	if _, err := t.exec("UPDATE users SET password_hash = $1, password_form = 'nfc', default_password = 0 WHERE id = $2", string(hash), u.ID); err != nil {
		return err
	}
	if _, err := t.end(EndPasswordReset, subjects{userID: u.ID}); err != nil {
		return err
	}
	return t.done(act, u.ID, u.OrgID)
}

// ReplaceDefaultPassword is ResetPassword for a user who still has the default
// password, otherwise it is a Conflict "password_changed": of several replicas that
// start concurrently one replaces it.
func (s *Store) ReplaceDefaultPassword(ctx context.Context, act Act, userID string, hash identity.PasswordHash) error {
	return s.write(ctx, func(t *tx) error {
		u, err := t.target(act.By, userID, identity.MayResetPassword)
		if err != nil {
			return err
		}
		if !u.DefaultPassword {
			return errPasswordChanged
		}
		return t.resetPassword(act, u, hash)
	})
}

// ChangePassword sets the actor's own password if their credentials are still
// those of proof, otherwise it is a Conflict "password_changed". It ends all their
// sessions except the actor's, which continues with the refresh token of next only.
// If the access token names no valid session, a new one starts.
func (s *Store) ChangePassword(ctx context.Context, act Act, proof identity.Proof, hash identity.PasswordHash, next NewFamily) (g Subject, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, session, end, err := t.changePassword(act, proof, hash)
		if err != nil {
			return err
		}
		_, err = t.exec("UPDATE sessions SET spared_jti = $1 WHERE id = $2 AND user_id = $3", act.By.TokenID, act.By.SessionID, u.ID)
		if err != nil {
			return err
		}
		if session == "" {
			g, err = t.startSession(act, u, proof, next)
		} else {
			next.ExpiresAt = end
			g, err = t.restartFamily(u, session, next)
		}
		if err != nil {
			return err
		}
		return t.done(act, u.ID, u.OrgID)
	})
	if err != nil {
		return Subject{}, err
	}
	return g, nil
}

// ChangePasswordInBrowser is ChangePassword for an actor in a browser: their session
// continues, and only the new cookie opens it.
func (s *Store) ChangePasswordInBrowser(ctx context.Context, act Act, proof identity.Proof, hash identity.PasswordHash, cookieHash string) error {
	return s.write(ctx, func(t *tx) error {
		u, session, _, err := t.changePassword(act, proof, hash)
		if err != nil {
			return err
		}
		n, err := t.exec("UPDATE sessions SET cookie_hash = $1 WHERE id = $2 AND cookie_hash IS NOT NULL", cookieHash, session)
		if err == nil && n == 0 {
			err = identity.ErrInvalidToken // the session has ended
		}
		if err != nil {
			return err
		}
		return t.done(act, u.ID, u.OrgID)
	})
}

// changePassword replaces the password of the actor, and ends what was issued before but
// their session; session is empty when that has ended.
func (t *tx) changePassword(act Act, proof identity.Proof, hash identity.PasswordHash) (u identity.User, session string, end time.Time, err error) {
	if act.By.Kind != identity.ActorUser {
		return u, "", end, identity.ErrInvalidToken
	}
	u, err = t.user(act.By.ID, t.forUpdate("u"))
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return u, "", end, err
	case !identity.CanSignIn(u):
		return u, "", end, identity.ErrInvalidToken
	case u.ID != proof.UserID() || u.CredentialsVersion != proof.CredentialsVersion():
		return u, "", end, errPasswordChanged
	}
	if session, end, err = t.ownSession(u.ID, act.By.SessionID); err != nil {
		return u, "", end, err
	}
	if _, err := t.exec("UPDATE users SET password_hash = $1, password_form = 'nfc', default_password = 0 WHERE id = $2", string(hash), u.ID); err != nil {
		return u, "", end, err
	}
	_, err = t.end(EndPasswordChange, subjects{userID: u.ID, sessionID: session})
	return u, session, end, err
}
