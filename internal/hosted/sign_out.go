package hosted

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// signedOut is where a sign-out ends. A user who is signed in must not read the contrary.
func (p *Pages) signedOut(w http.ResponseWriter, r *http.Request) {
	if v, err := p.visitor(r); err == nil && v.in {
		p.seeOther(w, "/account")
		return
	}
	p.SignedOut(w, r, nil, "", nil)
}

// signOut ends the session of the browser.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) {
	v, err := p.visitor(r)
	var frames []string
	if err == nil {
		frames, err = p.sessions.EndBrowser(r.Context(), v.actor(r.Context()), v.cookie)
	}
	if err != nil {
		p.Error(w, r, err)
		return
	}
	p.signedOutHere(w, r, frames)
}

// signedOutHere shows the browser, whose session has ended, that the user is signed out.
func (p *Pages) signedOutHere(w http.ResponseWriter, r *http.Request, frames []string) {
	p.cookies.Clear(w, web.SessionCookie)
	if len(frames) > 0 {
		p.SignedOut(w, r, nil, "", frames)
		return
	}
	p.seeOther(w, "/signed-out")
}

// ConfirmSignOut asks the user whether they want to sign out. The form posts action with
// sign-out or stay to the path, with the values in its query. client is the one that asks; nil: unknown.
func (p *Pages) ConfirmSignOut(w http.ResponseWriter, r *http.Request, client *oauth.Client, path string, values url.Values) {
	view := signOutView{form: form{Action: p.base + path}}
	if query := values.Encode(); query != "" { // not hidden fields: the language of a page is in its address
		view.Action += "?" + query
	}
	if client != nil {
		shown := shownClient(*client, "")
		view.Client = &shown
	}
	p.render(w, r, page{name: "sign_out", view: view, locales: values.Get("ui_locales")})
}

// SignedOut says that the session of the browser has ended. client and address are where
// the user came from; nil and empty: unknown. frames are the front-channel logout URIs of
// clients, which the page loads (OpenID Connect Front-Channel Logout 1.0, section 2).
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, client *oauth.Client, address string, frames []string) {
	view := signedOutView{URL: template.URL(address), Frames: frames} //nolint:gosec // one that the client has registered
	if client != nil {
		shown := shownClient(*client, "")
		view.Client = &shown
	} else {
		view.URL = ""
	}
	var origins []string
	for _, frame := range frames {
		if source := sourceOf(frame); !slices.Contains(origins, source) {
			origins = append(origins, source)
		}
	}
	p.render(w, r, page{name: "signed_out", view: view, policy: policy{frames: origins}})
}
