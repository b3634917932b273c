package oidc

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/token"
)

// grantClientCredentials is a token for the client itself, RFC 6749 section 4.4. Public
// clients are not registered for it.
func (p *Provider) grantClientCredentials(ctx context.Context, r tokenRequest) (token.Pair, error) {
	return p.tokens.ClientCredentials(ctx, r.by, r.asked())
}
