package hosted

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// samples are pages as users see them, one or more of each template.
func samples(now time.Time) map[string]page {
	app := clientView{Name: "Northwind Notes", Host: "notes.example.com", Policy: "https://notes.example.com/privacy", Terms: "https://notes.example.com/terms"}
	user := userView{Name: "Ada Lovelace", Email: "ada@example.com"}
	l := loadCatalogue().choose("", "")
	password := field{Name: "password", Type: "password", Label: l.text("field.password"), Autocomplete: "current-password", Required: true}
	email := field{Name: "email", Type: "email", Label: l.text("field.email"), Autocomplete: "username", Required: true, Focus: true}
	wrong := email
	wrong.Value = "ada@example.com"
	fresh := field{Name: "new_password", Type: "password", Label: l.text("field.new_password"), Autocomplete: "new-password", Required: true, Hint: l.text("field.new_password.hint", 8)}
	faulty := fresh
	faulty.Fault = l.text("fault.new_password", 8)
	name := field{Name: "display_name", Type: "text", Label: l.text("field.display_name"), Autocomplete: "name", Value: user.Name}
	scopes := []string{l.text("scope.profile"), l.text("scope.email"), l.text("scope.offline_access"), l.text("scope.other", "invoices.read")}
	long := clientView{Name: strings.Repeat("Donaudampfschifffahrt", 8), Host: strings.Repeat("notes", 12) + "." + strings.Repeat("north", 12) + ".example:8443", Policy: app.Policy, Terms: app.Terms}
	longUser := userView{Name: strings.Repeat("Wolfeschlegelstein", 8), Email: strings.Repeat("ada", 20) + "@" + strings.Repeat("mail.", 30) + "example.com"}
	longScopes := []string{l.text("scope.other", strings.Repeat("https://api.example/", 10))}
	code := field{Name: "user_code", Type: "text", Label: l.text("field.user_code"), Hint: l.text("field.user_code.hint"), Autocomplete: "off", Required: true, Focus: true, Value: "BCDF-GHJK"}
	return map[string]page{
		"home":            {name: "home", wide: true, view: homeView{Version: "1.4.0", Issuer: "https://auth.example.com", Healthy: true, Account: true, Command: []string{"pico-auth client create", "--kind web", "--redirect-uri http://localhost:3000/callback"}}},
		"sign-in":         {name: "sign_in", view: signInView{form: form{Action: "/sign-in", Fields: []field{email, password}}, Client: &app, Register: "/register", Cancel: true}},
		"sign-in-wrong":   {name: "sign_in", status: http.StatusForbidden, view: signInView{form: form{Action: "/sign-in", Alert: l.text("fault.invalid_credentials"), Fields: []field{wrong, password}}, Stay: true, Register: "/register"}},
		"sign-in-again":   {name: "sign_in", view: signInView{form: form{Action: "/sign-in", Fields: []field{password}}, Client: &app, User: &user, Cancel: true}},
		"register":        {name: "register", view: registerView{form: form{Action: "/register", Fields: []field{name, email, faulty}, Alert: l.text("fault.check")}, Client: &app, SignIn: "/sign-in"}},
		"register-closed": {name: "register", view: registerView{Closed: true, SignIn: "/sign-in"}},
		"consent":         {name: "consent", policy: policy{formTo: "https://notes.example.com"}, view: consentView{form: form{Action: "/consent"}, Client: app, User: user, Scopes: scopes, Lasts: l.lasts([]string{"offline_access"})}},
		"consent-more":    {name: "consent", view: consentView{form: form{Action: "/consent"}, Client: app, User: user, Scopes: scopes[2:], Has: scopes[:2], Lasts: l.lasts(nil)}},
		"long-consent":    {name: "consent", view: consentView{form: form{Action: "/consent"}, Client: long, User: longUser, Scopes: longScopes, Has: longScopes, Lasts: l.lasts([]string{"offline_access"})}},
		"long-continue":   {name: "continue", view: continueView{form: form{Action: "/consent"}, Client: long, User: longUser, Caution: true}},
		"long-device":     {name: "device_confirm", view: deviceConfirmView{form: form{Action: "/device"}, Client: long, User: longUser, Code: "BCDF-GHJK", Address: "2001:db8:1111:2222:3333:4444:5555:6666", Scopes: longScopes}},
		"long-sign-in":    {name: "sign_in", view: signInView{form: form{Action: "/sign-in", Fields: []field{password}}, Client: &long, User: &longUser, Cancel: true}},
		"long-allowed":    {name: "not_allowed", view: notAllowedView{form: form{Action: "/consent"}, Client: long, User: longUser}},
		"long-sign-out":   {name: "sign_out", view: signOutView{form: form{Action: "/oauth2/logout"}, Client: &long}},
		"long-signed-out": {name: "signed_out", view: signedOutView{Client: &long, URL: "https://notes.example.com/"}},
		"continue":        {name: "continue", view: continueView{form: form{Action: "/consent"}, Client: clientView{Name: "Field Recorder"}, User: user, Caution: true}},
		"not-allowed":     {name: "not_allowed", status: http.StatusForbidden, view: notAllowedView{form: form{Action: "/consent"}, Client: app, User: user}},
		"device":          {name: "device", view: deviceView{form: form{Action: "/device", Fields: []field{code}}, User: &user}},
		"device-confirm":  {name: "device_confirm", view: deviceConfirmView{form: form{Action: "/device"}, Client: clientView{Name: "Kitchen display"}, User: user, Code: "BCDF-GHJK", Address: "203.0.113.7", Scopes: scopes[:1], Lasts: l.lasts(nil)}},
		"device-done":     {name: "message", view: messageView{Title: l.text("device.done.title"), Text: l.text("device.done.text"), Good: true}},
		"sign-out":        {name: "sign_out", view: signOutView{form: form{Action: "/oauth2/logout"}, Client: &app}},
		"signed-out":      {name: "signed_out", view: signedOutView{}},
		"not-found":       {name: "message", status: http.StatusNotFound, view: messageView{Title: l.text("not_found.title"), Text: l.text("not_found.text"), Button: l.text("not_found.home"), URL: "/"}},
		"ended":           {name: "message", view: messageView{Title: l.text("ended.title"), Text: l.text("ended.text", app.Name), Good: true, Button: l.text("signed_out.return", app.Name), URL: "https://notes.example.com/"}},
		"expired":         {name: "message", status: http.StatusBadRequest, view: messageView{Title: l.text("error.browser.title"), Text: l.text("error.ended.text", app.Name), Button: l.text("error.back", app.Name), URL: "https://notes.example.com/", Details: []detail{{l.text("error.code"), "authorization_not_found"}, {l.text("error.request_id"), "5ZT3Q2VKXW4PYJ7N6MHB"}}}},
		"long-ended":      {name: "message", view: messageView{Title: l.text("ended.title"), Text: l.text("ended.text", long.Name), Good: true, Button: l.text("signed_out.return", long.Name), URL: "https://notes.example.com/"}},
		"error":           {name: "message", status: http.StatusBadRequest, view: messageView{Title: l.text("error.request.title"), Text: l.text("error.request.text"), Details: []detail{{l.text("error.code"), "invalid_request"}, {l.text("error.parameter"), "redirect_uri"}, {l.text("error.description"), "redirect_uri is not one of the client's redirect URIs"}, {l.text("error.client"), "0197c0de-0000-7000-8000-000000000001"}, {l.text("error.request_id"), "5ZT3Q2VKXW4PYJ7N6MHB"}}}},
		"form-post":       {name: "form_post", policy: policy{formTo: "https:", onlyFor: true}, view: formPostView{Action: "https://notes.example.com/callback", Client: "notes.example.com", Values: []hidden{{"code", "c"}, {"state", `"><script>`}}}},
		"account": {name: "account", wide: true, view: accountView{
			User:     user,
			Profile:  form{Action: "/account/profile", Fields: []field{name, {Name: "given_name", Type: "text", Label: l.text("field.given_name"), Autocomplete: "given-name", Value: "Ada"}, {Name: "family_name", Type: "text", Label: l.text("field.family_name"), Autocomplete: "family-name", Value: "Lovelace"}}},
			More:     []field{{Name: "zoneinfo", Type: "text", Label: l.text("field.zoneinfo"), Hint: l.text("field.zoneinfo.hint")}, {Name: "website", Type: "url", Label: l.text("field.website"), Autocomplete: "url"}, {Name: "address.street_address", Type: "lines", Label: l.text("field.address.street_address"), Value: "12 St James's Square\nBack door", Fault: l.text("fault.field")}},
			Password: form{Action: "/account/password", Fields: []field{{Name: "old_password", Type: "password", Label: l.text("field.old_password"), Autocomplete: "current-password", Required: true}, fresh}},
			Sessions: []sessionView{{ID: "1", Device: "Firefox on Linux", Address: "203.0.113.7", Used: now, Current: true}, {ID: "2", Device: "Safari on iPhone", Mobile: true, Address: "2001:db8::1", Used: now.Add(-3 * time.Hour)}, {ID: "3", Used: now.Add(-50 * time.Hour)}},
			Apps:     []appView{{ID: "a", Name: "Northwind Notes", Since: now.Add(-400 * time.Hour), Scope: scopes[:2]}},
			Done:     l.text("account.profile.saved"),
		}},
	}
}

// newPages returns pages without a server behind them.
func newPages(theme Theme) *Pages {
	return New(Config{
		Issuer: "https://auth.example.com", Version: "1.4.0", Theme: theme,
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) { http.Error(w, err.Error(), http.StatusTeapot) },
		Ready:  func(context.Context) bool { return true },
	})
}
