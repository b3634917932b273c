package hosted

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

// Config is what New needs. Issuer and Refuse are required.
type Config struct {
	Issuer  string
	Version string // of the program
	Theme   Theme

	// Refuse writes the response for programs, where a browser gets a page.
	Refuse func(http.ResponseWriter, *http.Request, error)
	Ready  func(context.Context) bool // shown on the page at /; nil: ready
	Log    *slog.Logger               // nil: discard
	Now    func() time.Time           // nil: time.Now
}

// Pages serves the pages; see Group. It is safe for concurrent use. Templates, texts
// and files are prepared for the first page, not at the start of the program.
type Pages struct {
	issuer  string
	base    string // path of the issuer
	version string
	theme   Theme
	program func(http.ResponseWriter, *http.Request, error)
	ready   func(context.Context) bool
	log     *slog.Logger
	now     func() time.Time

	assets    func() *assets
	templates func() map[string]*template.Template
	texts     func() *catalogue
}

// New returns the pages.
func New(cfg Config) *Pages {
	if cfg.Theme.Name == "" {
		cfg.Theme.Name = defaultName
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) bool { return true }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	base := web.BasePath(cfg.Issuer)
	return &Pages{
		issuer: cfg.Issuer, base: base, version: cfg.Version, theme: cfg.Theme,
		program: cfg.Refuse, ready: cfg.Ready, log: cfg.Log, now: cfg.Now,
		assets:    sync.OnceValue(func() *assets { return newAssets(base, cfg.Theme) }),
		templates: sync.OnceValue(parseTemplates),
		texts:     sync.OnceValue(loadCatalogue),
	}
}

// Group returns the routes for the router. It also responds where no route of any
// protocol matches: with a page for browsers.
func (p *Pages) Group() web.Group {
	return web.Group{Refuse: p.refuse, Routes: []web.Route{
		get("/{$}", "home", p.home),
		get("/assets/{file}", "asset", p.serveAsset),
		get("/signed-out", "signed_out", p.signedOut),
	}}
}

func get(pattern, id string, handler http.HandlerFunc) web.Route {
	return web.Route{Method: http.MethodGet, Pattern: pattern, ID: id, Access: web.Anonymous, Credential: web.NoCredential, Handler: handler}
}

func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, page{name: "home", wide: true, view: homeView{
		Version: p.version, Issuer: p.issuer, Healthy: p.ready(r.Context()),
		Command: "pico-auth client create --kind web --redirect-uri http://localhost:3000/callback",
	}})
}

func (p *Pages) signedOut(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, page{name: "signed_out", view: signedOutView{}})
}
