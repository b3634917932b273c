package authorize

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Grant is what a user allowed a client.
type Grant = store.Consent

// Consents returns what the user has allowed clients, first allowed first.
func (q *Requests) Consents(ctx context.Context, userID string) ([]Grant, error) {
	all, err := q.store.Consents(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", err)
	}
	return all, nil
}

// Withdraw takes back what the user that the actor is has allowed the client: what the
// client holds of them ends, and it asks again.
func (q *Requests) Withdraw(ctx context.Context, by identity.Actor, clientID string) error {
	if !identity.Storable(clientID) {
		return identity.ErrNoConsent
	}
	if err := q.store.WithdrawConsent(ctx, store.Act{Action: identity.ActionWithdraw, By: by}, clientID); err != nil {
		return fmt.Errorf("withdraw consent: %w", err)
	}
	return nil
}
