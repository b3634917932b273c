package oidc

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

func (p *Provider) tokenRoutes() []web.Route {
	route := form("/token", "token", web.ClientSecret, p.serveToken)
	route.OfClients = true
	return []web.Route{route}
}

// tokenRequest is a request to the token endpoint of an authenticated client that may
// use the grant type.
type tokenRequest struct {
	by     identity.Actor
	form   url.Values
	client oauth.Client
}

// asked is what the client asks for with every grant type.
func (r tokenRequest) asked() token.ClientRequest {
	return token.ClientRequest{Client: r.client, Scope: r.form.Get("scope"), Resources: r.form["resource"]}
}

// required returns a parameter that the grant type needs.
func (r tokenRequest) required(name string) (string, error) {
	value := r.form.Get(name)
	if value == "" {
		return "", oauth.Refuse(oauth.InvalidRequest, name+" is missing")
	}
	return value, nil
}

// A grant is a grant type: it decides what its request stands for. The user is asked
// for again, and the tokens are made, in package token, for all of them.
type grant func(p *Provider, ctx context.Context, r tokenRequest) (token.Pair, error)

// grants are the grant types by their names.
func grants() map[string]grant {
	return map[string]grant{
		oauth.GrantCode:              (*Provider).grantCode,
		oauth.GrantClientCredentials: (*Provider).grantClientCredentials,
		oauth.GrantRefresh:           (*Provider).grantRefresh,
		oauth.GrantDevice:            (*Provider).grantDevice,
	}
}

// tokenResponse is the response of the token endpoint, RFC 6749 section 5.1 and OpenID
// Connect Core 3.1.3.3.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
}

// serveToken is the token endpoint, RFC 6749 section 3.2.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	pair, err := p.exchange(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, tokenResponse{
		AccessToken: pair.AccessToken, TokenType: "Bearer", ExpiresIn: int64(pair.ExpiresIn.Seconds()),
		RefreshToken: pair.RefreshToken, IDToken: pair.IDToken, Scope: pair.Scope,
	})
}

// exchange is every step of the token endpoint but the response.
func (p *Provider) exchange(w http.ResponseWriter, r *http.Request) (token.Pair, error) {
	// 1. Parse, once.
	form, err := readForm(w, r)
	if err != nil {
		return token.Pair{}, err
	}
	// 2. Authenticate the client.
	client, err := p.authenticate(w, r, form)
	if err != nil {
		return token.Pair{}, err
	}
	// 3. Find the grant type, and whether the client has it.
	use, err := grantOf(client, form.Get("grant_type"))
	if err != nil {
		return token.Pair{}, err
	}
	// 4. The grant decides; the user is asked for again in its transaction.
	// 5. Mint.
	pair, err := use(p, r.Context(), tokenRequest{by: web.Actor(r.Context()), form: form, client: client})
	if fault.KindOf(err) == fault.Unauthenticated {
		err = &oauth.Error{Code: oauth.InvalidGrant, Description: "the grant is not valid, or has ended", Cause: err}
	}
	return pair, err
}

// grantOf returns the grant type of that name.
func grantOf(c oauth.Client, name string) (grant, error) {
	use, known := grants()[name]
	switch {
	case name == "":
		return nil, oauth.Refuse(oauth.InvalidRequest, "grant_type is missing")
	case !known:
		return nil, oauth.Refuse(oauth.UnsupportedGrantType, "the grant type is not supported")
	case !c.Allows(name):
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "the client is not registered for this grant type")
	default:
		return use, nil
	}
}
