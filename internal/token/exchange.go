package token

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// exchangedLifetime is the longest lifetime of an access token that a service token
// was exchanged for. A revocation of the service token does not end it earlier.
const exchangedLifetime = 5 * time.Minute

// lastUsedEvery is the shortest interval at which the last use of a service token is
// written.
const lastUsedEvery = time.Minute

var errInvalidTarget = fault.New(fault.Invalid, "invalid_target", "the service token is not allowed to request this audience")

// Exchange returns an access token (RFC 9068) for the service token that the actor
// is, with its role and organization, for services that verify signatures. It does
// not outlive the service token. audience is one that the service token may request;
// empty: see audienceOf.
//
// Nothing is stored, so that a service may exchange as often as it likes; the
// exchange is in the log only.
func (i *Issuer) Exchange(ctx context.Context, by identity.Actor, audience string) (Pair, error) {
	t, err := i.store.ServiceToken(ctx, by)
	if err != nil {
		return Pair{}, fmt.Errorf("read service token: %w", err)
	}
	now := i.now()
	if !identity.CanUseServiceToken(t, now) {
		return Pair{}, identity.ErrInvalidToken
	}
	act := store.Act{Action: identity.ActionExchange, By: by, Detail: t.Name}
	granted, ok := i.audienceOf(t, audience)
	if !ok {
		if identity.Storable(audience) {
			act.Detail += " for " + audience
		}
		i.audit.Failed(ctx, act, t.ID, t.OrgID)
		return Pair{}, errInvalidTarget
	}
	act.Detail += " for " + granted
	g := Grant{ClientID: t.ID, Audience: granted, Typ: jose.TypeAccessToken, AccessLifetime: min(exchangedLifetime, i.accessLifetime)}
	if !t.ExpiresAt.IsZero() {
		g.AccessLifetime = min(g.AccessLifetime, t.ExpiresAt.Sub(now)).Truncate(time.Second)
	}
	if g.AccessLifetime < time.Second {
		return Pair{}, identity.ErrInvalidToken // it expires within this second
	}
	pair, err := i.Mint(ctx, g, func(context.Context, *store.NewFamily) (store.Subject, error) {
		return store.Subject{Service: t}, nil
	})
	if err != nil {
		return Pair{}, err
	}
	i.audit.Logged(ctx, act, t.ID, t.OrgID)
	return pair, nil
}

// audienceOf returns the requested audience if the service token may request it. Without
// a request it is that of the Issuer, or the first one of a service token that has only
// others.
func (i *Issuer) audienceOf(t identity.ServiceToken, requested string) (audience string, ok bool) {
	allowed := t.Audiences
	if len(allowed) == 0 {
		allowed = []string{i.audience}
	}
	switch {
	case requested != "":
		return requested, slices.Contains(allowed, requested)
	case slices.Contains(allowed, i.audience):
		return i.audience, true
	default:
		return allowed[0], true
	}
}

// uses holds when service tokens were used, by their ids, until WriteUses stores it.
// Only valid tokens are in it.
type uses struct {
	mu  sync.Mutex
	all map[string]time.Time
}

func (u *uses) add(t identity.ServiceToken, now time.Time) {
	if now.Sub(t.LastUsedAt) < lastUsedEvery {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[string]time.Time{}
	}
	u.all[t.ID] = now
}

func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.all
	u.all = nil
	return all
}

// putBack returns what could not be stored; later uses stay.
func (u *uses) putBack(all map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.Copy(all, u.all)
	u.all = all
}

// WriteUses stores the last uses of service tokens. A background job calls it once
// a minute, so that no request waits for that.
func (i *Issuer) WriteUses(ctx context.Context) error {
	all := i.uses.take()
	if len(all) == 0 {
		return nil
	}
	if err := i.store.UsedServiceTokens(ctx, all); err != nil {
		i.uses.putBack(all)
		return fmt.Errorf("store the last uses of service tokens: %w", err)
	}
	return nil
}
