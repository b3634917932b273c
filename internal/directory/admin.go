package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
)

// EnsureAdmin makes the first superadmin when there is none, and reports whether
// it did. The published default password is exempt from the policy and marks the
// user until it is changed; a marked superadmin of that e-mail address gets another
// password once one is configured. No other password is ever changed.
//
// When no superadmin exists but another user has the e-mail address, nothing is
// changed and a warning is logged: promoting that user silently would give the
// server to the user who registered the address.
func (d *Directory) EnsureAdmin(ctx context.Context, email, pass string) (created bool, err error) {
	exists, err := d.store.HasSuperadmin(ctx)
	if err != nil {
		return false, fmt.Errorf("look for a superadmin: %w", err)
	}
	if exists {
		return false, d.replaceDefault(ctx, email, pass)
	}
	return d.createFirstAdmin(ctx, email, pass)
}

func (d *Directory) createFirstAdmin(ctx context.Context, email, pass string) (bool, error) {
	display, badEmail := identity.ParseEmail(email)
	if badEmail != nil {
		badEmail = fault.BadField("auth.admin_email", "auth.admin_email must be a valid e-mail address of at most 254 bytes")
	}
	if err := fault.Gather(badEmail, CheckAdmin(d.passwords, email, pass)); err != nil {
		return false, err
	}
	hash, err := d.passwords.Hash(ctx, "", pass)
	if err != nil {
		return false, fmt.Errorf("hash the first administrator's password: %w", err)
	}
	user := identity.User{
		Email: display, EmailKey: identity.EmailKey(display), DisplayName: "Admin",
		PasswordHash: hash, PasswordForm: identity.FormNFC, Role: identity.Superadmin, OrgID: identity.DefaultOrg, OrgStatus: identity.Active,
		Status: identity.Active, DefaultPassword: pass == password.Default,
	}
	created, err := d.store.InsertFirstAdmin(ctx, user)
	switch {
	case fault.KindOf(err) == fault.Conflict:
		d.log.WarnContext(ctx, "no superadmin exists, and auth.admin_email belongs to a user of another role; "+
			"promote one with `pico-auth user set-role`")
		return false, nil
	case err != nil:
		return false, fmt.Errorf("create the first administrator: %w", err)
	}
	return created, nil
}

// ReplacesDefault reports whether a start with that address and password of the first
// superadmin replaces the default password of the user with the address marked.
func ReplacesDefault(email, pass, marked string) bool {
	return pass != "" && pass != password.Default && identity.Storable(email) && identity.EmailKey(email) == identity.EmailKey(marked)
}

// replaceDefault gives the marked superadmin of that e-mail address the configured
// password.
func (d *Directory) replaceDefault(ctx context.Context, email, pass string) error {
	if !ReplacesDefault(email, pass, email) {
		return nil
	}
	user, err := d.store.UserByEmail(ctx, identity.EmailKey(email))
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the administrator: %w", err)
	}
	if user.Role != identity.Superadmin || !user.DefaultPassword {
		return nil
	}
	if err := CheckAdmin(d.passwords, user.Email, pass); err != nil {
		return err
	}
	hash, err := d.passwords.Hash(ctx, "", pass)
	if err != nil {
		return fmt.Errorf("hash the administrator's password: %w", err)
	}
	act := store.Act{Action: identity.ActionResetPassword, By: identity.Actor{Kind: identity.ActorSystem}}
	err = d.store.ReplaceDefaultPassword(ctx, act, user.ID, hash)
	if fault.KindOf(err) == fault.Conflict {
		return nil // another replica did it
	}
	return d.ended(ctx, act, user.ID, err)
}

// CheckAdmin applies the policy to the password of the first superadmin. The published
// default password is exempt.
func CheckAdmin(passwords *password.Hasher, email, pass string) error {
	if pass == password.Default {
		return nil
	}
	err := passwords.Check("auth.admin_password", pass, email, identity.DefaultOrg)
	if bad, ok := errors.AsType[*fault.Error](err); ok {
		return fault.BadField("auth.admin_password", "auth.admin_password: "+bad.Message)
	}
	return err
}
