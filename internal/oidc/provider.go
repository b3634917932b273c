package oidc

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

// prefix is the path of the endpoints.
const prefix = "/oauth2"

// maxForm is the longest body of a form, in bytes.
const maxForm = 16 << 10

// Config has the services of a Provider. Issuer and the services are required.
type Config struct {
	Issuer string           // as in the claim iss; addresses are built from it
	Log    *slog.Logger     // nil: discard
	Now    func() time.Time // nil: time.Now

	Keys     *keyring.Ring
	Clients  *client.Clients
	Requests *authorize.Requests
	Sessions *session.Sessions
	Tokens   *token.Issuer
	Pages    Pages
}

// Provider has the endpoints of the OpenID provider. It is safe for concurrent use.
type Provider struct {
	issuer string
	log    *slog.Logger
	now    func() time.Time

	keys     *keyring.Ring
	clients  *client.Clients
	requests *authorize.Requests
	sessions *session.Sessions
	tokens   *token.Issuer
	pages    Pages

	cookies    web.Cookies
	hasCookies bool // the issuer can have some

	routes    []web.Route
	published atomic.Pointer[published]
}

// New returns a Provider.
func New(cfg Config) *Provider {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Provider{
		issuer: cfg.Issuer, log: cfg.Log, now: cfg.Now,
		keys: cfg.Keys, clients: cfg.Clients, requests: cfg.Requests, sessions: cfg.Sessions, tokens: cfg.Tokens, pages: cfg.Pages,
	}
	p.cookies, p.hasCookies = web.NewCookies(cfg.Issuer)
	if p.pages.Error == nil {
		p.pages.Error = p.refuse
	}
	p.routes = slices.Concat(p.discoveryRoutes(), p.authorizeRoutes(), p.tokenRoutes(), p.resourceRoutes(), p.deviceRoutes(), p.logoutRoutes())
	return p
}

// Group returns the routes for the router.
func (p *Provider) Group() web.Group {
	return web.Group{Prefix: prefix, Routes: p.routes, Refuse: p.refuse, OfClient: p.knowsOrigin}
}

// address is that of a path of this server.
func (p *Provider) address(path string) string { return strings.TrimRight(p.issuer, "/") + path }

// form is a POST of a form that anyone may send; what authenticates it is in it, or in
// the header Authorization.
func form(path, id string, credential web.Credential, handler http.HandlerFunc) web.Route {
	return web.Route{
		Method: http.MethodPost, Pattern: prefix + path, ID: id, Access: web.Anonymous, Credential: credential,
		MaxBody: maxForm, Handler: handler,
	}
}
