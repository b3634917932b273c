package hosted

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

// errInsecure refuses a browser where it would send its cookies in the clear.
var errInsecure = &web.Error{
	Status: http.StatusNotImplemented, Code: "insecure_issuer",
	Detail: "browsers can sign in only when auth.issuer is https, or http on a loopback address",
}

// errSignIn sends a browser without a session to the sign-in page.
var errSignIn = fault.New(fault.Unauthenticated, "unauthenticated", "sign in first")

// visitor is the browser of a request.
type visitor struct {
	cookie  session.Cookie
	session session.Browser // zero: no user is signed in
	in      bool
	secret  authorize.Secret
}

// user is who is signed in; nil: no one.
func (v visitor) user() *userView {
	if !v.in {
		return nil
	}
	return &userView{Name: v.session.User.DisplayName, Email: v.session.User.Email}
}

// presents is what the browser presents for an authorization request.
func (v visitor) presents() authorize.Browser {
	b := authorize.Browser{Secret: v.secret}
	if v.in {
		b.SessionID = v.session.Session.ID
	}
	return b
}

// actor is the user of the browser.
func (v visitor) actor(ctx context.Context) identity.Actor {
	by := web.Actor(ctx)
	if v.in {
		by = by.AsUser(v.session.User.ID)
		by.SessionID = v.session.Session.ID
	}
	return by
}

// visitor reads the cookies.
func (p *Pages) visitor(r *http.Request) (visitor, error) {
	if !p.hasCookies {
		return visitor{}, errInsecure
	}
	v := visitor{
		cookie: session.Cookie(p.cookies.Get(r, web.SessionCookie)),
		secret: authorize.Secret(p.cookies.Get(r, web.RequestCookie)),
	}
	var err error
	v.session, v.in, err = p.sessions.Browser(r.Context(), v.cookie)
	return v, err
}

type visitorKey struct{}

// admit is the Authorize of the pages of a user.
func (p *Pages) admit(r *http.Request, _ web.Access) (*http.Request, error) {
	v, err := p.visitor(r)
	if err == nil && !v.in {
		err = errSignIn
	}
	if err != nil {
		return nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), visitorKey{}, v)), nil
}

// admitted is the visitor of a page of a user.
func admitted(r *http.Request) visitor {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	return v
}

// readForm reads the fields of a form, each of which has one value.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := web.ReadBody(w, r, "application/x-www-form-urlencoded", true)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_form", "the form is not well formed")
	}
	for _, all := range values {
		if len(all) > 1 || !utf8.ValidString(all[0]) || strings.ContainsRune(all[0], 0) {
			return nil, fault.New(fault.Invalid, "invalid_form", "a field of the form is repeated, or is not valid text")
		}
	}
	return values, nil
}

// seeOther sends the browser to an address below the issuer, with a GET.
func (p *Pages) seeOther(w http.ResponseWriter, path string) {
	w.Header().Set("Location", p.base+path)
	w.WriteHeader(http.StatusSeeOther)
}
