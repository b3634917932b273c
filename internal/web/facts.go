package web

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Facts are what is known about a request before anything in it is believed.
// The zero value is a request of which nothing is known.
type Facts struct {
	RequestID string
	Address   string // of the client, without port; behind trusted proxies, the one they vouch for
	UserAgent string // what the client calls itself
}

type factsKey struct{}

// WithFacts returns a context that carries f.
func WithFacts(ctx context.Context, f Facts) context.Context {
	return context.WithValue(ctx, factsKey{}, f)
}

// FactsOf returns the facts of the request that ctx belongs to.
func FactsOf(ctx context.Context) Facts {
	f, _ := ctx.Value(factsKey{}).(Facts)
	return f
}

// Actor is the unknown client behind a request. Once a credential has proved
// who it is, the protocol adds that.
func Actor(ctx context.Context) identity.Actor {
	f := FactsOf(ctx)
	return identity.Actor{Address: f.Address, UserAgent: f.UserAgent, RequestID: f.RequestID}
}
