package oidc

import (
	"net/http"
	"net/url"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// authenticate returns the client that sends the form.
func (p *Provider) authenticate(_ http.ResponseWriter, r *http.Request, form url.Values) (oauth.Client, error) {
	credentials, err := oauth.ParseClientCredentials(r.Header["Authorization"], form)
	if err != nil {
		return oauth.Client{}, err
	}
	return p.clients.Authenticate(r.Context(), web.Actor(r.Context()), credentials)
}
