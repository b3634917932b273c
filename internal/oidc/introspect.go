package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

// introspection is the response, RFC 7662 section 2.2 and RFC 9470 section 6.2.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
	AuthTime  int64  `json:"auth_time,omitempty"`
	ACR       string `json:"acr,omitempty"`
}

// serveIntrospect tells a confidential client or a service token whether an access token
// is valid now, RFC 7662.
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	found, err := p.introspect(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) (introspection, error) {
	params, err := readForm(w, r)
	if err != nil {
		return introspection{}, err
	}
	may, err := p.introspector(w, r, params)
	if err != nil {
		return introspection{}, err
	}
	presented := params.Get("token")
	if presented == "" {
		return introspection{}, oauth.Refuse(oauth.InvalidRequest, "the parameter token is missing")
	}
	a, err := p.tokens.Verify(r.Context(), presented)
	var h token.Holder
	if err == nil {
		h, err = p.tokens.Holder(r.Context(), a)
	}
	switch {
	case isInvalid(err):
		return introspection{}, nil
	case err != nil:
		return introspection{}, err
	case !may(a, h):
		return introspection{}, nil
	}
	return introspection{
		Active: true, Scope: a.Scope, ClientID: a.ClientID, TokenType: "Bearer", Expires: a.ExpiresAt.Unix(), IssuedAt: a.IssuedAt.Unix(),
		Subject: a.Subject, Audience: a.Audience, Issuer: p.issuer, ID: a.ID, AuthTime: a.AuthTime, ACR: a.ACR,
	}, nil
}

// introspector authenticates the caller and returns of which tokens it may learn. A
// client learns of those that were issued to it or for one of its audiences, and a
// service token of those of its organization. An admin of an organization may name any
// audience, so a client of an organization learns of its users and clients only.
func (p *Provider) introspector(w http.ResponseWriter, r *http.Request, params url.Values) (func(token.Access, token.Holder) bool, error) {
	if secret, ok := serviceToken(r); ok {
		t, err := p.tokens.ValidateServiceToken(r.Context(), web.Actor(r.Context()), secret)
		if isInvalid(err) {
			err = oauth.Refuse(oauth.InvalidToken, "the service token is not valid")
		}
		return func(_ token.Access, h token.Holder) bool {
			return t.Role == identity.Superadmin || h.OrgID() == t.OrgID
		}, err
	}
	c, err := p.authenticate(w, r, params)
	if err == nil && c.Public() {
		err = oauth.Refuse(oauth.InvalidClient, "introspection needs a confidential client")
	}
	return func(a token.Access, h token.Holder) bool {
		return a.ClientID == c.ID || slices.Contains(c.Audiences, a.Audience) && (c.OrgID == "" || c.OrgID == h.OrgID())
	}, err
}

// serviceToken is the service token that a request presents.
func serviceToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	return secret, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(secret, token.ServiceTokenPrefix)
}
