package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/httpapi"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// handler mounts everything behind the middleware.
func (s *Server) handler() (http.Handler, error) {
	c := s.cfg.Config
	guard, err := picoauth.New(picoauth.Config{
		Issuer:     c.Auth.Issuer,
		Audience:   c.Auth.Audience,
		Algorithms: s.accepted,
		Client:     localkeys.Client(s.keySet, s.recheckKeys),
		Now:        s.cfg.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("auth.issuer: %w", err)
	}
	api := httpapi.New(httpapi.Config{
		Issuer: c.Auth.Issuer, Title: c.FastAPI.Title, Version: s.apiVersion(), CORSOrigins: c.Server.CORSOrigins, Log: s.cfg.Log,
		Directory: s.rooms.Directory, Login: s.rooms.Login, Tokens: s.rooms.Tokens, Keys: s.rooms.Keys, Guard: guard,
	})
	m := newMetrics(s.cfg.Version)
	m.watch(s.rooms)
	prefixes, err := parseProxies(c.Server.TrustedProxies)
	if err != nil {
		return nil, err
	}
	own := map[string]http.Handler{
		"/livez":  http.HandlerFunc(s.health.live),
		"/readyz": http.HandlerFunc(s.health.ready),
	}
	if c.Server.MetricsListen == "" {
		own["/metrics"] = local(m.handler())
	} else {
		s.metrics = s.newHTTP(m.handler())
	}
	return &middleware{next: mount(own, api), proxies: prefixes, log: s.cfg.Log, metrics: m, now: s.cfg.Now}, nil
}

// keySet is the key set as it is published now.
func (s *Server) keySet() []byte {
	body, _ := s.rooms.Keys.JWKS()
	return body
}

// recheckKeys looks for keys that another replica made.
func (s *Server) recheckKeys(ctx context.Context) {
	if err := s.rooms.Keys.Recheck(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("could not look for changed signing keys", "error", err)
	}
}

// mount answers GET and HEAD of the own paths and leaves the rest to the API,
// whose refusals have the API's shape. So are requests with a chunked body: no
// supervisor sends one, and the API ends their connection.
func mount(own map[string]http.Handler, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := own[r.URL.Path]
		if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) || len(r.TransferEncoding) > 0 {
			api.ServeHTTP(w, r)
			return
		}
		r.Pattern = "GET " + r.URL.Path
		h.ServeHTTP(w, r)
	})
}
