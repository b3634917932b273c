package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Rotate exchanges a refresh token of the JSON login for its successor and an
// access token. A token that was used before ends its family: one of the two
// parties that presented it stole it. Within the reuse grace it yields the same
// successor again, while that is unused.
func (i *Issuer) Rotate(ctx context.Context, by identity.Actor, presented string) (Pair, error) {
	g := FirstParty()
	return i.rotate(ctx, by, presented, i.reuseGrace, &g, nil)
}

// rotate is the refresh of one client. admit decides in the transaction about a
// registered client, and may change the grant; nil: the first-party client.
func (i *Issuer) rotate(
	ctx context.Context, by identity.Actor, presented string, grace time.Duration, g *Grant, admit func(store.Subject) error,
) (Pair, error) {
	*g = i.complete(*g)
	if err := i.ready(ctx, *g); err != nil {
		return Pair{}, err // before the token is marked used
	}
	p, err := i.Locate(g.ClientID, presented)
	if err != nil {
		return Pair{}, i.refusal(ctx, by, err)
	}
	d := i.draft(*g, presented)
	if p.Grace = grace; p.Grace > 0 {
		if err := d.sealFor(presented); err != nil {
			return Pair{}, err
		}
	}
	p.Permit, p.Admit = i.rotations.permit(g.ClientID, i.now()), admit
	done, err := i.store.RotateRefresh(ctx, by, p, d.next)
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh token: %w", i.refusal(ctx, by, err))
	}
	*g = i.complete(*g)
	if done.Repeated != nil {
		return i.signAgain(*g, presented, done)
	}
	i.counts.rotated.Add(1)
	i.rotations.took(done.User.ID, done.FamilyID, g.ClientID, i.now())
	return i.sign(*g, d, done.Subject)
}

// signAgain returns the pair that a used token was exchanged for once more.
func (i *Issuer) signAgain(g Grant, presented string, done store.Rotation) (Pair, error) {
	d, err := repeat(presented, *done.Repeated)
	if err != nil {
		return Pair{}, err
	}
	i.counts.repeated.Add(1)
	g.AccessLifetime = max(d.next.AccessExpiresAt.Sub(i.now()).Truncate(time.Second), 0)
	return i.sign(g, d, done.Subject)
}

// refusal counts and returns the refusal of a refresh token.
func (i *Issuer) refusal(ctx context.Context, by identity.Actor, err error) error {
	err = i.Limited(ctx, by, err)
	switch {
	case errors.Is(err, errTooManyRotations):
		i.counts.limited.Add(1)
	case errors.Is(err, store.ErrReuse):
		i.counts.reused.Add(1) // the store has recorded it
	case fault.KindOf(err) == fault.Unauthenticated:
		i.counts.refused.Add(1)
		i.audit.Failed(ctx, store.Act{Action: identity.ActionRefresh, By: by}, "", "")
	}
	return err
}
