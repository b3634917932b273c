package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// Presented holds the claims of a verified access token that Bearer checks.
type Presented struct {
	UserID    string
	SessionID string // the claim sid; empty: the token names no session
	ID        string // the claim jti
}

// Bearer returns the user of an access token, freshly read, or identity.ErrInvalidToken
// when the user or the token is no longer valid.
func (i *Issuer) Bearer(ctx context.Context, p Presented) (identity.User, error) {
	return i.bearer(ctx, p, false)
}

// ProfileBearer is Bearer for reading one's own profile. The access token that
// made the last change of password is accepted, although all earlier ones are
// refused.
func (i *Issuer) ProfileBearer(ctx context.Context, p Presented) (identity.User, error) {
	return i.bearer(ctx, p, true)
}

func (i *Issuer) bearer(ctx context.Context, p Presented, profile bool) (identity.User, error) {
	b, err := i.store.Bearer(ctx, p.UserID, p.SessionID, p.ID)
	if fault.KindOf(err) == fault.NotFound {
		return identity.User{}, identity.ErrInvalidToken
	}
	if err != nil {
		return identity.User{}, fmt.Errorf("read bearer: %w", err)
	}
	ended := b.Ended.RefusedHere() && (!profile || !b.Spared)
	if ended || !identity.CanSignIn(b.User) {
		return identity.User{}, identity.ErrInvalidToken
	}
	return b.User, nil
}
