package oidc

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

// maxLogout is the longest query of a logout, in bytes. An ID token that is signed with
// ML-DSA has 5 to 7 KB.
const maxLogout = 16 << 10

func (p *Provider) logoutRoutes() []web.Route {
	if p.pages.SignedOut == nil || p.pages.ConfirmSignOut == nil {
		return nil // there is nothing to show
	}
	return []web.Route{
		{
			Method: http.MethodGet, Pattern: prefix + "/logout", ID: "logout", Access: web.Anonymous, Credential: web.Cookie,
			Handler: http.HandlerFunc(p.logout),
		},
		form("/logout", "logout_by_form", web.NoCredential, p.logoutByForm),
		form("/logout/confirm", "confirm_logout", web.Cookie, p.logoutConfirmed),
	}
}

// logoutByForm is the end session endpoint by POST. It comes from another site, so it has
// no cookies and reads none: it continues with a GET.
func (p *Provider) logoutByForm(w http.ResponseWriter, r *http.Request) {
	params, err := readForm(w, r)
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	location := p.address(prefix + "/logout")
	if query := params.Encode(); query != "" {
		location += "?" + query
	}
	seeOther(w, location)
}

// logout is the end session endpoint, OpenID Connect RP-Initiated Logout 1.0, section 2.
// Anyone can send a browser here. So the session ends at once, and the browser is sent
// back, only for a client that shows an ID token of this very session; in all other cases
// the user is asked, and stays here. Where no session is left there is nothing to ask.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.RawQuery) > maxLogout {
		p.pages.Error(w, r, oauth.Refuse(oauth.InvalidRequest, "the request is larger than 16 KiB"))
		return
	}
	params, err := parseForm(r.URL.RawQuery)
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	b, found, err := p.present(r)
	var client *oauth.Client
	var hint token.Hint
	if err == nil {
		client, hint, err = p.asker(r, params)
	}
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	uri := params.Get("post_logout_redirect_uri")
	proved := client != nil && hint.ClientID == client.ID && (uri == "" || client.PostLogoutRedirect(uri))
	switch {
	case !found && !proved:
		p.pages.SignedOut(w, r, nil, "", nil)
	case !found: // the session has ended before: with a link, the user can go back
		p.pages.SignedOut(w, r, client, returnTo(params), nil)
	case proved && hint.UserID == b.User.ID && hint.SessionID == b.Session.ID:
		p.endPresent(w, r, client, returnTo(params))
	default:
		p.pages.ConfirmSignOut(w, r, client, prefix+"/logout/confirm", localesOf(params))
	}
}

// present returns the session of the browser.
func (p *Provider) present(r *http.Request) (session.Browser, bool, error) {
	if !p.hasCookies {
		return session.Browser{}, false, errInsecure
	}
	return p.sessions.Browser(r.Context(), p.cookieOf(r))
}

func (p *Provider) cookieOf(r *http.Request) session.Cookie {
	return session.Cookie(p.cookies.Get(r, web.SessionCookie))
}

// asker returns the client that asks for the logout, nil if it is unknown, and what the
// ID token says that it shows, zero if that is none of ours.
func (p *Provider) asker(r *http.Request, params url.Values) (*oauth.Client, token.Hint, error) {
	hint, valid := p.tokens.Hint(params.Get("id_token_hint"))
	if !valid {
		hint = token.Hint{}
	}
	id := cmp.Or(params.Get("client_id"), hint.ClientID)
	if id == "" {
		return nil, hint, nil
	}
	found, err := p.clients.Get(r.Context(), id)
	switch {
	case err == nil:
		return &found, hint, nil
	case fault.KindOf(err) == fault.NotFound:
		return nil, hint, nil
	default:
		return nil, hint, err
	}
}

// returnTo is where the browser is sent after a logout; empty: it stays.
func returnTo(params url.Values) string {
	uri, state := params.Get("post_logout_redirect_uri"), params.Get("state")
	if uri == "" || state == "" {
		return uri
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + url.Values{"state": {state}}.Encode()
}

// localesOf is what the confirmation repeats of the request: nothing but the language.
func localesOf(params url.Values) url.Values {
	keep := url.Values{}
	if locales := params.Get("ui_locales"); locales != "" {
		keep.Set("ui_locales", locales)
	}
	return keep
}

// logoutConfirmed is the answer of the user. It is protected against requests of other
// sites, and never leads away.
func (p *Provider) logoutConfirmed(w http.ResponseWriter, r *http.Request) {
	params, err := readForm(w, r)
	if err == nil && !p.hasCookies {
		err = errInsecure
	}
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	if params.Get("action") != "sign-out" {
		location := p.address("/account")
		if locales := localesOf(r.URL.Query()).Encode(); locales != "" {
			location += "?" + locales
		}
		seeOther(w, location)
		return
	}
	p.endPresent(w, r, nil, "")
}

// endPresent ends the session of the browser, and sends it to the location; empty, or
// when the page has to tell clients first: the user sees that they are signed out.
func (p *Provider) endPresent(w http.ResponseWriter, r *http.Request, client *oauth.Client, location string) {
	frames, err := p.sessions.EndBrowser(r.Context(), web.Actor(r.Context()), p.cookieOf(r))
	if err != nil {
		p.pages.Error(w, r, err)
		return
	}
	p.cookies.Clear(w, web.SessionCookie)
	switch {
	case location != "" && len(frames) == 0:
		seeOther(w, location)
		return
	case location != "": // when the frames have been loaded; the page has a link, and a script that waits for none
		w.Header().Set("Refresh", "2; url="+location)
	}
	p.pages.SignedOut(w, r, client, location, frames)
}
