package store

import (
	"cmp"
	"context"
	"errors"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

var (
	errEmailTaken = fault.New(fault.Conflict, "email_taken", "this e-mail address is in use")

	errSelfPromotion = errors.New("a user who registers becomes an active viewer")
)

// InsertUser stores a user who registers, without a permission check; therefore
// only as an active viewer. A used address is a Conflict "email_taken"; if
// registration was disabled concurrently, or the organization is not an active one,
// the error is Forbidden "registration_disabled". Zero ID, EmailKey and CreatedAt are filled in.
func (s *Store) InsertUser(ctx context.Context, act Act, u identity.User) error {
	if u.Role != identity.Viewer || u.Status != identity.Active {
		return errSelfPromotion
	}
	return s.write(ctx, func(t *tx) error {
		var enabled string
		set, err := t.get([]any{&enabled}, "SELECT value FROM settings WHERE key = $1", settingRegistration)
		if err != nil {
			return err
		}
		if set && enabled != "true" {
			return identity.ErrRegistrationOff
		}
		o, err := t.organization(u.OrgID, t.forShare("o"))
		if err == nil && o.Status != identity.Active || fault.KindOf(err) == fault.NotFound {
			err = identity.ErrRegistrationOff
		}
		if err != nil {
			return err
		}
		stored, err := t.insertUser(u)
		if err != nil {
			return err
		}
		act.By = act.By.AsUser(stored.ID)
		return t.done(act, stored.ID, stored.OrgID)
	})
}

// InsertFirstAdmin stores u as an active superadmin of the default organization
// if there is no superadmin, not even a suspended one.
func (s *Store) InsertFirstAdmin(ctx context.Context, u identity.User) (created bool, err error) {
	u.Role, u.Status, u.OrgID = identity.Superadmin, identity.Active, identity.DefaultOrg
	act := Act{Action: identity.ActionFirstAdmin, By: identity.Actor{Kind: identity.ActorSystem}}
	err = s.write(ctx, func(t *tx) error {
		created = false
		if err := t.guard(); err != nil {
			return err
		}
		if has, err := t.hasSuperadmin(); err != nil || has {
			return err
		}
		stored, err := t.insertUser(u)
		if err != nil {
			return err
		}
		created = true
		return t.done(act, stored.ID, stored.OrgID)
	})
	return created && err == nil, err
}

// CreateUser stores a user on behalf of an administrator of u.OrgID, who
// cannot give a role above their own. An empty OrgID is the actor's own;
// an organization that does not exist is made, which only a superadmin may do.
func (s *Store) CreateUser(ctx context.Context, act Act, u identity.User) error {
	return s.write(ctx, func(t *tx) error {
		actor, err := t.principal(act.By, t.forShare)
		if err != nil {
			return err
		}
		u := u
		u.OrgID = cmp.Or(u.OrgID, actor.OrgID)
		if err := identity.MayAdminister(actor, u.OrgID, "organization"); err != nil {
			return err
		}
		if err := identity.MayGrant(actor, u.Role); err != nil {
			return err
		}
		if err := t.ensureOrg(act, u.OrgID); err != nil {
			return err
		}
		stored, err := t.insertUser(u)
		if err != nil {
			return err
		}
		return t.done(act, stored.ID, stored.OrgID)
	})
}

func (t *tx) insertUser(u identity.User) (identity.User, error) {
	if u.ID == "" {
		u.ID = NewID()
	}
	if u.EmailKey == "" {
		u.EmailKey = identity.EmailKey(u.Email)
	}
	if u.CreatedAt.IsZero() {
		u.CreatedAt = t.now
	}
	if u.Status == "" {
		u.Status = identity.Active
	}
	_, err := t.exec(`INSERT INTO users (id, email, email_key, display_name, password_hash, role, org_id, status,
		default_password, created_at, last_login_at, password_form, name_key, email_verified)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		u.ID, u.Email, u.EmailKey, u.DisplayName, string(u.PasswordHash), string(u.Role), u.OrgID, string(u.Status),
		oneIf(u.DefaultPassword), FormatTime(u.CreatedAt), FormatOptional(u.LastLoginAt),
		string(cmp.Or(u.PasswordForm, identity.FormNFC)), identity.NameKey(u.DisplayName), oneIf(u.EmailVerified))
	if engine.Violates(err, "users.email_key") {
		return u, errEmailTaken
	}
	return u, err
}
