package hosted

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

// target is where the browser goes after the sign-in: back to its authorization request,
// to the device page with its code, or to the account.
type target struct {
	request  string
	userCode string
	device   bool
}

func targetOf(values url.Values) target {
	return target{request: values.Get("request"), device: values.Get("to") == "device", userCode: values.Get("user_code")}
}

// values are the parameters of the pages on the way.
func (t target) values() url.Values {
	v := url.Values{}
	if t.request != "" {
		v.Set("request", t.request)
	}
	if t.device {
		v.Set("to", "device")
		v.Set("user_code", t.userCode)
	}
	return v
}

func (t target) hidden() (all []hidden) {
	v := t.values()
	for _, name := range []string{"request", "to", "user_code"} {
		if v.Has(name) {
			all = append(all, hidden{name, v.Get(name)})
		}
	}
	return all
}

// link is the address of another page with the same target.
func (p *Pages) link(path string, t target) string {
	if query := t.values().Encode(); query != "" {
		path += "?" + query
	}
	return p.base + path
}

// reach sends the browser to the target.
func (p *Pages) reach(w http.ResponseWriter, t target) {
	switch {
	case t.request != "":
		p.goOn(w, t.request)
	case t.device:
		p.seeOther(w, "/device?"+url.Values{"user_code": {t.userCode}}.Encode())
	default:
		p.seeOther(w, "/account")
	}
}

func (p *Pages) showSignIn(w http.ResponseWriter, r *http.Request) {
	t := targetOf(r.URL.Query())
	a, err := p.ask(r, t.request)
	switch {
	case err != nil:
		p.Error(w, r, err)
	case t.request != "" && a.Step != authorize.SignIn && a.Step != authorize.Register:
		p.goOn(w, t.request)
	case t.request == "" && a.in:
		p.reach(w, t)
	default:
		p.askToSignIn(w, r, a, t, attempt{email: a.Request.LoginHint})
	}
}

// attempt is what was typed, and why it failed.
type attempt struct {
	email, name string
	stay        bool
	err         error
}

// askToSignIn shows the sign-in page, again after a failed attempt.
func (p *Pages) askToSignIn(w http.ResponseWriter, r *http.Request, a asked, t target, tried attempt) {
	l := p.language(r, a.locales())
	view := signInView{form: form{Action: p.base + "/sign-in", Hidden: t.hidden()}, Stay: tried.stay, Register: p.registration(r, t)}
	pg := page{name: "sign_in", locales: a.locales()}
	if t.request != "" {
		client := shownClient(a.Client, a.Request.RedirectURI)
		view.Client, view.Cancel, pg.policy = &client, true, a.policy()
	}
	email := emailField(l, tried.email)
	password := field{Name: "password", Type: "password", Label: l.text("field.password"), Autocomplete: "current-password", Required: true, Focus: email.Value != ""}
	if again := a.again(tried); again != nil {
		view.User, view.Register = again, ""
		password.Focus = true
		view.Fields = []field{password}
	} else {
		view.Fields = []field{email, password}
	}
	if tried.err != nil {
		pg.status = p.blame(w, r, l, &view.form, tried.err)
	}
	pg.view = view
	p.render(w, r, pg)
}

// again is the user who must sign in again; nil: any user may.
func (a asked) again(tried attempt) *userView {
	if a.ID == "" || !a.in || a.Another || tried.email != "" && identity.EmailKey(tried.email) != identity.EmailKey(a.session.User.Email) {
		return nil
	}
	return a.user()
}

func emailField(l *locale, value string) field {
	return field{Name: "email", Type: "email", Label: l.text("field.email"), Value: value, Autocomplete: "username", Required: true, Focus: value == ""}
}

// registration is the address of the registration page; empty: it is closed.
func (p *Pages) registration(r *http.Request, t target) string {
	open, err := p.directory.Registration(r.Context())
	if err != nil || !open {
		return ""
	}
	return p.link("/register", t)
}

func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) {
	values, a, ok := p.answered(w, r)
	if !ok {
		return
	}
	t := targetOf(values)
	switch action := values.Get("action"); {
	case action == "cancel" && t.request != "":
		p.deny(w, r, a)
		return
	case action == "other" && t.request != "":
		if err := p.requests.Another(r.Context(), a.Question, a.presents()); err != nil {
			p.fail(w, r, a.locales(), err)
			return
		}
		p.goOn(w, t.request)
		return
	}
	tried := attempt{email: values.Get("email"), stay: values.Get("stay") != ""}
	proof, err := p.login.Password(r.Context(), web.Actor(r.Context()), tried.email, values.Get("password"))
	if err == nil {
		err = p.start(w, r, a, t, proof, tried.stay)
	}
	switch {
	case errors.Is(err, authorize.ErrNotFound):
		p.fail(w, r, a.locales(), err)
	case err != nil:
		tried.err = err
		p.askToSignIn(w, r, a, t, tried)
	default:
		p.reach(w, t)
	}
}

// start signs the proved user in, and gives the browser its cookies.
func (p *Pages) start(w http.ResponseWriter, r *http.Request, a asked, t target, proof identity.Proof, stay bool) error {
	same := a.in && a.session.User.ID == proof.UserID()
	cookie, started, err := p.sessions.StartBrowser(r.Context(), web.Actor(r.Context()), proof, a.cookie, stay || same && a.session.Session.Stay)
	if err != nil {
		return err
	}
	p.cookies.Set(w, web.SessionCookie, string(cookie), session.CookieLifetime(started))
	if t.request == "" {
		return nil
	}
	secret, err := p.requests.SignedIn(r.Context(), t.request, a.presents(), started.Session.ID)
	if err != nil {
		return err
	}
	p.cookies.Set(w, web.RequestCookie, string(secret), authorize.CookieLifetime)
	return nil
}
