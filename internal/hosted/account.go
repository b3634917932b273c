package hosted

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

// shownSessions is how many sessions the account page lists.
const shownSessions = 100

// done are the texts of the account page about what has been done, by the parameter done.
var done = map[string]string{
	"profile":  "account.profile.saved",
	"password": "account.password.saved",
	"session":  "account.session.ended",
	"app":      "account.apps.removed",
}

// profileInputs are the fields of the profile that the page shows, the first of them
// always. Others are changed by the API.
var profileInputs = []struct{ name, kind, autocomplete string }{
	{"display_name", "text", "name"},
	{"nickname", "text", "nickname"},
	{"given_name", "text", "given-name"},
	{"family_name", "text", "family-name"},
	{"website", "url", "url"},
	{"picture", "url", "photo"},
	{"zoneinfo", "text", "off"},
	{"locale", "text", "language"},
	{"phone_number", "tel", "tel"},
	{"address.street_address", "lines", "street-address"},
	{"address.postal_code", "text", "postal-code"},
	{"address.locality", "text", "address-level2"},
	{"address.region", "text", "address-level1"},
	{"address.country", "text", "country-name"},
}

const firstInputs = 4

func (p *Pages) showAccount(w http.ResponseWriter, r *http.Request) {
	v := admitted(r)
	l := p.language(r, "")
	view := accountView{User: *v.user()}
	if key := done[r.URL.Query().Get("done")]; key != "" {
		view.Done = l.text(key)
	}
	p.renderAccount(w, r, v, view, nil, http.StatusOK)
}

// renderAccount completes the view of the account: forms that it has stay, with what was
// typed. typed is the profile that was refused; nil: none.
func (p *Pages) renderAccount(w http.ResponseWriter, r *http.Request, v visitor, view accountView, typed url.Values, status int) {
	l, by := p.language(r, ""), v.actor(r.Context())
	if view.Password.Fields == nil {
		view.Password.Fields = p.passwordFields(l)
	}
	if view.Profile.Fields == nil {
		view.Profile.Fields = profileFields(l, v.session.User, typed)
	}
	view.Profile.Action, view.Password.Action = p.base+"/account/profile", p.base+"/account/password"
	view.Profile.Fields, view.More = view.Profile.Fields[:firstInputs], view.Profile.Fields[firstInputs:]
	sessions, err := p.sessions.List(r.Context(), by, by.ID, session.Filter{Limit: shownSessions})
	if err != nil {
		p.Error(w, r, err)
		return
	}
	grants, err := p.requests.Consents(r.Context(), by.ID)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	names := map[string]string{}
	for _, g := range grants {
		names[g.ClientID] = g.Client.Name
		view.Apps = append(view.Apps, appView{ID: g.ClientID, Name: g.Client.Name, Since: g.GrantedAt, Scope: l.scopes(strings.Fields(g.Scope))})
	}
	for _, s := range slices.Backward(sessions.Items) {
		view.Sessions = append(view.Sessions, shownSession(s, by.SessionID, names))
	}
	slices.SortStableFunc(view.Sessions, func(a, b sessionView) int {
		switch {
		case a.Current != b.Current && a.Current:
			return -1
		case a.Current != b.Current:
			return 1
		default:
			return b.Used.Compare(a.Used)
		}
	})
	p.render(w, r, page{name: "account", wide: true, view: view, status: status})
}

// shownSession is a session as the page shows it. What a client holds without one has
// the name of the client.
func shownSession(s identity.Session, current string, clients map[string]string) sessionView {
	device := session.Device(s.UserAgent)
	if s.ClientID != "" && s.ClientID != identity.FirstPartyClient {
		device = cmp.Or(clients[s.ClientID], s.ClientID)
	}
	return sessionView{ID: s.ID, Device: device, Mobile: strings.Contains(s.UserAgent, "Mobile"), Address: s.Address, Used: s.LastUsedAt, Current: s.ID == current}
}

// profileFields are the inputs of the profile, with what was typed or what is stored.
func profileFields(l *locale, u identity.User, typed url.Values) (fields []field) {
	stored := map[string]string{
		"display_name": u.DisplayName, "nickname": u.Profile.Nickname, "given_name": u.Profile.GivenName, "family_name": u.Profile.FamilyName,
		"website": u.Profile.Website, "picture": u.Profile.Picture, "zoneinfo": u.Profile.Zoneinfo, "locale": u.Profile.Locale,
		"phone_number": u.Profile.Phone, "address.street_address": u.Profile.Address.Street, "address.postal_code": u.Profile.Address.PostalCode,
		"address.locality": u.Profile.Address.Locality, "address.region": u.Profile.Address.Region, "address.country": u.Profile.Address.Country,
	}
	for _, in := range profileInputs {
		f := field{Name: in.name, Type: in.kind, Label: l.text("field." + in.name), Hint: l.textOr("field."+in.name+".hint", ""), Value: stored[in.name], Autocomplete: in.autocomplete}
		if typed != nil {
			f.Value = typed.Get(in.name)
		}
		fields = append(fields, f)
	}
	return fields
}

func (p *Pages) passwordFields(l *locale) []field {
	return []field{
		{Name: "old_password", Type: "password", Label: l.text("field.old_password"), Autocomplete: "current-password", Required: true},
		p.newPasswordField(l, "new_password", l.text("field.new_password")),
	}
}

func (p *Pages) changeProfile(w http.ResponseWriter, r *http.Request) {
	values, err := readForm(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := admitted(r)
	change := map[string]string{}
	for _, in := range profileInputs {
		if values.Has(in.name) {
			change[in.name] = strings.ReplaceAll(values.Get(in.name), "\r\n", "\n") // as browsers send the lines of a text
		}
	}
	if _, err := p.directory.UpdateOwn(r.Context(), v.actor(r.Context()), change, nil); err != nil {
		l := p.language(r, "")
		view := accountView{User: *v.user(), Profile: form{Fields: profileFields(l, v.session.User, values)}}
		status := p.blame(w, r, l, &view.Profile, err)
		p.renderAccount(w, r, v, view, values, status)
		return
	}
	p.seeOther(w, "/account?done=profile")
}

func (p *Pages) changePassword(w http.ResponseWriter, r *http.Request) {
	values, err := readForm(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := admitted(r)
	cookie, err := p.directory.ChangePasswordInBrowser(r.Context(), v.actor(r.Context()), values.Get("old_password"), values.Get("new_password"))
	if err != nil {
		l := p.language(r, "")
		view, status := accountView{User: *v.user(), Password: form{Fields: p.passwordFields(l)}}, http.StatusUnprocessableEntity
		if errors.Is(err, login.ErrWrongPassword) {
			web.Refused(r.Context(), login.ErrWrongPassword.Code)
			view.Password.Alert, view.Password.Fields[0].Fault = l.text("fault.check"), l.text("fault.wrong_password")
		} else {
			status = p.blame(w, r, l, &view.Password, err)
		}
		p.renderAccount(w, r, v, view, nil, status)
		return
	}
	p.cookies.Set(w, web.SessionCookie, string(cookie), session.CookieLifetime(v.session))
	p.seeOther(w, "/account?done=password")
}

func (p *Pages) endSession(w http.ResponseWriter, r *http.Request) {
	by := admitted(r).actor(r.Context())
	err := p.sessions.EndOne(r.Context(), by, by.ID, r.PathValue("session_id"))
	if err != nil && !errors.Is(err, identity.ErrNoSession) { // it has ended already: as the user wanted
		p.Error(w, r, err)
		return
	}
	p.seeOther(w, "/account?done=session#sessions")
}

// endSessions signs the user out everywhere, here as well.
func (p *Pages) endSessions(w http.ResponseWriter, r *http.Request) {
	by := admitted(r).actor(r.Context())
	frames, err := p.sessions.EndAll(r.Context(), by, by.ID)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	p.signedOutHere(w, r, frames)
}

func (p *Pages) withdraw(w http.ResponseWriter, r *http.Request) {
	err := p.requests.Withdraw(r.Context(), admitted(r).actor(r.Context()), r.PathValue("client_id"))
	if err != nil && !errors.Is(err, identity.ErrNoConsent) {
		p.Error(w, r, err)
		return
	}
	p.seeOther(w, "/account?done=app#apps")
}
