package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Logout ends the session of the presented access token. Doing it twice is no
// error.
func (i *Issuer) Logout(ctx context.Context, by identity.Actor) error {
	if by.FamilyID == "" {
		// Access tokens of the original name no session; they outlive a move by
		// a quarter of an hour.
		return fault.BadField("refresh_token", "this access token names no session: send the refresh token")
	}
	act := store.Act{Action: identity.ActionLogout, By: by}
	if err := i.store.EndFamily(ctx, act, by.FamilyID); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// LogoutByRefresh ends the session of the presented refresh token, spent or
// not.
func (i *Issuer) LogoutByRefresh(ctx context.Context, by identity.Actor, presented string) error {
	hashes, err := i.hashes(presented)
	if err != nil {
		return err
	}
	act := store.Act{Action: identity.ActionLogout, By: by}
	if _, err := i.store.EndFamilyByToken(ctx, act, hashes); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// RevokedJTIs lists the unexpired access tokens whose session was ended in a
// way that revokes them, for verifiers that poll. It is never nil.
func (i *Issuer) RevokedJTIs(ctx context.Context) ([]string, error) {
	jtis, err := i.store.RevokedJTIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list revoked access tokens: %w", err)
	}
	return jtis, nil
}
