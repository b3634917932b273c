package httpapi

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Client is what the server's middleware knows about the other end. The zero
// value is a client that nobody knows anything about.
type Client struct {
	Address   string // without port; behind trusted proxies, the one they vouch for
	RequestID string
}

type contextKey int

const (
	clientKey contextKey = iota
	callerKey
)

// WithClient returns a context that carries c to the API.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey, c)
}

func clientFrom(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey).(Client)
	return c
}

// caller is who calls an endpoint, once the route's rule has let them in.
type caller struct {
	actor   identity.Actor
	user    identity.User // as the database has it now; zero without a person's token
	refused error         // of a BearerOrRefresh route: why the access token does not count
}

// callerFrom returns the caller that the guard of the route has put there.
func callerFrom(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey).(caller)
	return c
}
