package oidc

import (
	"net/http"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// serveUserInfo responds with the claims of the user that the token's scope and the
// parameter claims ask for, OpenID Connect Core 5.3.
func (p *Provider) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	claims, err := p.userInfo(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, claims)
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	presented, err := bearerToken(w, r)
	if err != nil {
		return nil, err
	}
	a, err := p.tokens.Verify(r.Context(), presented)
	if isInvalid(err) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	h, err := p.tokens.Holder(r.Context(), a)
	if isInvalid(err) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	allowOrigin(w, r, h.Client)
	if h.User.ID == "" || !slices.Contains(strings.Fields(a.Scope), "openid") {
		return nil, oauth.Refuse(oauth.InsufficientScope, "the access token lacks the scope openid")
	}
	return p.tokens.UserInfo(a, h), nil
}
