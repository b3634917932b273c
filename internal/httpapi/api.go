package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"sync"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/picoauth"
)

// Config is what an API says about itself, and what does its work. Issuer and
// the services are required.
type Config struct {
	Issuer      string       // as in the claim iss; discovery is built from it
	Title       string       // of the API page; empty: "Pico Auth API"
	Version     string       // of the API page; empty: "dev"
	CORSOrigins []string     // exact origins whose scripts may call; nil: none
	Log         *slog.Logger // nil: discard

	Directory *directory.Directory
	Login     *login.Login
	Tokens    *token.Issuer
	Keys      *keyring.Ring
	Guard     *picoauth.Guard // over the key set of Keys
}

// API answers every path of the server but the operator's (health, metrics).
// It is safe for concurrent use.
type API struct {
	directory *directory.Directory
	login     *login.Login
	tokens    *token.Issuer
	keys      *keyring.Ring
	guard     *picoauth.Guard
	issuer    string
	title     string
	version   string
	cors      cors
	log       *slog.Logger

	mux       *http.ServeMux
	routes    []route
	openAPI   func() document // rendered at the first request for it
	published atomic.Pointer[published]
}

// New returns the API. It panics when a route is declared without an access
// rule: no configuration can cause that.
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
		directory: cfg.Directory, login: cfg.Login, tokens: cfg.Tokens, keys: cfg.Keys, guard: cfg.Guard,
		issuer: cfg.Issuer, title: cfg.Title, version: cfg.Version,
		cors: cors{origins: cfg.CORSOrigins}, log: cfg.Log, mux: http.NewServeMux(),
	}
	a.openAPI = sync.OnceValue(func() document { return render(a.described()) })
	a.routes = a.table()
	served := huma.NewAPI(a.humaConfig(), adapter{a.mux})
	for i := range a.routes {
		a.mount(served, &a.routes[i])
	}
	a.mux.HandleFunc("/", a.fallback)
	return a
}

// ServeHTTP implements http.Handler. Afterwards r.Pattern is the matched
// route's method and pattern, or empty.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	setSecurityHeaders(h)
	a.cors.setHeaders(h, r)
	if len(r.TransferEncoding) > 0 {
		// With both lengths in one request, what follows on the connection may
		// be smuggled. net/http drops one of them, so any chunked request ends it.
		h.Set("Connection", "close")
	}
	if !isClean(r.URL) || r.Method == http.MethodConnect {
		// ServeMux would redirect, or treat it by other rules.
		a.fallback(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// isClean reports whether the path is written the one way that is served.
func isClean(u *url.URL) bool {
	escaped := u.EscapedPath()
	if escaped == "" || escaped[0] != '/' {
		return false
	}
	clean := path.Clean(escaped)
	return escaped == clean || (clean != "/" && escaped == clean+"/")
}

// Routes returns every route with its rule. Pattern is how ServeMux and
// metrics know it.
func (a *API) Routes() []Route {
	routes := make([]Route, len(a.routes))
	for i := range a.routes {
		routes[i] = a.routes[i].Route
	}
	return routes
}

// mount puts a route on the mux, behind its rule.
func (a *API) mount(served huma.API, rt *route) {
	if rt.Access == undeclared {
		panic("httpapi: " + rt.OperationID + " has no access rule")
	}
	if rt.plain != nil {
		a.mux.Handle(rt.Method+" "+rt.Pattern, a.protect(rt, rt.plain))
		return
	}
	rt.typed(served, rt, func(h http.HandlerFunc) http.Handler { return a.protect(rt, h) })
	allowNull(served.OpenAPI(), rt)
}

// protect puts everything before a handler that is the same for all: the
// access rule, the ids in the path, the query, the body.
func (a *API) protect(rt *route, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rt.public {
			setPublic(w.Header())
		}
		if r, err := a.admit(w, r, rt); err != nil {
			writeProblem(w, a.refuse(r.Context(), rt, err))
		} else {
			next(w, r)
		}
	})
}

// admit returns the request as the handler may see it.
func (a *API) admit(w http.ResponseWriter, r *http.Request, rt *route) (*http.Request, error) {
	who, err := a.authorize(r, rt.Access)
	if err != nil {
		return r, err
	}
	if err := checkPathValues(r, rt.values); err != nil {
		return r, err
	}
	if err := checkQuery(r, rt.query); err != nil {
		return r, err
	}
	if rt.plain != nil {
		return r, nil // it asks for nothing but the path
	}
	admitted := r.WithContext(context.WithValue(r.Context(), callerKey, who))
	admitted.Header.Del("Accept") // it is JSON, whatever is asked for
	if rt.body == noBody {
		return admitted, nil
	}
	data, err := readBody(w, r, rt.body, rt.bare)
	if err != nil {
		return r, err
	}
	admitted.Body = bodyOf(data)
	admitted.Header.Set("Content-Type", "application/json") // as huma writes it
	return admitted, nil
}

// fallback answers what no route matches: a preflight, 405 or 404.
func (a *API) fallback(w http.ResponseWriter, r *http.Request) {
	r.Pattern = ""
	methods, public := a.methodsOf(r)
	if public {
		setPublic(w.Header())
	}
	switch {
	case len(methods) == 0:
		writeProblem(w, newProblem(http.StatusNotFound, "not_found", "there is nothing at this address"))
	case isPreflight(r) && w.Header().Get("Access-Control-Allow-Origin") != "":
		answerPreflight(w.Header(), methods)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuseMethod(w, methods)
	}
}
