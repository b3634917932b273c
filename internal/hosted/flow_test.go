package hosted_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/web"
)

func TestAUserSignsInAtAClient(t *testing.T) {
	for _, path := range []string{"", "/auth"} {
		r := newRig(t, path)
		r.user("ada@example.com")
		c := r.client(nil)
		b := r.browser()
		b.open(path+authorization(c)).shows(200, path+"/sign-in", "to continue to Northwind Notes")
		if csp := b.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' https://app.example") {
			t.Error(csp)
		}
		b.signIn("ada@example.com").shows(200, path+"/consent", "Allow Northwind Notes to access your account?", "Ada Lovelace", "See your email address", "app.example")
		got := b.submit("/consent", "action", "allow").returned()
		if got.Get("code") == "" || got.Get("state") != "of the client" || got.Get("iss") != r.issuer {
			t.Errorf("%v", got)
		}
		if again := b.open(path + authorization(c)).returned(); again.Get("code") == "" {
			t.Errorf("with a session and a consent: %v", again)
		}
	}
}

func TestAWrongPasswordIsSaidOnThePage(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c))
	for _, email := range []string{"ada@example.com", "unknown@example.com"} {
		b.submit("/sign-in", "email", email, "password", "wrong", "stay", "yes").shows(403, "/sign-in", `role="alert"`, "The email address or the password is wrong", `value="`+email+`"`, " checked")
		if strings.Contains(b.body, "wrong\"") || len(b.header["Set-Cookie"]) != 0 {
			t.Error("the page repeats the password, or a session started")
		}
	}
	b.signIn("ada@example.com").shows(200, "/consent")
}

func TestStayingSignedInIsWanted(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	age := regexp.MustCompile(`Max-Age=(\d+)`)
	for stay, want := range map[string]bool{"": false, "yes": true} {
		b := r.browser()
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.open("/sign-in").submit("/sign-in", "email", "ada@example.com", "password", password, "stay", stay)
		if got := age.MatchString(strings.Join(b.header["Set-Cookie"], "\n")); got != want || b.at.Path != "/account" {
			t.Errorf("stay %q: at %s with %v", stay, b.at, b.header["Set-Cookie"])
		}
	}
}

func TestDenyingReturnsToTheClient(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c))
	if got := b.submit("/sign-in", "action", "cancel").returned(); got.Get("error") != "access_denied" || got.Get("state") == "" {
		t.Errorf("cancelled: %v", got)
	}
	b.open(authorization(c)).signIn("ada@example.com")
	if got := b.submit("/consent", "action", "deny").returned(); got.Get("error") != "access_denied" {
		t.Errorf("denied: %v", got)
	}
}

func TestRegistrationLeadsBackToTheClient(t *testing.T) {
	r := newRig(t, "")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c))
	link := regexp.MustCompile(`href="(/register[^"]*)"`).FindStringSubmatch(b.body)
	if link == nil {
		t.Fatal(b.body)
	}
	b.open(link[1]).shows(200, "/register", "to continue to Northwind Notes")
	b.submit("/register", "email", "new@example.com", "password", "short", "display_name", "New").
		shows(422, "/register", "A password must be at least 8 characters long.", `value="New"`, `aria-invalid="true" aria-describedby="password-fault"`)
	b.submit("/register", "email", "new@example.com", "password", password, "display_name", "New").shows(200, "/consent")
	other := r.browser()
	other.open("/register").submit("/register", "email", "new@example.com", "password", "another "+password, "display_name", "").
		shows(409, "/register", "This address already has an account")
	if err := setRegistration(r, false); err != nil {
		t.Fatal(err)
	}
	other.open("/register").shows(403, "/register", "Registration is closed")
	if other.open("/sign-in"); strings.Contains(other.body, "/register") {
		t.Error("a closed registration is offered")
	}
}

func setRegistration(r *rig, open bool) error {
	_, err := r.Directory.SetRegistration(r.t.Context(), identity.Actor{Kind: identity.ActorSystem}, open)
	return err
}

func TestSigningInAgainAsksForThePasswordOnly(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	r.user("eve@example.com")
	c := r.client(oauth.Settings{"consent": false})
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").returned()
	b.open(authorization(c, "prompt", "login")).shows(200, "/sign-in", "Confirm that it is you", "ada@example.com")
	b.submit("/sign-in", "password", "wrong").shows(403, "/sign-in", "Confirm that it is you")
	b.submit("/sign-in", "password", password).returned()
	b.open(authorization(c, "prompt", "login")).submit("/sign-in", "action", "other").shows(200, "/sign-in")
	if strings.Contains(b.body, "ada@example.com") {
		t.Error("another account is asked for with the address of this one")
	}
	b.signIn("eve@example.com").returned()
}

func TestChoosingAnAccount(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(oauth.Settings{"consent": false})
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").returned()
	b.open(authorization(c, "prompt", "select_account")).shows(200, "/consent", "Continue as Ada Lovelace")
	b.submit("/consent", "action", "continue").returned()
	b.open(authorization(c, "prompt", "select_account")).submit("/consent", "action", "other").shows(200, "/sign-in", `name="email"`)
}

// The second click on a button sends its form again, and the browser shows the response to
// that.
func TestASecondClickOnAButtonGoesOn(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").shows(200, "/consent")
	page := *b
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.submit("/consent", "action", "allow")
	b.body, b.CheckRedirect = page.body, page.CheckRedirect
	if got := b.submit("/consent", "action", "allow").returned(); got.Get("code") == "" {
		t.Errorf("%v", got)
	}
}

// twin is another copy of the browser with its cookies and its page: what it receives, the
// browser never sees.
func (b *browser) twin() *browser {
	b.t.Helper()
	other := b.browser()
	at, err := url.Parse(b.server.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	other.Jar.SetCookies(at, b.Jar.Cookies(at))
	other.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	other.body, other.at = b.body, b.at
	return other
}

// The second click on a button cancels the response to the first one, often with its
// cookies. Each page goes on with the response to the second one.
func TestASecondPostOfAFormGoesOnWithoutTheResponseToTheFirst(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c))
	other := b.twin()
	if other.signIn("ada@example.com"); other.status != http.StatusSeeOther {
		t.Fatal(other.status)
	}
	third := b.twin()
	third.signIn("ada@example.com")
	b.signIn("ada@example.com").shows(200, "/consent")
	if b.submit("/consent", "action", "allow").returned().Get("code") == "" {
		t.Error("no code")
	}
	for _, late := range []*browser{other, third} { // the cookies of the lost responses open nothing
		if late.open(other.at.String()); late.status == http.StatusSeeOther && strings.HasPrefix(late.at.String(), callback) {
			t.Error("a lost response has the code")
		}
	}

	b = r.browser()
	b.open("/register")
	b.twin().submit("/register", "email", "new@example.com", "password", password, "display_name", "New")
	b.submit("/register", "email", "new@example.com", "password", password, "display_name", "New").shows(200, "/account")

	b.open("/device").submit("/device", "user_code", r.waiting(nil))
	b.twin().submit("/device", "action", "allow").shows(200, "/device", "Your device is connected")
	b.submit("/device", "action", "allow").shows(200, "/device", "Your device is connected")
}

// The secret that a sign-in replaced starts another sign-in, and nothing else, for a minute.
func TestAReplacedSecretOnlySignsInAgain(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	r.user("eve@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c))
	old := b.twin()
	b.signIn("ada@example.com").shows(200, "/consent")
	in := r.browser()
	in.open("/sign-in").signIn("eve@example.com").shows(200, "/account")
	at, _ := url.Parse(r.server.URL)
	in.Jar.SetCookies(at, old.Jar.Cookies(at)) // another user's session, and the old secret
	request := b.at.Query().Get("request")
	for _, action := range []string{"allow", "continue", "other", "deny"} {
		in.send(http.MethodPost, "/consent", url.Values{"request": {request}, "action": {action}}, nil)
		if in.status == http.StatusSeeOther || strings.HasPrefix(in.at.String(), callback) {
			t.Errorf("%s: %d at %s", action, in.status, in.at)
		}
	}
	r.Clock.Advance(time.Minute)
	old.signIn("ada@example.com").shows(400, "/sign-in", "This sign-in has expired")
	b.submit("/consent", "action", "allow").returned()
}

// The browser of a request that has ended is led back to its client; another one is told
// nothing of it.
func TestTheBrowserOfAnEndedRequestIsLedBackToTheClient(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	const link = `href="https://app.example/"`

	b, other := r.browser(), r.browser()
	b.open(authorization(c))
	r.Clock.Advance(50 * time.Minute)
	request := b.at.Query().Get("request")
	b.signIn("ada@example.com").shows(400, "/sign-in", "This sign-in has expired", link, "Start again at Northwind Notes")
	b.open("/oauth2/authorize/"+request).shows(400, "/oauth2/authorize/"+request, link)
	if other.open("/sign-in?request=" + request); strings.Contains(other.body, "app.example") || strings.Contains(other.body, "Northwind") {
		t.Errorf("another browser learns of the client: %s", other.body)
	}

	b.open(authorization(c))
	page := *b
	b.submit("/sign-in", "action", "cancel").returned()
	b.body = page.body
	b.submit("/sign-in", "action", "cancel").shows(400, "/sign-in", link)

	b.open(authorization(c))
	page = *b
	b.signIn("ada@example.com").submit("/consent", "action", "allow").returned()
	b.body = page.body
	b.signIn("ada@example.com").shows(200, "/sign-in", "You are signed in", link, "Return to Northwind Notes")
	r.Clock.Advance(2 * time.Minute)
	if _, err := r.Authorize.Purge(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b.body = page.body
	b.signIn("ada@example.com").shows(400, "/sign-in", "This sign-in has expired")

	native := r.client(oauth.Settings{"redirect_uris": []string{"http://127.0.0.1/callback"}, "kind": "native"})
	b.open(authorization(native, "prompt", "login"))
	r.Clock.Advance(20 * time.Minute)
	if b.submit("/sign-in", "password", password).shows(400, "/sign-in", "Go back to Northwind Notes"); strings.Contains(b.body, `href="http://127.0.0.1/"`) {
		t.Error("a link leads to an app that does not listen any more")
	}
}

func TestConsentIsAskedForWhatIsNew(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c, "scope", "openid email")).signIn("ada@example.com").submit("/consent", "action", "allow").returned()
	b.open(authorization(c)).shows(200, "/consent", "will also be able to", "You allowed it before")
	asked, before, _ := strings.Cut(b.body, "</ul>")
	if !strings.Contains(asked, "See your name") || strings.Contains(asked, "See your email") || !strings.Contains(before, "See your email") {
		t.Error(b.body)
	}
	b.submit("/consent", "action", "allow").returned()
	b.open(authorization(c, "prompt", "consent")).shows(200, "/consent", "will be able to", "See your email", "See your name")
}

func TestAUserWhoMayNotUseTheClientIsTold(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(oauth.Settings{"allowed_roles": []string{"superadmin"}})
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").shows(403, "/consent", "You have no access to Northwind Notes")
	if log := r.log.String(); !strings.Contains(log, " error=access_denied") {
		t.Errorf("the record of the request does not say so: %s", log)
	}
	if got := b.submit("/consent", "action", "deny").returned(); got.Get("error") != "access_denied" {
		t.Errorf("%v", got)
	}
}

// A request belongs to the browser that it started in: another one sees nothing of it, and
// gets no code whatever it posts.
func TestAnotherBrowserSeesNothingOfARequest(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	r.user("eve@example.com")
	c := r.client(nil)
	own, other := r.browser(), r.browser()
	own.open(authorization(c)).shows(200, "/sign-in")
	request := own.at.Query().Get("request")
	own.signIn("ada@example.com").shows(200, "/consent")
	other.open("/sign-in").signIn("eve@example.com").shows(200, "/account")
	for _, page := range []string{"/sign-in", "/register", "/consent"} {
		other.open(page+"?request="+request).shows(400, page, "This sign-in has expired")
		for _, action := range []string{"allow", "continue", "other", "deny", "cancel", ""} {
			other.send(http.MethodPost, page, url.Values{"request": {request}, "action": {action}, "email": {"eve@example.com"}, "password": {password}}, nil)
			if other.status != 400 || strings.Contains(other.body, "Northwind") {
				t.Errorf("POST %s %s: %d\n%s", page, action, other.status, other.body)
			}
		}
	}
	own.submit("/consent", "action", "allow").returned()
}

func TestPagesSpeakTheLanguageOfTheRequest(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c, "ui_locales", "es-ES")).shows(200, "/sign-in", `<html lang="es">`, "para continuar en Northwind Notes")
	register := regexp.MustCompile(`href="(/register[^"]*)"`).FindStringSubmatch(b.body)
	if register == nil {
		t.Fatal(b.body)
	}
	b.open(register[1]).submit("/register", "email", "new@example.com", "password", "short", "display_name", "New").
		shows(422, "/register", `id="password-fault">Elija una contraseña de al menos 8 caracteres`)
	b.open(strings.Replace(register[1], "/register", "/sign-in", 1)).
		submit("/sign-in", "email", "ada@example.com", "password", "wrong").shows(403, "/sign-in", "no son correctos")
	b.signIn("ada@example.com").shows(200, "/consent", "Ver su correo electrónico")
	silent := r.client(oauth.Settings{"consent": false})
	b.open(authorization(silent, "ui_locales", "es", "response_mode", "form_post"))
	b.shows(200, "/oauth2/authorize", `<html lang="es">`, `name="code"`)
	b.open(authorization(silent, "ui_locales", "es", "response_mode", "form_post", "scope", "phone"))
	b.shows(200, "/oauth2/authorize", `<html lang="es">`, `value="invalid_scope"`)
}

// An error is told in the language of the request too, wherever its parameters came from.
func TestErrorsSpeakTheLanguageOfTheRequest(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c, "ui_locales", "es"))
	page := *b
	b.submit("/sign-in", "action", "cancel").returned()
	b.body = page.body
	b.signIn("ada@example.com").shows(400, "/sign-in", `<html lang="es">`, "Empezar otra vez en Northwind Notes")
	b.open(authorization(c, "ui_locales", "es"))
	page = *b
	b.signIn("ada@example.com").submit("/consent", "action", "allow").returned() // its code is issued
	b.body = page.body
	b.signIn("ada@example.com").shows(200, "/sign-in", `<html lang="es">`, "Volver a Northwind Notes")
	query, err := url.ParseQuery(strings.TrimPrefix(authorization(c, "ui_locales", "es", "redirect_uri", "https://other.example/"), "/oauth2/authorize?"))
	if err != nil {
		t.Fatal(err)
	}
	b.send(http.MethodPost, "/oauth2/authorize", query, nil).shows(400, "/oauth2/authorize", `<html lang="es">`, "redirect_uri is not one of")
}

// The client is not proved, so it gets nothing; the user learns what to do, the developer
// and the operator which parameter was wrong.
func TestAnUnprovedRequestEndsOnAPage(t *testing.T) {
	r := newRig(t, "")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c, "redirect_uri", "https://evil.example/")).
		shows(400, "/oauth2/authorize", "This sign-in cannot continue", "redirect_uri is not one of the redirect_uris of the client", "invalid_request")
	b.open(authorization(c, "client_id", "unknown")).shows(400, "/oauth2/authorize", "client_id is not the id of a client")
}

func TestFormPostIsAPageOfItsOwn(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(oauth.Settings{"consent": false})
	b := r.browser()
	b.open(authorization(c, "response_mode", "form_post", "state", `"><b>`)).signIn("ada@example.com")
	if b.status != 200 || !strings.Contains(b.body, `<form method="post" action="`+callback+`">`) || !strings.Contains(b.body, `name="code"`) || strings.Contains(b.body, "<b>") {
		t.Fatalf("%d %s", b.status, b.body)
	}
	if csp := b.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action https:") {
		t.Error(csp)
	}
}

func TestEveryFormIsRefusedFromAnotherSite(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	b := r.browser()
	b.open("/sign-in").signIn("ada@example.com").shows(200, "/account")
	sent := 0
	for _, route := range r.routes {
		if route.Method != http.MethodPost {
			continue
		}
		sent++
		for _, header := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"}} {
			b.send(http.MethodPost, strings.NewReplacer("{", "", "}", "").Replace(route.Pattern), url.Values{"email": {"ada@example.com"}, "password": {password}}, header)
			if b.status != http.StatusForbidden || !strings.Contains(b.body, "sent from another site") {
				t.Errorf("POST %s with %v: %d", route.Pattern, header, b.status)
			}
		}
	}
	if sent < 9 {
		t.Errorf("%d forms", sent)
	}
	b.open("/account").shows(200, "/account")
}

// The rules are declared here once more, so that a changed route shows.
func TestRoutesAndTheirRules(t *testing.T) {
	for _, route := range newRig(t, "").routes {
		user := strings.HasPrefix(route.Pattern, "/account") && route.Pattern != "/account/sign-out" || route.Method == http.MethodPost && route.Pattern == "/device"
		static := route.Pattern == "/{$}" || route.Pattern == "/assets/{file}"
		if (route.Access == web.User) != user || route.Access != web.User && route.Access != web.Anonymous || (route.Credential == web.Cookie) == static {
			t.Errorf("%s %s: %v, %v", route.Method, route.Pattern, route.Access, route.Credential)
		}
	}
}

func TestTheAccountNeedsASession(t *testing.T) {
	r := newRig(t, "")
	u := r.user("ada@example.com")
	b := r.browser()
	for _, route := range r.routes {
		if route.Access != web.User {
			continue
		}
		b.send(route.Method, strings.NewReplacer("{", "", "}", "").Replace(route.Pattern), url.Values{"display_name": {"Eve"}}, nil)
		b.shows(200, "/sign-in", "to your account")
	}
	b.signIn("ada@example.com").shows(200, "/account", "Ada Lovelace")
	r.Clock.Advance(15 * 24 * time.Hour)
	b.open("/account").shows(200, "/sign-in")
	if u, err := r.Store.UserByID(t.Context(), u.ID); err != nil || u.DisplayName != "Ada Lovelace" {
		t.Errorf("%+v, %v", u, err)
	}
}

// verifier is that of challenge.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// redeem exchanges the code that the client got.
func (b *browser) redeem(c oauth.Client, got url.Values) {
	b.t.Helper()
	client := b.browser()
	client.send(http.MethodPost, "/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {c.ID}, "code": got["code"], "redirect_uri": {c.RedirectURIs[0]}, "code_verifier": {verifier},
	}, nil)
	if client.status != http.StatusOK {
		b.t.Fatalf("%d %s", client.status, client.body)
	}
}

// OpenID Connect Front-Channel Logout 1.0, section 2: the clients of the session in this
// browser are told here, whichever button ends it.
func TestSigningOutLoadsTheFramesOfClients(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(oauth.Settings{"consent": false, "frontchannel_logout_uri": "https://app.example/front"})
	for _, button := range []string{"/account/sign-out", "/account/sessions"} {
		b := r.browser()
		b.redeem(c, b.open(authorization(c)).signIn("ada@example.com").returned())
		b.open("/account").submit(button).shows(200, button, "You are signed out", `<iframe class="unseen" src="https://app.example/front?iss=`)
		if csp := b.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-src https://app.example") {
			t.Error(csp)
		}
		b.open("/account").shows(200, "/sign-in")
	}
}

// No browser has the cookie of the first user any more, who could not sign out.
func TestASignInAsAnotherUserEndsTheSessionOfTheFirst(t *testing.T) {
	r := newRig(t, "")
	ada, eve := r.user("ada@example.com"), r.user("eve@example.com")
	c := r.client(oauth.Settings{"consent": false, "backchannel_logout_uri": "https://app.example/back"})
	b := r.browser()
	b.redeem(c, b.open(authorization(c)).signIn("ada@example.com").returned())
	b.open(authorization(c, "prompt", "login")).submit("/sign-in", "action", "other")
	b.signIn("eve@example.com").returned()
	for user, want := range map[string]int{ada.ID: 0, eve.ID: 1} {
		page, err := r.Sessions.List(t.Context(), identity.Actor{Kind: identity.ActorSystem}, user, session.Filter{})
		if err != nil || len(page.Items) != want {
			t.Errorf("%+v, %v; want %d", page.Items, err, want)
		}
	}
	if log := r.Log.String(); !strings.Contains(log, ", another user signed in") {
		t.Errorf("no audit event says why: %s", log)
	}
	due, err := r.Store.DueLogouts(t.Context())
	if err != nil || len(due) != 1 || due[0].ClientID != c.ID {
		t.Errorf("the client is not told: %+v, %v", due, err)
	}
}

// The button costs a change once, and after that a read, whatever a page is asked for.
func TestAskingForAnotherAccountAgainWritesNothing(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").shows(200, "/consent")
	id := b.at.Query().Get("request")
	b.submit("/consent", "action", "other").shows(200, "/sign-in")
	before := r.Store.Stats().Transactions
	for range 5 {
		for _, page := range []string{"/consent", "/sign-in"} {
			b.send(http.MethodPost, page, url.Values{"request": {id}, "action": {"other"}}, nil).shows(200, "/sign-in", "Sign in")
		}
	}
	if n := r.Store.Stats().Transactions - before; n != 0 {
		t.Errorf("%d transactions", n)
	}
	b.signIn("ada@example.com").shows(200, "/consent")
}

// OWASP ASVS 5.0, 10.7.2.
func TestTheConsentPageSaysHowLongAccessLasts(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	c := r.client(nil)
	b := r.browser()
	b.open(authorization(c)).signIn("ada@example.com").shows(200, "/consent", "Access lasts until you sign out.")
	b.open(authorization(c, "scope", "openid offline_access")).shows(200, "/consent", "Access continues while you are away and after you sign out")
	b.open(authorization(c, "scope", "openid offline_access", "ui_locales", "es")).shows(200, "/consent", "El acceso continúa mientras usted no está")
	b.open("/device").submit("/device", "user_code", r.waiting(nil)).shows(200, "/device", "Access lasts until you sign out.")
}

func TestTheLanguageOfALogoutStaysToItsEnd(t *testing.T) {
	r := newRig(t, "")
	r.user("ada@example.com")
	b := r.browser()
	for action, want := range map[string]string{"sign-out": "/oauth2/logout/confirm", "stay": "/account"} {
		b.open("/sign-in")
		if b.at.Path == "/sign-in" {
			b.signIn("ada@example.com")
		}
		b.open("/oauth2/logout?ui_locales=es").shows(200, "/oauth2/logout", `<html lang="es">`)
		b.submit("/oauth2/logout/confirm?ui_locales=es", "action", action).shows(200, want, `<html lang="es">`)
	}
}
