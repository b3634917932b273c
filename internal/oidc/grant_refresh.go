package oidc

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/token"
)

// grantRefresh is the exchange of a refresh token for its successor, RFC 6749 section 6.
func (p *Provider) grantRefresh(ctx context.Context, r tokenRequest) (token.Pair, error) {
	presented, err := r.required("refresh_token")
	if err != nil {
		return token.Pair{}, err
	}
	return p.tokens.RotateForClient(ctx, r.by, r.asked(), presented)
}
