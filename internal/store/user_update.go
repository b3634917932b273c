package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// UserChange is what UpdateUser changes.
type UserChange struct {
	Profile map[string]string // see identity.ChangeProfile
	Email   string            // as identity.ParseEmail returned it; empty: it stays
	OrgID   string            // empty: it stays

	EmailVerified *bool                      // nil: it stays, unless the address changes
	Metadata      map[string]json.RawMessage // see identity.ChangeMetadata
}

// UpdateUser changes a user on an administrator's behalf. Another address and
// another organization end what EndEmailChange and EndOrgChange end; in another
// organization, which must exist, the user is in no group. Only a superadmin moves
// users.
func (s *Store) UpdateUser(ctx context.Context, act Act, userID string, change UserChange) (u identity.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		if change.OrgID != "" {
			if err := t.guard(); err != nil {
				return err
			}
		}
		rule := identity.MayManage
		if change.Email != "" {
			rule = identity.MayChangeEmail
		}
		if u, err = t.target(act.By, userID, rule); err != nil {
			return err
		}
		return t.updateUser(act, &u, change)
	})
	return u, err
}

// UpdateOwn changes the actor's own profile, and of the metadata the part of the user;
// nil: it stays.
func (s *Store) UpdateOwn(ctx context.Context, act Act, profile map[string]string, metadata json.RawMessage) (u identity.User, err error) {
	err = s.write(ctx, func(t *tx) error {
		if u, err = t.self(act.By); err != nil {
			return err
		}
		change := UserChange{Profile: profile}
		if metadata != nil {
			change.Metadata = map[string]json.RawMessage{identity.MetadataUser: metadata}
		}
		return t.updateUser(act, &u, change)
	})
	return u, err
}

// self reads the user that the actor is, for update. One that may not sign in any
// more is identity.ErrInvalidToken.
func (t *tx) self(by identity.Actor) (identity.User, error) {
	if by.UserID() == "" {
		return identity.User{}, identity.ErrForbidden
	}
	u, err := t.user(by.UserID(), t.forUpdate("u"))
	if fault.KindOf(err) == fault.NotFound || err == nil && !identity.CanSignIn(u) {
		err = identity.ErrInvalidToken
	}
	return u, err
}

// updateUser changes u, which is locked, and the actor may change.
func (t *tx) updateUser(act Act, u *identity.User, change UserChange) error {
	if err := t.readMetadata(u); err != nil {
		return err
	}
	changed, err := identity.ChangeProfile(u, change.Profile)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		u.UpdatedAt = t.now
		// A user whom CompleteUsers has not completed yet stays one.
		_, err := t.exec(`UPDATE users SET display_name = $1, name_key = CASE WHEN name_key IS NULL THEN NULL ELSE $2 END,
			profile = $3, updated_at = $4 WHERE id = $5`,
			u.DisplayName, identity.NameKey(u.DisplayName), storedProfile(u.Profile), t.stamp(), u.ID)
		if err != nil {
			return err
		}
	}
	if change.Email != "" && change.Email != u.Email {
		if err := t.changeEmail(u, change.Email); err != nil {
			return err
		}
		changed = append(changed, "email")
	}
	if change.EmailVerified != nil && *change.EmailVerified != u.EmailVerified {
		u.EmailVerified = *change.EmailVerified
		if _, err := t.exec("UPDATE users SET email_verified = $1 WHERE id = $2", oneIf(u.EmailVerified), u.ID); err != nil {
			return err
		}
		changed = append(changed, "email_verified")
	}
	if len(change.Metadata) > 0 {
		if err := t.changeMetadata(u, change.Metadata); err != nil {
			return err
		}
		changed = append(changed, "metadata")
	}
	if change.OrgID != "" && change.OrgID != u.OrgID {
		if err := t.move(act, u, change.OrgID); err != nil {
			return err
		}
		changed = append(changed, "org_id")
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	act.Detail = strings.Join(changed, " ")
	return t.done(act, u.ID, u.OrgID)
}

func (t *tx) changeMetadata(u *identity.User, parts map[string]json.RawMessage) (err error) {
	if u.Metadata, err = identity.ChangeMetadata(u.Metadata, parts); err != nil {
		return err
	}
	_, err = t.exec("UPDATE users SET metadata = $1 WHERE id = $2", u.Metadata, u.ID)
	return err
}

// readMetadata reads what lists and most operations leave out.
func (t *tx) readMetadata(u *identity.User) error {
	_, err := t.get([]any{&u.Metadata}, "SELECT metadata FROM users WHERE id = $1", u.ID)
	return err
}

// changeEmail gives the user another address. Another spelling of the same one ends
// nothing.
func (t *tx) changeEmail(u *identity.User, email string) error {
	former := u.EmailKey
	u.Email, u.EmailKey = email, identity.EmailKey(email)
	if u.EmailKey != former {
		u.EmailVerified = false
	}
	_, err := t.exec("UPDATE users SET email = $1, email_key = $2, email_verified = $3 WHERE id = $4",
		u.Email, u.EmailKey, oneIf(u.EmailVerified), u.ID)
	if engine.Violates(err, "users.email_key") {
		return errEmailTaken
	}
	if err != nil || u.EmailKey == former {
		return err
	}
	_, err = t.end(EndEmailChange, subjects{userID: u.ID})
	return err
}

// move moves the user to another organization. The caller holds the guard. Service
// tokens stay where they are, and so need another owner, unless that is a superadmin:
// an org_admin of the new organization could not decide about them.
func (t *tx) move(act Act, u *identity.User, orgID string) error {
	err := t.permit(act.By, func(actor identity.Principal) error { return identity.MayMove(actor, u.Principal()) })
	if err != nil {
		return err
	}
	var status identity.Status
	found, err := t.get([]any{(*string)(&status)}, "SELECT o.status FROM organizations o WHERE o.id = $1"+t.forShare("o"), orgID)
	if err == nil && !found {
		err = fault.BadField("org_id", "org_id must be an existing organization")
	}
	if err != nil {
		return err
	}
	if status != identity.Active {
		if err := t.spare(*u); err != nil {
			return err
		}
	}
	if u.Role != identity.Superadmin {
		if err := t.disown(act, u.ID); err != nil {
			return err
		}
	}
	u.OrgID, u.OrgStatus = orgID, status
	if _, err := t.exec("UPDATE users SET org_id = $1 WHERE id = $2", orgID, u.ID); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM group_members WHERE user_id = $1", u.ID); err != nil {
		return err
	}
	_, err = t.end(EndOrgChange, subjects{userID: u.ID})
	return err
}

var errNoPassword = fault.BadField("password", "password is required to delete the own account")

// DeleteOwn removes the actor, if their credentials are still those of proof, or
// without a proof if they signed in recently. Where the age of a sign-in is not
// limited, a proof is required: each access token would be enough.
func (s *Store) DeleteOwn(ctx context.Context, act Act, proof identity.Proof) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.guard(); err != nil {
			return err
		}
		u, err := t.self(act.By)
		if err != nil {
			return err
		}
		switch {
		case proof.UserID() == "" && t.privilegedMaxAge == 0:
			return errNoPassword
		case proof.UserID() == "":
			if err := t.permit(act.By, identity.MayDeleteOwn); err != nil {
				return err
			}
		case u.ID != proof.UserID() || u.CredentialsVersion != proof.CredentialsVersion():
			return errPasswordChanged
		}
		return t.deleteUser(act, u)
	})
}

// deleteUser removes u, which is locked. The caller holds the guard.
func (t *tx) deleteUser(act Act, u identity.User) error {
	if err := t.spare(u); err != nil {
		return err
	}
	if err := t.disown(act, u.ID); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM users WHERE id = $1", u.ID); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM throttle WHERE account = $1", u.ID); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM consents WHERE user_id = $1", u.ID); err != nil {
		return err
	}
	if _, err := t.end(EndDeletion, subjects{userID: u.ID}); err != nil {
		return err
	}
	return t.done(act, u.ID, u.OrgID)
}
