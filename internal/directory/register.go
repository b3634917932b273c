package directory

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Register makes an unauthenticated client's user, a viewer of the organization for
// them. While that is suspended, registration is off. An address that is in use is a Conflict, email_taken, after the
// same work as a free one; too many registrations from one network are Throttled.
func (d *Directory) Register(
	ctx context.Context, by identity.Actor, email, password, displayName string,
) (identity.User, error) {
	open, err := d.Registration(ctx)
	if err != nil {
		return identity.User{}, err
	}
	if !open {
		return identity.User{}, identity.ErrRegistrationOff
	}
	if err := d.throttle.Registration(ctx, by); err != nil {
		return identity.User{}, err
	}
	user, err := d.newUser(ctx, by, NewUser{Email: email, Password: password, DisplayName: displayName, OrgID: d.registrationOrg})
	if err != nil {
		return identity.User{}, err
	}
	act := store.Act{Action: identity.ActionRegister, By: by.AsUser(user.ID)}
	if err := d.ended(ctx, act, user.ID, d.store.InsertUser(ctx, act, user)); err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// Registration reports whether anyone may register now, into an active organization.
func (d *Directory) Registration(ctx context.Context) (bool, error) {
	if d.registrationOff {
		return false, nil
	}
	enabled, set, err := d.store.Registration(ctx)
	if err != nil {
		return false, fmt.Errorf("read registration switch: %w", err)
	}
	if set && !enabled || !set && !d.registrationDefault {
		return false, nil
	}
	o, err := d.RegistrationOrg(ctx)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return o.Status == identity.Active, err
}

// RegistrationOrg returns the organization of users who register, an error NotFound
// when it does not exist.
func (d *Directory) RegistrationOrg(ctx context.Context) (identity.Organization, error) {
	return d.Organization(ctx, identity.Actor{Kind: identity.ActorSystem}, d.registrationOrg)
}

// SetRegistration stores whether anyone may register, and returns whether
// they may now: a configuration that forbids it still wins, and so does a suspension
// of the organization. Superadmins only.
func (d *Directory) SetRegistration(ctx context.Context, by identity.Actor, enabled bool) (bool, error) {
	act := store.Act{Action: identity.ActionSetRegistration, By: by, Detail: strconv.FormatBool(enabled)}
	if err := d.ended(ctx, act, "", d.store.SetRegistration(ctx, act, enabled)); err != nil {
		return false, err
	}
	return d.Registration(ctx)
}
