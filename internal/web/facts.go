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
	Network   string // of that address, by which clients are limited: a /24 of IPv4, a /56 of IPv6
	UserAgent string // as the client sends it

	// UnknownProxy says that Address is probably of a proxy that the configuration
	// does not name, so that all clients seem to share it.
	UnknownProxy bool

	refusal *string // the error code of the response, for the log record
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

// Refused records the error code of the response for the log record of the request.
func Refused(ctx context.Context, code string) {
	if to := FactsOf(ctx).refusal; to != nil {
		*to = code
	}
}

// Actor is the actor of an unauthenticated request. The protocol adds the identity
// after it has verified a credential.
func Actor(ctx context.Context) identity.Actor {
	f := FactsOf(ctx)
	return identity.Actor{
		Address: f.Address, Network: f.Network, UnknownProxy: f.UnknownProxy, UserAgent: f.UserAgent, RequestID: f.RequestID,
	}
}
