package token

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Presented holds the claims of a verified access token that Bearer checks.
type Presented struct {
	UserID    string
	SessionID string // the claim sid; empty: the token names no session
	ID        string // the claim jti
}

// Bearer returns the user of an access token, freshly read, or identity.ErrInvalidToken
// when the user or the token is no longer valid. Only what store.Bearer reads is set.
func (i *Issuer) Bearer(ctx context.Context, p Presented) (*identity.User, error) {
	b, err := i.store.Bearer(ctx, p.UserID, p.SessionID, p.ID)
	return accept(b, b.Ended.RefusedHere(), err)
}

// ProfileBearer is Bearer for reading one's own profile, with the groups. The access
// token that made the last change of password is accepted, although all earlier ones are
// refused.
func (i *Issuer) ProfileBearer(ctx context.Context, p Presented) (*identity.User, Groups, error) {
	b, err := i.store.ProfileBearer(ctx, p.UserID, p.SessionID, p.ID)
	u, err := accept(b, b.Ended.RefusedHere() && !b.Spared, err)
	return u, i.groups(b.Groups, b.GroupNames), err
}

// accept returns the user of a token, unless err or the state behind it refuses that.
func accept(b *store.Bearer, ended bool, err error) (*identity.User, error) {
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return nil, identity.ErrInvalidToken
	case err != nil:
		return nil, fmt.Errorf("read bearer: %w", err)
	case ended || !identity.CanSignIn(b.User):
		return nil, identity.ErrInvalidToken
	}
	return &b.User, nil
}
