package hosted

import (
	"errors"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

func (p *Pages) showRegister(w http.ResponseWriter, r *http.Request) {
	t := targetOf(r.URL.Query())
	a, err := p.ask(r, t.request)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	p.askToRegister(w, r, a, t, attempt{email: a.Request.LoginHint})
}

// askToRegister shows the registration page, again after a failed attempt.
func (p *Pages) askToRegister(w http.ResponseWriter, r *http.Request, a asked, t target, tried attempt) {
	l := p.language(r, a.locales())
	view := registerView{form: form{Action: p.base + "/register", Hidden: t.hidden()}, SignIn: p.link("/sign-in", t)}
	pg := page{name: "register", locales: a.locales()}
	if t.request != "" {
		client := shownClient(a.Client, a.Request.RedirectURI)
		view.Client, pg.policy = &client, a.policy()
	}
	open, err := p.directory.Registration(r.Context())
	if err != nil {
		p.fail(w, r, a.locales(), err)
		return
	}
	if view.Closed = !open; view.Closed {
		pg.status, pg.view = http.StatusForbidden, view
		p.render(w, r, pg)
		return
	}
	email := emailField(l, tried.email)
	email.Focus = false
	view.Fields = []field{
		{Name: "display_name", Type: "text", Label: l.text("field.display_name"), Hint: l.text("field.display_name.hint"), Value: tried.name, Autocomplete: "name", Focus: tried.err == nil},
		email, p.newPasswordField(l, "password", l.text("field.password")),
	}
	if tried.err != nil {
		pg.status = p.blame(w, r, l, &view.form, tried.err)
	}
	pg.view = view
	p.render(w, r, pg)
}

// newPasswordField asks for a new password. Its length is checked by the server only: the
// page would count other characters.
func (p *Pages) newPasswordField(l *locale, name, label string) field {
	return field{
		Name: name, Type: "password", Label: label, Autocomplete: "new-password", Required: true,
		Hint: l.text("field.new_password.hint", p.shortest),
	}
}

// register creates the user and signs them in.
func (p *Pages) register(w http.ResponseWriter, r *http.Request) {
	values, a, ok := p.answered(w, r)
	if !ok {
		return
	}
	t := targetOf(values)
	by, password := web.Actor(r.Context()), values.Get("password")
	tried := attempt{email: values.Get("email"), name: values.Get("display_name")}
	var proof identity.Proof
	_, err := p.directory.Register(r.Context(), by, tried.email, password, tried.name)
	switch {
	case err == nil:
		proof, err = p.login.Password(r.Context(), by, tried.email, password)
	case fault.KindOf(err) == fault.Conflict: // perhaps by the same form: the user clicked twice
		if own, wrong := p.login.Password(r.Context(), by, tried.email, password); wrong == nil {
			proof, err = own, nil
		}
	}
	if err == nil {
		err = p.start(w, r, a, t, proof, false)
	}
	switch {
	case errors.Is(err, authorize.ErrNotFound):
		p.fail(w, r, a.locales(), err)
	case err != nil:
		tried.err = err
		p.askToRegister(w, r, a, t, tried)
	default:
		p.reach(w, t)
	}
}
