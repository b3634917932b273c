package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// Presented is what a verified access token says of itself.
type Presented struct {
	UserID    string
	SessionID string // the claim sid; empty: the token names none
	ID        string // the claim jti
}

// Bearer returns the user of an access token, freshly read, or identity.ErrInvalidToken when
// they or the token may not take part any more.
func (i *Issuer) Bearer(ctx context.Context, p Presented) (identity.User, error) {
	return i.bearer(ctx, p, false)
}

// ProfileBearer is Bearer for reading one's own profile. The access token that
// asked for the last change of password still may, although all earlier ones
// are refused.
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
