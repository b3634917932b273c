package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// Bearer returns the person of a verified access token, freshly read, or
// ErrInvalid when they or the token's session may not take part any more.
// familyID is the claim sid; empty: the token names none.
func (i *Issuer) Bearer(ctx context.Context, userID, familyID string) (identity.User, error) {
	user, ended, err := i.store.Bearer(ctx, userID, familyID)
	if fault.KindOf(err) == fault.NotFound {
		return identity.User{}, ErrInvalid
	}
	if err != nil {
		return identity.User{}, fmt.Errorf("read bearer: %w", err)
	}
	if !identity.CanSignIn(user) || ended.RefusedHere() {
		return identity.User{}, ErrInvalid
	}
	return user, nil
}
