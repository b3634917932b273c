package oidc

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// authenticate returns the client that sends the form, and lets its scripts read the
// response.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request, form url.Values) (oauth.Client, error) {
	credentials, err := oauth.ParseClientCredentials(r.Header["Authorization"], form)
	if err != nil {
		return oauth.Client{}, err
	}
	c, err := p.clients.Authenticate(r.Context(), web.Actor(r.Context()), credentials)
	if err != nil {
		return oauth.Client{}, err
	}
	allowOrigin(w, r, c)
	return c, nil
}

// allowOrigin lets scripts read the response that are the client's.
func allowOrigin(w http.ResponseWriter, r *http.Request, c oauth.Client) {
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(c.Origins(), origin) {
		web.AllowOrigin(w.Header(), origin)
	}
}

// knowsOrigin is the answer to preflights.
func (p *Provider) knowsOrigin(ctx context.Context, origin string) bool {
	known, err := p.clients.KnowsOrigin(ctx, origin)
	if err != nil {
		p.log.WarnContext(ctx, "preflight refused", "error", err)
	}
	return known
}
