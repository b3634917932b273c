package httpapi

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
	"github.com/pico-auth/pico-auth/picoauth"
)

// Config has the texts of an API and its services. Issuer and the services are
// required.
type Config struct {
	Issuer  string // as in the claim iss; discovery and links are built from it
	Title   string // of the API page; empty: "Pico Auth API"
	Version string // of the API page; empty: "dev"
	// PasswordMinLength is the minimum length of new passwords in the OpenAPI
	// document. Zero: 8. It is not enforced here.
	PasswordMinLength int
	// PrivilegedMaxAge is the max_age of the challenge of a refusal that asks for a
	// recent sign-in. The store enforces it.
	PrivilegedMaxAge time.Duration
	Log              *slog.Logger // nil: discard

	Directory *directory.Directory
	Login     *login.Login
	Sessions  *session.Sessions
	Tokens    *token.Issuer
	Clients   *client.Clients
	Requests  *authorize.Requests
	Audit     *audit.Log
	Keys      *keyring.Ring
	Guard     *picoauth.Guard // over the key set of Keys
}

// API has the routes of the JSON API and its pages; see Group. It is safe for
// concurrent use.
type API struct {
	directory   *directory.Directory
	login       *login.Login
	sessions    *session.Sessions
	tokens      *token.Issuer
	clients     *client.Clients
	requests    *authorize.Requests
	audit       *audit.Log
	exports     chan struct{} // one element for each export
	lists       *turns
	changes     *turns
	revoked     func() *revokedLists // made at the first request
	keys        *keyring.Ring
	guard       *picoauth.Guard
	issuer      string
	base        string // path of the issuer, before every path
	title       string
	version     string
	passwordMin int
	privileged  time.Duration
	log         *slog.Logger

	routes    []route
	openAPI   func() web.Compressible // rendered at the first request
	published atomic.Pointer[published]
}

// New returns the API.
func New(cfg Config) *API {
	if cfg.Title == "" {
		cfg.Title = "Pico Auth API"
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	configureHuma()
	a := &API{
		directory: cfg.Directory, login: cfg.Login, sessions: cfg.Sessions, tokens: cfg.Tokens, clients: cfg.Clients, requests: cfg.Requests, audit: cfg.Audit, exports: make(chan struct{}, maxExports), lists: newTurns(listsAtOnce), changes: newTurns(changesAtOnce), keys: cfg.Keys, guard: cfg.Guard,
		issuer: cfg.Issuer, base: web.BasePath(cfg.Issuer), title: cfg.Title, version: cfg.Version, log: cfg.Log,
		passwordMin: cmp.Or(cfg.PasswordMinLength, 8), privileged: cfg.PrivilegedMaxAge,
	}
	a.revoked = sync.OnceValue(func() *revokedLists { return newRevokedLists(cfg.Tokens.Revocations()) })
	a.openAPI = sync.OnceValue(func() web.Compressible { return render(a.described()) })
	a.routes = a.table()
	a.handle()
	return a
}

// Group returns the routes for the router. It also responds when no route matches.
func (a *API) Group() web.Group {
	g := web.Group{Authorize: a.admit, Refuse: a.refuseWith}
	for i := range a.routes {
		g.Routes = append(g.Routes, a.routes[i].Route)
	}
	return g
}

// handle gives each route its handler.
func (a *API) handle() {
	for i := range a.routes {
		rt := &a.routes[i]
		next := rt.plain
		if next == nil {
			next = a.registered(rt)
		}
		rt.Handler = a.checked(rt, next)
	}
}

// registered returns huma's handler of a typed route. It is made at the first request:
// the schemas of all routes cost a start several milliseconds. Those that huma refuses,
// which no configuration can cause, are found by the test of the OpenAPI document.
func (a *API) registered(rt *route) http.HandlerFunc {
	handler := sync.OnceValue(func() http.HandlerFunc {
		taken := &adapter{}
		api := huma.NewAPI(a.humaConfig(), taken)
		rt.typed(api, rt)
		allowNull(api.OpenAPI(), rt)
		return taken.handler
	})
	return func(w http.ResponseWriter, r *http.Request) { handler()(w, r) }
}

// checked wraps a handler with the checks that are the same for all: of the ids in
// the path, the query and the body.
func (a *API) checked(rt *route, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(w, r, rt); err != nil {
			writeProblem(w, a.refuse(r.Context(), rt, err))
			return
		}
		if rt.isLong(r) {
			leave, err := a.lists.enter(r.Context(), callerFrom(r.Context()).actor)
			if err != nil {
				writeProblem(w, a.refuse(r.Context(), rt, err))
				return
			}
			defer leave()
		}
		next(w, r)
	})
}

// check leaves in r what the handler may read.
func check(w http.ResponseWriter, r *http.Request, rt *route) error {
	if err := checkPathValues(r, rt.values); err != nil {
		return err
	}
	if err := checkQuery(r, rt.query); err != nil {
		return err
	}
	if rt.plain != nil {
		return nil // it reads nothing but the path
	}
	if !rt.accepts {
		r.Header.Del("Accept") // the response is JSON, whatever is requested
	}
	if rt.body == noBody {
		return nil
	}
	data, err := readBody(w, r, rt.body, rt.bare)
	if err != nil {
		return err
	}
	r.Body = bodyOf(data)
	r.Header.Set("Content-Type", "application/json") // as huma writes it
	return nil
}
