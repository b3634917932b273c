package hosted

import (
	"errors"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// asked is the authorization request that a page is about, and its browser.
type asked struct {
	visitor
	authorize.Question
}

// locales is the parameter ui_locales of the request.
func (a asked) locales() string { return strings.Join(a.Request.UILocales, " ") }

// policy lets the form of a page lead to the client: the redirects after it may.
func (a asked) policy() policy { return policy{formTo: sourceOf(a.Request.RedirectURI)} }

// asks are the scopes that the user is asked to allow, and those that they allowed the
// client before. Where nothing is new they are asked for all again.
func (a asked) asks() (asks, has []string) {
	all := strings.Fields(a.Request.Allowance(a.Client))
	if len(a.New) == 0 {
		return all, nil
	}
	return a.New, slices.DeleteFunc(all, func(scope string) bool { return scope == oauth.ScopeOpenID || slices.Contains(a.New, scope) })
}

// ask reads the authorization request of a page. Without an id the page is about none.
func (p *Pages) ask(r *http.Request, id string) (asked, error) {
	v, err := p.visitor(r)
	if err != nil || id == "" {
		return asked{visitor: v}, err
	}
	q, err := p.requests.Question(r.Context(), id, v.presents())
	return asked{visitor: v, Question: q}, err
}

// goOn sends the browser back to the question what is missing.
func (p *Pages) goOn(w http.ResponseWriter, id string) {
	p.seeOther(w, "/oauth2/authorize/"+url.PathEscape(id))
}

// respond sends a response to the client.
func (p *Pages) respond(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	if response.ResponseMode == oauth.ModeFormPost {
		p.FormPost(w, r, response)
		return
	}
	p.Return(w, r, response)
}

// Return sends the browser to the client with a response by query or fragment.
//
// Chromium applies the form-action of a page to every redirect that follows its form,
// those of the client too, which often goes on to another origin (seen). So where a form
// of ours has led here, a page of its own leads to the client. Not to a program of the
// device: browsers open one only while the click of the user counts.
func (p *Pages) Return(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	address, host := response.Location(), hostOf(response.RedirectURI)
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" && host != "" {
		p.render(w, r, page{name: "return", locales: strings.Join(response.UILocales, " "), view: returnView{URL: address, Client: host}})
		return
	}
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// FormPost shows the page that posts a response to the client, OAuth 2.0 Form Post
// Response Mode.
func (p *Pages) FormPost(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	view := formPostView{Action: response.RedirectURI, Client: hostOf(response.RedirectURI)}
	for _, name := range slices.Sorted(maps.Keys(response.Params)) {
		view.Values = append(view.Values, hidden{name, response.Params.Get(name)})
	}
	to := "https:" // the client may redirect to another origin
	if strings.HasPrefix(response.RedirectURI, "http:") {
		to = "http: https:" // loopback
	}
	p.render(w, r, page{name: "form_post", locales: strings.Join(response.UILocales, " "), view: view, policy: policy{formTo: to, onlyFor: true}})
}

func (p *Pages) showConsent(w http.ResponseWriter, r *http.Request) {
	a, err := p.ask(r, r.URL.Query().Get("request"))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	l := p.language(r, a.locales())
	f := form{Action: p.base + "/consent", Hidden: []hidden{{"request", a.ID}}}
	pg := page{locales: a.locales(), policy: a.policy()}
	client := shownClient(a.Client, a.Request.RedirectURI)
	switch a.Step {
	case authorize.Consent:
		asks, has := a.asks()
		pg.name, pg.view = "consent", consentView{form: f, Client: client, User: *a.user(), Scopes: l.scopes(asks), Has: l.scopes(has), Lasts: l.lasts(a.Request.Scopes())}
	case authorize.ChooseAccount, authorize.ContinueAs:
		pg.name, pg.view = "continue", continueView{form: f, Client: client, User: *a.user(), Caution: a.Step == authorize.ContinueAs}
	case authorize.NotAllowed:
		web.Refused(r.Context(), string(oauth.AccessDenied))
		pg.name, pg.view, pg.status = "not_allowed", notAllowedView{form: f, Client: client, User: *a.user()}, http.StatusForbidden
	default:
		p.goOn(w, a.ID)
		return
	}
	p.render(w, r, pg)
}

// answered reads the form of a page, and what is asked of the request that it answers. If
// it is not ok, the browser has an error page.
func (p *Pages) answered(w http.ResponseWriter, r *http.Request) (values url.Values, a asked, ok bool) {
	values, err := readForm(w, r)
	if err == nil {
		a, err = p.ask(r, values.Get("request"))
	}
	if err != nil {
		p.Error(w, r, err)
	}
	return values, a, err == nil
}

// consent records what the user decided on one of the pages of showConsent.
func (p *Pages) consent(w http.ResponseWriter, r *http.Request) {
	values, a, ok := p.answered(w, r)
	if !ok {
		return
	}
	var err error
	ctx, by, id := r.Context(), a.actor(r.Context()), a.ID
	switch values.Get("action") {
	case "allow":
		err = p.requests.Consent(ctx, by, id, a.presents())
	case "continue":
		err = p.requests.Choose(ctx, id, a.presents())
	case "other":
		err = p.requests.Another(ctx, a.Question, a.presents())
	case "deny":
		p.deny(w, r, a)
		return
	}
	if err != nil && !errors.Is(err, authorize.ErrNotAsked) { // such as the second click on a button: the first one was recorded
		p.fail(w, r, a.locales(), err)
		return
	}
	p.goOn(w, id)
}

// deny ends the request.
func (p *Pages) deny(w http.ResponseWriter, r *http.Request, a asked) {
	next, err := p.requests.Deny(r.Context(), a.actor(r.Context()), a.ID, a.presents())
	if err != nil {
		p.fail(w, r, a.locales(), err)
		return
	}
	p.respond(w, r, *next.Response)
}

// shownClient is the client as users see it. Its logo is an image in a data URI: client
// has made sure.
func shownClient(c oauth.Client, redirectURI string) clientView {
	v := clientView{Name: c.Name, Host: hostOf(redirectURI), Policy: c.PolicyURI, Terms: c.TOSURI}
	if strings.HasPrefix(c.LogoURI, "data:image/png;base64,") || strings.HasPrefix(c.LogoURI, "data:image/webp;base64,") {
		v.Logo = template.URL(c.LogoURI) //nolint:gosec // an image in base64: the rest of it is escaped in the attribute
	}
	return v
}

// scopes are the texts of scopes. That of openid says the least, so it is shown alone only.
func (l *locale) scopes(scopes []string) (texts []string) {
	for _, scope := range scopes {
		if scope != oauth.ScopeOpenID || len(scopes) == 1 {
			texts = append(texts, l.textOr("scope."+scope, l.text("scope.other", scope)))
		}
	}
	return texts
}

// lasts says for how long a client has what the user allows it.
func (l *locale) lasts(scopes []string) string {
	if slices.Contains(scopes, oauth.ScopeOfflineAccess) {
		return l.text("consent.lasts.offline")
	}
	return l.text("consent.lasts")
}

// hostOf is the host of a redirect URI; empty: it leads to an app of this device.
func hostOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Host
}

// originOf is the address of a client, without a path: its redirect URI is for responses. It
// is empty for an app of this device.
func originOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/"
}

// sourceOf is the expression of a content security policy for a redirect URI: its
// origin or its private-use scheme. There is none for an IPv6 address (CSP Level 3,
// section 2.3.1), which only loopback has here; the scheme stands for it.
func sourceOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Scheme != "https" && u.Scheme != "http", net.ParseIP(u.Hostname()).To4() == nil && strings.Contains(u.Host, "["):
		return u.Scheme + ":"
	default:
		return u.Scheme + "://" + u.Host
	}
}
