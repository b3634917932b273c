package oidc

import (
	"context"
	"strings"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/token"
)

// grantCode is the exchange of an authorization code, RFC 6749 section 4.1.3. What was
// granted is in the code: a scope here is ignored.
func (p *Provider) grantCode(ctx context.Context, r tokenRequest) (token.Pair, error) {
	code, err := r.required("code")
	if err != nil {
		return token.Pair{}, err
	}
	of, err := p.requests.Redeem(ctx, r.by, authorize.Exchange{
		Code: code, Client: r.client, RedirectURI: r.form.Get("redirect_uri"), Verifier: r.form.Get("code_verifier"),
	})
	if err != nil {
		return token.Pair{}, err
	}
	asked := r.asked()
	asked.Scope = ""
	return p.tokens.MintForClient(ctx, asked, token.Authorization{
		Granted: token.Granted{
			Scope: of.Scope, Audience: strings.Join(of.Resources, " "), Claims: of.Claims, AuthTime: of.AuthTime, AMR: of.AMR, ACR: of.ACR,
		},
		Nonce: of.Nonce, Commit: of.Commit,
	})
}
