package hosted

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

// Config is what New needs. Issuer, Refuse and the services are required.
type Config struct {
	Issuer  string
	Version string // of the program
	Theme   Theme
	// PasswordMinLength is shown with new passwords. Zero: 8. It is not enforced here.
	PasswordMinLength int

	Login     *login.Login
	Sessions  *session.Sessions
	Directory *directory.Directory
	Requests  *authorize.Requests

	// Refuse writes the response for programs, where a browser gets a page.
	Refuse func(http.ResponseWriter, *http.Request, error)
	Ready  func(context.Context) bool // shown on the page at /; nil: ready
	Log    *slog.Logger               // nil: discard
	Now    func() time.Time           // nil: time.Now
}

// Pages serves the pages; see Group. It is safe for concurrent use. Templates, texts
// and files are prepared for the first page, not at the start of the program.
type Pages struct {
	issuer   string
	base     string // path of the issuer
	version  string
	theme    Theme
	shortest int // of new passwords, in characters

	login      *login.Login
	sessions   *session.Sessions
	directory  *directory.Directory
	requests   *authorize.Requests
	cookies    web.Cookies
	hasCookies bool

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
	if cfg.PasswordMinLength == 0 {
		cfg.PasswordMinLength = 8
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
	p := &Pages{
		issuer: cfg.Issuer, base: base, version: cfg.Version, theme: cfg.Theme, shortest: cfg.PasswordMinLength,
		login: cfg.Login, sessions: cfg.Sessions, directory: cfg.Directory, requests: cfg.Requests,
		program: cfg.Refuse, ready: cfg.Ready, log: cfg.Log, now: cfg.Now,
		assets:    sync.OnceValue(func() *assets { return newAssets(base, cfg.Theme) }),
		templates: sync.OnceValue(parseTemplates),
		texts:     sync.OnceValue(loadCatalogue),
	}
	p.cookies, p.hasCookies = web.NewCookies(cfg.Issuer)
	return p
}

// Group returns the routes for the router. It also responds where no route of any
// protocol matches: with a page for browsers.
func (p *Pages) Group() web.Group {
	return web.Group{Refuse: p.refuse, Authorize: p.admit, Routes: []web.Route{
		{Method: http.MethodGet, Pattern: "/{$}", ID: "home", Access: web.Anonymous, Credential: web.NoCredential, Handler: http.HandlerFunc(p.home)},
		{Method: http.MethodGet, Pattern: "/assets/{file}", ID: "asset", Access: web.Anonymous, Credential: web.NoCredential, Handler: http.HandlerFunc(p.serveAsset)},
		show("/signed-out", web.Anonymous, p.signedOut),
		show("/sign-in", web.Anonymous, p.showSignIn),
		send("/sign-in", web.Anonymous, p.signIn),
		show("/register", web.Anonymous, p.showRegister),
		send("/register", web.Anonymous, p.register),
		show("/consent", web.Anonymous, p.showConsent),
		send("/consent", web.Anonymous, p.consent),
		show("/device", web.Anonymous, p.showDevice),
		send("/device", web.User, p.device),
		show("/account", web.User, p.showAccount),
		send("/account/profile", web.User, p.changeProfile),
		send("/account/password", web.User, p.changePassword),
		send("/account/sessions", web.User, p.endSessions),
		send("/account/sessions/{session_id}", web.User, p.endSession),
		send("/account/apps/{client_id}", web.User, p.withdraw),
		send("/account/sign-out", web.Anonymous, p.signOut),
	}}
}

// show declares a page, send what its form does. A browser authenticates itself by its
// cookies, so requests from other sites are refused.
func show(pattern string, access web.Access, handler http.HandlerFunc) web.Route {
	return web.Route{Method: http.MethodGet, Pattern: pattern, ID: "page " + pattern, Access: access, Credential: web.Cookie, Handler: handler}
}

func send(pattern string, access web.Access, handler http.HandlerFunc) web.Route {
	return web.Route{
		Method: http.MethodPost, Pattern: pattern, ID: "form " + pattern, Access: access, Credential: web.Cookie,
		MaxBody: maxForm, Handler: handler,
	}
}

// maxForm is the longest form in bytes: a profile with two addresses, each character of
// which may be escaped.
const maxForm = 16 << 10

func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, page{name: "home", wide: true, view: homeView{
		Version: p.version, Issuer: p.issuer, Healthy: p.ready(r.Context()), Account: p.hasCookies,
		Command: []string{"pico-auth client create", "--kind web", "--redirect-uri http://localhost:3000/callback"},
	}})
}
