package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/hosted"
	"github.com/pico-auth/pico-auth/internal/httpapi"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/internal/oidc"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

// handler mounts everything on one router.
func (s *Server) handler() (http.Handler, error) {
	routing, err := s.routing()
	if err != nil {
		return nil, err
	}
	router, err := web.New(routing)
	if err != nil {
		return nil, fmt.Errorf("auth.issuer: %w", err)
	}
	return router, nil
}

// routing makes the protocols.
func (s *Server) routing() (routing web.Config, err error) {
	c := s.cfg.Config
	guard, err := picoauth.New(picoauth.Config{
		Issuer:     c.Auth.Issuer,
		Audience:   c.Auth.Audience,
		Algorithms: s.accepted,
		Client:     localkeys.Client(s.keySet, s.recheckKeys),
		Now:        s.cfg.Now,
	})
	if err != nil {
		return routing, fmt.Errorf("auth.issuer: %w", err)
	}
	api := httpapi.New(httpapi.Config{
		Issuer: c.Auth.Issuer, Title: c.FastAPI.Title, Version: s.apiVersion(), Log: s.cfg.Log,
		PasswordMinLength: c.Auth.PasswordMinLength, PrivilegedMaxAge: minutes(c.Auth.PrivilegedMaxAgeMinutes),
		Directory: s.services.Directory, Login: s.services.Login, Sessions: s.services.Sessions, Tokens: s.services.Tokens, Clients: s.services.Clients, Requests: s.services.Authorize,
		Audit: s.services.Audit, Keys: s.services.Keys, Guard: guard,
	})
	m := newMetrics(s.cfg.Version, s.cfg.Now(), s.cfg.Log)
	m.watch(s.services, s.jobs)
	s.alone = m.alone()
	theme, err := readTheme(c.Pages)
	if err != nil {
		return routing, err
	}
	group := api.Group()
	group.Prefix = "/api" // elsewhere a browser gets a page
	group.Routes = append(group.Routes, s.ownRoutes(m)...)
	pages := hosted.New(hosted.Config{
		Issuer: c.Auth.Issuer, Version: s.apiVersion(), Theme: theme, PasswordMinLength: c.Auth.PasswordMinLength,
		Login: s.services.Login, Sessions: s.services.Sessions, Directory: s.services.Directory, Requests: s.services.Authorize,
		Refuse: group.Refuse, Ready: s.health.isReady, Log: s.cfg.Log, Now: s.cfg.Now,
	})
	provider := oidc.New(oidc.Config{
		Issuer: c.Auth.Issuer, Log: s.cfg.Log, Now: s.cfg.Now, Keys: s.services.Keys,
		Clients: s.services.Clients, Requests: s.services.Authorize, Sessions: s.services.Sessions, Tokens: s.services.Tokens,
		Pages: oidc.Pages{Locales: hosted.Locales(), Error: pages.Error, FormPost: pages.FormPost, Return: pages.Return, ConfirmSignOut: pages.ConfirmSignOut, SignedOut: pages.SignedOut},
	})
	routing = web.Config{
		Issuer: c.Auth.Issuer, Groups: []web.Group{group, provider.Group(), pages.Group()}, CORSOrigins: c.Server.CORSOrigins,
		Proxies: s.gate.proxies, Admit: s.gate.admit, Log: s.cfg.Log, Observe: m.observe, Now: s.cfg.Now,
	}
	if s.published != nil {
		routing.KnownHostsOnly = s.published.knownHostsOnly
	}
	return routing, nil
}

// ownRoutes are the routes for the operator's tools. Their errors have the form
// of the API's.
func (s *Server) ownRoutes(m *metrics) []web.Route {
	routes := []web.Route{always("/livez", s.health.live), always("/readyz", s.health.ready)}
	if metricsOnAPI(s.cfg.Config.Server) {
		scrape := ownRoute("/metrics", local(m.handler()))
		scrape.KnownHosts = true
		routes = append(routes, scrape)
	}
	return routes
}

func ownRoute(path string, handler http.Handler) web.Route {
	return web.Route{
		Method: http.MethodGet, Pattern: path, ID: path[1:], Access: web.Anonymous, Credential: web.NoCredential,
		RootOnly: true, Quiet: true, Handler: handler,
	}
}

// always is a route that is served beyond every limit.
func always(path string, handler http.HandlerFunc) web.Route {
	route := ownRoute(path, handler)
	route.Always = true
	return route
}

// metricsOnAPI reports whether the API's listener serves /metrics: only where no
// request from another machine can reach it.
func metricsOnAPI(c config.Server) bool {
	return c.MetricsListen == "" && !exposed(c)
}

// keySet is the key set that is published now.
func (s *Server) keySet() []byte {
	return s.services.Keys.Published().JWKS()
}

// recheckKeys loads the keys that another replica has created.
func (s *Server) recheckKeys(ctx context.Context) {
	if err := s.services.Keys.Recheck(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("loading changed signing keys failed", "error", err)
	}
}
