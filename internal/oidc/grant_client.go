package oidc

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
)

// grantClientCredentials is a token for the client itself, which must be confidential
// (RFC 6749 section 4.4).
func (p *Provider) grantClientCredentials(ctx context.Context, r tokenRequest) (token.Pair, error) {
	if r.client.Public() {
		return token.Pair{}, oauth.Refuse(oauth.UnauthorizedClient, "a public client has no tokens of its own")
	}
	return p.tokens.ClientCredentials(ctx, r.by, r.asked())
}
