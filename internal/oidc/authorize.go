package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

// Pages are what users see of the authorization endpoint; hosted has them.
type Pages struct {
	Locales []string // the languages, for discovery
	// Error shows an error that must not, or cannot, reach the client. nil: it is written
	// as the other endpoints do.
	Error func(http.ResponseWriter, *http.Request, error)
	// FormPost posts the response to the client, OAuth 2.0 Form Post Response Mode.
	FormPost func(http.ResponseWriter, *http.Request, oauth.AuthorizationResponse)
	// Return sends the browser to the client with a response by query or fragment. nil:
	// by a redirect.
	Return func(http.ResponseWriter, *http.Request, oauth.AuthorizationResponse)

	// ConfirmSignOut asks the user whether they want to sign out. The form posts action with
	// sign-out or stay to the path, with the values in its query. client is the one that
	// asks; nil: unknown. nil, as SignedOut: there is no logout.
	ConfirmSignOut func(w http.ResponseWriter, r *http.Request, client *oauth.Client, path string, values url.Values)
	// SignedOut says that the user is signed out, with a link to the address of the client,
	// and loads the frames.
	SignedOut func(w http.ResponseWriter, r *http.Request, client *oauth.Client, address string, frames []string)
}

// errInsecure refuses a browser where it would send its cookies in the clear.
var errInsecure = &web.Error{
	Status: http.StatusNotImplemented, Code: "insecure_issuer",
	Detail: "browsers can sign in only when auth.issuer is https, or http on a loopback address",
}

func (p *Provider) authorizeRoutes() []web.Route {
	get := func(path, id string, handler http.HandlerFunc) web.Route {
		return web.Route{
			Method: http.MethodGet, Pattern: prefix + path, ID: id, Access: web.Anonymous, Credential: web.Cookie, Handler: handler,
		}
	}
	return []web.Route{
		get("/authorize", "authorize", p.authorize),
		form("/authorize", "authorize_by_form", web.NoCredential, p.authorizeByForm),
		get("/authorize/{id}", "continue_authorization", p.continueAuthorization),
	}
}

// authorize is the authorization endpoint, RFC 6749 section 3.1.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.RawQuery) > authorize.MaxRequest {
		p.pages.Error(w, r, oauth.Refuse(oauth.InvalidRequest, "the request is larger than 16 KiB"))
		return
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.pages.Error(w, r, oauth.Refuse(oauth.InvalidRequest, "the query is not well formed"))
		return
	}
	if !p.hasCookies {
		p.pages.Error(w, r, errInsecure)
		return
	}
	b := authorize.Browser{
		Secret:     authorize.Secret(p.cookies.Get(r, web.RequestCookie)),
		CookieHash: session.Cookie(p.cookies.Get(r, web.SessionCookie)).Hash(),
	}
	next, err := p.requests.Begin(r.Context(), web.Actor(r.Context()), params, b)
	p.goOn(w, r, next, err)
}

// authorizeByForm is the authorization endpoint by POST (OpenID Connect Core 3.1.2.1). It
// comes from another site, so it has no cookies and reads none: it stores the request, and
// continues with a GET.
func (p *Provider) authorizeByForm(w http.ResponseWriter, r *http.Request) {
	if !p.hasCookies {
		p.pages.Error(w, r, errInsecure)
		return
	}
	body, err := web.ReadBody(w, r, formType, true)
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		p.pages.Error(w, r, oauth.Refuse(oauth.InvalidRequest, "the form is not well formed"))
		return
	}
	r.Form = params // a page has its language from there
	next, err := p.requests.Post(r.Context(), web.Actor(r.Context()), params)
	if err != nil || next.Response != nil {
		p.goOn(w, r, next, err)
		return
	}
	seeOther(w, p.address(prefix+"/authorize/"+next.ID))
}

// continueAuthorization goes on with a request: each page sends the browser here when it
// has recorded an answer.
func (p *Provider) continueAuthorization(w http.ResponseWriter, r *http.Request) {
	b, err := p.browser(r)
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	id := r.PathValue("id")
	next, err := p.requests.Continue(r.Context(), web.Actor(r.Context()), id, b)
	_, ended := errors.AsType[*authorize.Ended](err)
	if fault.KindOf(err) == fault.NotFound && !ended { // by POST, and seen for the first time; or not this browser's
		if b, err = p.requests.Bind(r.Context(), id, b); err == nil {
			next, err = p.requests.Continue(r.Context(), web.Actor(r.Context()), id, b)
			next.Secret = b.Secret
		}
	}
	p.goOn(w, r, next, err)
}

// browser returns what the browser presents.
func (p *Provider) browser(r *http.Request) (authorize.Browser, error) {
	if !p.hasCookies {
		return authorize.Browser{}, errInsecure
	}
	b := authorize.Browser{Secret: authorize.Secret(p.cookies.Get(r, web.RequestCookie))}
	s, found, err := p.sessions.Browser(r.Context(), session.Cookie(p.cookies.Get(r, web.SessionCookie)))
	if found {
		b.SessionID = s.Session.ID
	}
	return b, err
}

// goOn sends the browser to the client or to a page.
func (p *Provider) goOn(w http.ResponseWriter, r *http.Request, next authorize.Next, err error) {
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	if next.Response != nil {
		web.Refused(r.Context(), next.Response.Params.Get("error")) // otherwise only the client would know
	}
	if next.Secret != "" {
		p.cookies.Set(w, web.RequestCookie, string(next.Secret), authorize.CookieLifetime)
	}
	switch {
	case next.Response == nil:
		seeOther(w, p.pageOf(next))
	case next.Response.ResponseMode == oauth.ModeFormPost:
		p.pages.FormPost(w, r, *next.Response)
	case p.pages.Return != nil:
		p.pages.Return(w, r, *next.Response)
	default:
		seeOther(w, next.Response.Location())
	}
}

// pageOf is the address of the page of a step.
func (p *Provider) pageOf(next authorize.Next) string {
	path := "/consent"
	switch next.Step {
	case authorize.SignIn:
		path = "/sign-in"
	case authorize.Register:
		path = "/register"
	default: // a question to the user who is signed in
	}
	return p.address(path + "?request=" + url.QueryEscape(next.ID))
}

// seeOther redirects with a GET, whatever the method was: with another status a browser
// might send credentials again (RFC 9700 section 4.12).
func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}
