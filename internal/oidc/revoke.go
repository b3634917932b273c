package oidc

import (
	"net/http"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// serveRevoke ends what the client holds of a user, RFC 7009. The response is the same
// for a token that is unknown, or another client's. token_type_hint is not needed.
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if err := p.revoke(w, r); err != nil {
		p.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) error {
	params, err := readForm(w, r)
	if err != nil {
		return err
	}
	c, err := p.authenticate(w, r, params)
	if err != nil {
		return err
	}
	presented := params.Get("token")
	if presented == "" {
		return oauth.Refuse(oauth.InvalidRequest, "the parameter token is missing")
	}
	return p.tokens.RevokeOf(r.Context(), web.Actor(r.Context()).AsClient(c.ID, ""), c.ID, presented)
}
