package web

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Facts are what is known about a request before its credential is verified. The
// zero value is an unknown request.
type Facts struct {
	RequestID string
	Address   string // of the client, without port; behind trusted proxies, the one that they report
	UserAgent string // as the client sends it
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

// Actor is the actor of an unauthenticated request. The protocol adds the identity
// after it has verified a credential.
func Actor(ctx context.Context) identity.Actor {
	f := FactsOf(ctx)
	return identity.Actor{Address: f.Address, UserAgent: f.UserAgent, RequestID: f.RequestID}
}
