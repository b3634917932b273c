package hosted

import (
	"html/template"
	"strings"
	"time"
)

// The data of the pages. A handler fills one in; the template of the same name shows
// it. Texts of the catalogue are not in it, only what belongs to the user, the
// client and the request.

// clientView is a client as users see it.
type clientView struct {
	Name   string
	Logo   template.URL // a data: URI of an image, checked when the client was stored; empty: none
	Host   string       // of the redirect URI; empty: an app of this device
	Policy string       // URL; empty: none
	Terms  string
}

// Initial is the first letter of the name, for a client without a logo.
func (c clientView) Initial() string { return initial(c.Name) }

// userView is the user who is signed in.
type userView struct {
	Name  string // empty: the address
	Email string
}

// Shown is the name or, without one, the address.
func (u userView) Shown() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

// Initial is the first letter of what is shown.
func (u userView) Initial() string { return initial(u.Shown()) }

func initial(name string) string {
	for _, r := range strings.ToUpper(strings.TrimSpace(name)) {
		return string(r)
	}
	return "?"
}

// field is one input of a form, with what is wrong with it.
type field struct {
	Name, Type, Value string // the type is that of an input, or lines
	Label             string // text
	Hint, Fault       string // texts; empty: none
	Autocomplete      string
	InputMode         string
	Required, Focus   bool
	ReadOnly          bool
}

// form is a form of fields.
type form struct {
	Action string
	Hidden []hidden
	Alert  string // what is wrong, above the form; empty: nothing
	Done   string // what has been done, above the form; empty: nothing
	Fields []field
}

type hidden struct{ Name, Value string }

type signInView struct {
	form
	Client   *clientView // nil: the account page
	User     *userView   // who must sign in again; nil: anyone
	Stay     bool
	Register string // URL; empty: registration is closed
	Cancel   bool   // the form has a button that returns to the client
}

func (v signInView) title(l *locale) string {
	if v.User != nil {
		return l.text("sign_in.again")
	}
	return l.text("sign_in.title")
}

type registerView struct {
	form
	Client *clientView
	SignIn string // URL
	Closed bool
}

func (v registerView) title(l *locale) string {
	if v.Closed {
		return l.text("register.closed.title")
	}
	return l.text("register.title")
}

type consentView struct {
	form
	Client clientView
	User   userView
	Scopes []string // texts, of what is asked for
	Has    []string // texts, of what was allowed before
	Lasts  string   // text, for how long
}

func (v consentView) title(l *locale) string { return l.text("consent.title", v.Client.Name) }

// continueView is for a user who is signed in: with this account, or another.
type continueView struct {
	form
	Client  clientView
	User    userView
	Caution bool // any app of the device could have sent the request
}

func (v continueView) title(l *locale) string { return l.text("continue.title", v.Client.Name) }

// notAllowedView is for a user who may not use the client; another one may.
type notAllowedView struct {
	form
	Client clientView
	User   userView
}

func (v notAllowedView) title(l *locale) string {
	return l.text("error.not_allowed.title", v.Client.Name)
}

type deviceView struct {
	form
	User *userView
}

type deviceConfirmView struct {
	form
	Client  clientView
	User    userView
	Code    string
	Address string
	Scopes  []string
	Lasts   string
}

func (v deviceConfirmView) title(l *locale) string {
	return l.text("device.confirm.title", v.Client.Name)
}

// messageView is a page that only says something.
type messageView struct {
	Title, Text string
	Good        bool
	Details     []detail
	Button      string // text; empty: no link
	URL         string // of the link
}

func (v messageView) title(*locale) string { return v.Title }

// detail is a row of what a developer needs to know.
type detail struct{ Label, Value string }

type signOutView struct {
	form
	Client *clientView
}

type signedOutView struct {
	Client *clientView
	URL    template.URL // that the client has registered, maybe with a scheme of its own; empty: none
	Frames []string     // front-channel logout URIs
}

type homeView struct {
	Version string
	Issuer  string
	Healthy bool
	Account bool     // its page can be used
	Command []string // parts that stay on one line if they can
}

// returnView leads to the client at once.
type returnView struct {
	URL    string
	Client string
}

func (returnView) title(l *locale) string { return l.text("form_post.title") }

type formPostView struct {
	Action string // redirect URI
	Client string
	Values []hidden
}

type accountView struct {
	User     userView
	Profile  form
	More     []field // of the profile, not shown at first
	Password form
	Sessions []sessionView
	Apps     []appView
	Done     string // text
	Alert    string // text
}

type sessionView struct {
	ID      string
	Device  string // such as Firefox on Linux; empty: unknown
	Mobile  bool
	Address string
	Used    time.Time
	Current bool
}

type appView struct {
	ID    string
	Name  string
	Since time.Time
	Scope []string // texts
}

// Initial is the first letter of the name.
func (a appView) Initial() string { return initial(a.Name) }
