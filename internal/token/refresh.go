package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Rotate exchanges a refresh token of the JSON login for its successor and an
// access token. A token that was used before ends its family: one of the two
// parties that presented it stole it.
func (i *Issuer) Rotate(ctx context.Context, by identity.Actor, presented string) (Pair, error) {
	if err := i.keys.Ready(ctx); err != nil {
		return Pair{}, err // before the token is marked used
	}
	g := i.complete(FirstParty())
	p, err := i.Locate(g.ClientID, presented)
	if err != nil {
		return Pair{}, i.refusal(ctx, by, err)
	}
	d := i.draft(g)
	subject, err := i.store.RotateRefresh(ctx, by, p, d.next)
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh token: %w", i.refusal(ctx, by, err))
	}
	i.counts.rotated.Add(1)
	return i.sign(g, d, subject)
}

// refusal counts and returns the refusal of a refresh token.
func (i *Issuer) refusal(ctx context.Context, by identity.Actor, err error) error {
	err = i.Limited(ctx, by, err)
	switch {
	case errors.Is(err, store.ErrReuse):
		i.counts.reused.Add(1) // the store has recorded it
	case fault.KindOf(err) == fault.Unauthenticated:
		i.counts.refused.Add(1)
		i.audit.Failed(ctx, store.Act{Action: identity.ActionRefresh, By: by}, "", "")
	}
	return err
}
