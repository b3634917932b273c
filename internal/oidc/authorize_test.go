package oidc_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	callback  = "https://app.example/callback"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// browser is a browser with cookies of its own, which follows no redirects.
type browser struct {
	*rig
	http.Client
}

func (r *rig) browser() *browser {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &browser{rig: r, Client: http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// visit requests an address of the server, with a path or in full, and returns the
// status and where the response leads.
func (b *browser) visit(method, address string, form url.Values) (int, *url.URL) {
	b.t.Helper()
	address = strings.TrimPrefix(address, b.server.URL)
	resp, err := b.Do(b.request(method, address, form))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, to
}

// goes is visit for a GET that leads on.
func (b *browser) goes(address string) *url.URL {
	b.t.Helper()
	status, to := b.visit(http.MethodGet, address, nil)
	if status != http.StatusSeeOther {
		b.t.Fatalf("%s: status %d", address, status)
	}
	return to
}

// presents is what the browser presents to a page.
func (b *browser) presents() authorize.Browser {
	b.t.Helper()
	cookies, ok := web.NewCookies(b.issuer)
	if !ok {
		b.t.Fatal("the issuer has no cookies")
	}
	req := b.request(http.MethodGet, web.BasePath(b.issuer)+"/", nil)
	for _, c := range b.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	p := authorize.Browser{Secret: authorize.Secret(cookies.Get(req, web.RequestCookie))}
	s, found, err := b.Sessions.Browser(b.t.Context(), session.Cookie(cookies.Get(req, web.SessionCookie)))
	if err != nil {
		b.t.Fatal(err)
	}
	if found {
		p.SessionID = s.Session.ID
	}
	return p
}

// set gives the browser a cookie, as a page does.
func (b *browser) set(kind, value string) {
	b.t.Helper()
	cookies, _ := web.NewCookies(b.issuer)
	w := recorder{http.Header{}}
	cookies.Set(w, kind, value, 0)
	parsed, err := http.ParseSetCookie(w.Header().Get("Set-Cookie"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.Jar.SetCookies(b.request(http.MethodGet, web.BasePath(b.issuer)+"/", nil).URL, []*http.Cookie{parsed})
}

type recorder struct{ h http.Header }

func (r recorder) Header() http.Header       { return r.h }
func (recorder) Write(p []byte) (int, error) { return len(p), nil }
func (recorder) WriteHeader(int)             {}

// signIn signs the user in, as the page does; request is the id of the request; empty:
// none.
func (b *browser) signIn(u identity.User, request string) {
	b.t.Helper()
	proof := identity.NewProof(u, b.Clock.Now(), identity.MethodPassword)
	cookie, s, err := b.Sessions.StartBrowser(b.t.Context(), identity.Actor{}, proof, "", false)
	if err != nil {
		b.t.Fatal(err)
	}
	if request != "" {
		secret, err := b.Authorize.SignedIn(b.t.Context(), request, b.presents(), s.Session.ID)
		if err != nil {
			b.t.Fatal(err)
		}
		b.set(web.RequestCookie, string(secret))
	}
	b.set(web.SessionCookie, string(cookie))
}

func (r *rig) user(email string) identity.User {
	r.t.Helper()
	u, err := r.Directory.CreateUser(r.t.Context(), identity.Actor{Kind: identity.ActorSystem}, directory.NewUser{Email: email, Password: "correct horse battery"})
	if err != nil {
		r.t.Fatal(err)
	}
	u, err = r.Store.UserByID(r.t.Context(), u.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// authorization is the address of a request of the client, with more parameters.
func authorization(c oauth.Client, more ...string) string {
	p := url.Values{
		"client_id": {c.ID}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s 1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "nonce": {"n"},
	}
	for i := 0; i < len(more); i += 2 {
		p.Set(more[i], more[i+1])
	}
	return "/oauth2/authorize?" + p.Encode()
}

// client registers a client of the kind, with more settings.
func (r *rig) client(kind oauth.Kind, more oauth.Settings) oauth.Client {
	r.t.Helper()
	s := oauth.Settings{"name": "App", "kind": string(kind), "redirect_uris": []string{callback}, "consent": false}
	maps.Copy(s, more)
	c, _, err := r.Clients.Create(r.t.Context(), identity.Actor{Kind: identity.ActorSystem}, s)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestAUserWhoIsSignedInGetsACodeAtOnce(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	to := b.goes(authorization(c))
	got := to.Query()
	if !strings.HasPrefix(to.String(), callback+"?") || got.Get("state") != "s 1" || got.Get("iss") != r.issuer || got.Get("code") == "" {
		t.Fatalf("the browser goes to %s", to)
	}
	by := identity.Actor{Kind: identity.ActorClient, ID: c.ID}
	e := authorize.Exchange{Code: got.Get("code"), Client: c, RedirectURI: callback, Verifier: verifier}
	redeemed, err := r.Authorize.Redeem(t.Context(), by, e)
	if err != nil || redeemed.Nonce != "n" || redeemed.Scope != "openid" {
		t.Fatalf("%+v, %v", redeemed, err)
	}
	if of, err := redeemed.Commit(t.Context(), nil); err != nil || of.User.Email != "ada@pico.example" || of.SessionID != redeemed.SessionID {
		t.Fatalf("%+v, %v", of, err)
	}
}

// RFC 8252 section 8.6, as docs/clients tells developers: a user who is signed in confirms
// each sign-in at a program of the own device, and so prompt=none fails there.
func TestRFC8252Section8_6PromptNoneFailsForAProgramOfTheDevice(t *testing.T) {
	r := newRig(t, "")
	b := r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	for _, uri := range []string{"http://localhost:3000/", "http://127.0.0.1/cb", "com.example.app:/cb"} {
		c := r.client(oauth.KindNative, oauth.Settings{"redirect_uris": []string{uri}, "first_party": true})
		for range 2 {
			if to := b.goes(authorization(c)); strings.HasPrefix(to.String(), uri) {
				t.Errorf("%s: the user is not asked: %s", uri, to)
			}
		}
		if to := b.goes(authorization(c, "prompt", "none")); to.Query().Get("error") != "interaction_required" {
			t.Errorf("%s: with prompt=none the browser goes to %s", uri, to)
		}
	}
	c := r.client(oauth.KindNative, oauth.Settings{"redirect_uris": []string{"https://localhost:3000/"}})
	if to := b.goes(authorization(c, "prompt", "none")); to.Query().Get("code") == "" {
		t.Errorf("with https the browser goes to %s", to)
	}
}

func TestAUserSignsInAndIsSentBackWithACode(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	page := b.goes(authorization(c))
	id := page.Query().Get("request")
	if page.Path != "/sign-in" || id == "" {
		t.Fatalf("the browser goes to %s", page)
	}
	b.signIn(r.user("ada@pico.example"), id)
	if to := b.goes("/oauth2/authorize/" + id); to.Query().Get("code") == "" || to.Query().Get("state") != "s 1" {
		t.Errorf("the browser goes to %s", to)
	}
}

// asks starts a request that waits for its user to sign in, and returns its id.
func (b *browser) asks(c oauth.Client, more ...string) string {
	b.t.Helper()
	page := b.goes(authorization(c, more...))
	id := page.Query().Get("request")
	if page.Path != "/sign-in" || id == "" {
		b.t.Fatalf("the browser goes to %s", page)
	}
	return id
}

// A request belongs to one browser: another one, with any user signed in, never gets
// its code.
func TestOneRequestInTwoBrowsersGivesNoCodeToTheSecond(t *testing.T) {
	r := newRig(t, "")
	c, first, second := r.client(oauth.KindWeb, nil), r.browser(), r.browser()
	ada, bob := r.user("ada@pico.example"), r.user("bob@pico.example")
	id := first.asks(c)
	second.signIn(bob, "")
	second.asks(c, "prompt", "login") // it has a secret too
	for name, step := range map[string]func() (int, *url.URL){
		"continue": func() (int, *url.URL) { return second.visit(http.MethodGet, "/oauth2/authorize/"+id, nil) },
	} {
		if status, to := step(); status != http.StatusNotFound && status != http.StatusBadRequest || to.String() != "" {
			t.Errorf("%s in the second browser: status %d, to %s", name, status, to)
		}
	}
	if _, err := r.Authorize.Question(t.Context(), id, second.presents()); !errors.Is(err, authorize.ErrNotFound) {
		t.Errorf("the page in the second browser: %v", err)
	}
	if _, err := r.Authorize.SignedIn(t.Context(), id, second.presents(), second.presents().SessionID); !errors.Is(err, authorize.ErrNotFound) {
		t.Errorf("the sign-in in the second browser: %v", err)
	}
	first.signIn(ada, id)
	if status, to := second.visit(http.MethodGet, "/oauth2/authorize/"+id, nil); status == http.StatusSeeOther {
		t.Errorf("the second browser goes to %s", to)
	}
	if to := first.goes("/oauth2/authorize/" + id); to.Query().Get("code") == "" {
		t.Errorf("the first browser goes to %s", to)
	}
}

func TestTheSecretOfABrowserChangesAtSignIn(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	id := b.asks(c)
	before := b.presents()
	b.signIn(r.user("ada@pico.example"), id)
	before.SessionID = b.presents().SessionID
	if _, err := r.Authorize.Continue(t.Context(), identity.Actor{}, id, before); !errors.Is(err, authorize.ErrNotFound) {
		t.Errorf("the secret from before the sign-in: %v", err)
	}
}

func TestACodeIsIssuedOnce(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	id := b.asks(c)
	b.signIn(r.user("ada@pico.example"), id)
	b.goes("/oauth2/authorize/" + id)
	if status, to := b.visit(http.MethodGet, "/oauth2/authorize/"+id, nil); status == http.StatusSeeOther {
		t.Errorf("a second time the browser goes to %s", to)
	}
}

// OpenID Connect Core 3.1.2.1: POST. It comes from another site, without cookies, and so it
// belongs to the first browser that goes on with it.
func TestCoreSection3_1_2_1ARequestByPost(t *testing.T) {
	r := newRig(t, "")
	c, b, other := r.client(oauth.KindWeb, nil), r.browser(), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	_, query, _ := strings.Cut(authorization(c), "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	req := b.request(http.MethodPost, "/oauth2/authorize", form)
	req.Header.Set("Origin", "https://app.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	a := r.do(req) // without cookies
	to := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(to, r.issuer+"/oauth2/authorize/") || a.header.Get("Set-Cookie") != "" {
		t.Fatalf("%d to %s", a.status, to)
	}
	if end := b.goes(to); !strings.HasPrefix(end.String(), callback) || end.Query().Get("code") == "" {
		t.Errorf("the browser goes to %s", end)
	}
	if status, _ := other.visit(http.MethodGet, to, nil); status == http.StatusSeeOther {
		t.Error("another browser goes on with the request")
	}
	form.Set("scope", "unknown")
	if a := r.post("/oauth2/authorize", form); !strings.Contains(a.header.Get("Location"), "error=invalid_scope") {
		t.Errorf("an invalid request: %d to %s", a.status, a.header.Get("Location"))
	}
	form.Set("redirect_uri", "https://evil.example/")
	r.want(http.StatusBadRequest, "invalid_request", r.post("/oauth2/authorize", form))
}

// The browser takes the error to the client at once: without the record the operator of
// the server would not see that a sign-in failed.
func TestErrorsThatGoToTheClientAreInTheRecordOfTheRequest(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	b.goes(authorization(c, "code_challenge", "", "code_challenge_method", ""))
	b.goes(authorization(c, "prompt", "none", "response_mode", "fragment"))
	b.goes(authorization(c))
	var got []string
	for line := range strings.Lines(r.log.String()) {
		if _, code, refused := strings.Cut(line, ` error=`); refused {
			got = append(got, strings.TrimSpace(code))
		}
	}
	if want := []string{"invalid_request", "login_required"}; !slices.Equal(got, want) {
		t.Errorf("the records have the errors %v, want %v", got, want)
	}
}

func TestErrorsGoToTheClientOnlyWhenItIsProved(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	for name, more := range map[string][]string{
		"client":       {"client_id", "unknown"},
		"redirect URI": {"redirect_uri", "https://evil.example/"},
		"no URI":       {"redirect_uri", ""},
	} {
		if status, to := b.visit(http.MethodGet, authorization(c, append(more, "scope", "openid groups")...), nil); status < 400 || to.String() != "" {
			t.Errorf("%s: %d to %s", name, status, to)
		}
	}
	to := b.goes(authorization(c, "code_challenge_method", "plain"))
	if q := to.Query(); !strings.HasPrefix(to.String(), callback+"?") || q.Get("error") != "invalid_request" || q.Get("state") != "s 1" || q.Get("iss") != r.issuer {
		t.Errorf("the error goes to %s", to)
	}
	to = b.goes(authorization(c, "request", "x", "response_mode", "fragment"))
	if q, _ := url.ParseQuery(to.Fragment); q.Get("error") != "request_not_supported" {
		t.Errorf("the error goes to %s", to)
	}
	if _, err := r.Clients.Update(t.Context(), identity.Actor{Kind: identity.ActorSystem}, c.ID, oauth.Settings{"status": "suspended"}); err != nil {
		t.Fatal(err)
	}
	if status, to := b.visit(http.MethodGet, authorization(c), nil); status < 400 || to.String() != "" {
		t.Errorf("a suspended client: %d to %s", status, to)
	}
}

func TestARequestIsAtMost16KiB(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	state := strings.Repeat("s", 10<<10)
	b.signIn(r.user("ada@pico.example"), "")
	if to := b.goes(authorization(c, "state", state, "nonce", strings.Repeat("n", 1<<10))); to.Query().Get("state") != state {
		t.Errorf("the browser goes to %.100s", to)
	}
	if status, _ := b.visit(http.MethodGet, authorization(c, "state", state+state[:7<<10]), nil); status != http.StatusBadRequest {
		t.Errorf("17 KiB: status %d", status)
	}
}

func TestAUserCanDeny(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, oauth.Settings{"consent": true}), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	page := b.goes(authorization(c))
	id := page.Query().Get("request")
	if page.Path != "/consent" {
		t.Fatalf("the browser goes to %s", page)
	}
	next, err := r.Authorize.Deny(t.Context(), identity.Actor{}, id, b.presents())
	if err != nil || next.Response.Params.Get("error") != "access_denied" {
		t.Fatalf("%+v, %v", next, err)
	}
	if status, _ := b.visit(http.MethodGet, "/oauth2/authorize/"+id, nil); status == http.StatusSeeOther {
		t.Error("the request goes on")
	}
}

func TestConsentIsAskedForOnce(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, oauth.Settings{"consent": true}), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	id := b.goes(authorization(c)).Query().Get("request")
	q, err := r.Authorize.Question(t.Context(), id, b.presents())
	if err != nil || q.Step != authorize.Consent || q.Client.ID != c.ID || q.User.Email != "ada@pico.example" {
		t.Fatalf("%+v, %v", q, err)
	}
	if err := r.Authorize.Consent(t.Context(), identity.Actor{}, id, b.presents()); err != nil {
		t.Fatal(err)
	}
	if to := b.goes("/oauth2/authorize/" + id); to.Query().Get("code") == "" {
		t.Errorf("after consent the browser goes to %s", to)
	}
	if to := b.goes(authorization(c)); to.Query().Get("code") == "" {
		t.Errorf("the next time the browser goes to %s", to)
	}
	if to := b.goes(authorization(c, "scope", "openid email")); to.Path != "/consent" {
		t.Errorf("for more the browser goes to %s", to)
	}
	if to := b.goes(authorization(c, "scope", "openid email", "prompt", "none")); to.Query().Get("error") != "consent_required" {
		t.Errorf("with prompt=none the browser goes to %s", to)
	}
}

// Nothing waits for a user who cannot be asked, and nothing is stored of what is not
// valid.
func TestInvalidAndSilentRequestsStoreNothing(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	for name, more := range map[string][]string{
		"prompt=none":      {"prompt", "none"},
		"an invalid scope": {"scope", "x"},
		"no challenge":     {"code_challenge", ""},
		"another address":  {"redirect_uri", "https://evil.example/"},
	} {
		b.visit(http.MethodGet, authorization(c, more...), nil)
		if n := r.stored(); n != 0 {
			t.Errorf("%s: %d requests are stored", name, n)
		}
	}
	b.asks(c)
	if n := r.stored(); n != 1 {
		t.Errorf("%d requests are stored, want 1", n)
	}
}

// stored is the number of stored authorization requests.
func (r *rig) stored() int {
	r.t.Helper()
	rows := storetest.Rows(r.t, r.url, "SELECT id FROM authorization_requests")
	return len(rows)
}

func TestRequestsOfANetworkAreLimited(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	for i := range 600 {
		if status, to := b.visit(http.MethodGet, authorization(c), nil); status != http.StatusSeeOther {
			t.Fatalf("request %d: %d to %s", i, status, to)
		}
	}
	if n := r.stored(); n != authorize.MaxOfNetwork {
		t.Errorf("%d requests of one network are stored, want %d", n, authorize.MaxOfNetwork)
	}
	if status, _ := b.visit(http.MethodGet, authorization(c), nil); status != http.StatusTooManyRequests {
		t.Errorf("beyond the limit: status %d", status)
	}
	if to := b.goes(authorization(c, "prompt", "none")); to.Query().Get("error") != "login_required" {
		t.Errorf("what stores nothing goes to %s", to)
	}
	b.signIn(r.user("ada@pico.example"), "")
	if status, _ := b.visit(http.MethodGet, authorization(c), nil); status != http.StatusTooManyRequests {
		t.Errorf("a code is stored, too: status %d", status)
	}
	r.Clock.Advance(2 * time.Minute)
	if to := b.goes(authorization(c)); to.Query().Get("code") == "" {
		t.Errorf("two minutes later a user who is signed in goes to %s", to)
	}
}

// RFC 6749 section 4.1.3 and RFC 9700 section 2.1.1: a code is bound to its client,
// redirect URI and challenge.
func TestACodeIsBoundToItsRequest(t *testing.T) {
	r := newRig(t, "")
	c, other, old := r.client(oauth.KindWeb, nil), r.client(oauth.KindWeb, nil), r.client(oauth.KindWeb, oauth.Settings{"require_pkce": false})
	b := r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	code := b.goes(authorization(c)).Query().Get("code")
	unprotected := b.goes(authorization(old, "code_challenge", "", "code_challenge_method", "")).Query().Get("code")
	valid := authorize.Exchange{Code: code, Client: c, RedirectURI: callback, Verifier: verifier}
	for name, change := range map[string]func(*authorize.Exchange){
		"another client":       func(e *authorize.Exchange) { e.Client = other },
		"another redirect URI": func(e *authorize.Exchange) { e.RedirectURI = callback + "/" },
		"no redirect URI":      func(e *authorize.Exchange) { e.RedirectURI = "" },
		"another verifier":     func(e *authorize.Exchange) { e.Verifier = challenge },
		"no verifier":          func(e *authorize.Exchange) { e.Verifier = "" },
		"another code":         func(e *authorize.Exchange) { e.Code = challenge },
		"no code":              func(e *authorize.Exchange) { e.Code = "" },
		"a verifier without an earlier challenge": func(e *authorize.Exchange) { e.Code, e.Client = unprotected, old },
	} {
		e := valid
		change(&e)
		_, err := r.Authorize.Redeem(t.Context(), identity.Actor{}, e)
		if no, ok := errors.AsType[*oauth.Error](err); !ok || no.Code != oauth.InvalidGrant {
			t.Errorf("%s: %v", name, err)
		}
	}
	redeemed, err := r.Authorize.Redeem(t.Context(), identity.Actor{}, valid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redeemed.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := redeemed.Commit(t.Context(), nil); !isInvalidGrant(err) {
		t.Errorf("a second commit: %v", err)
	}
	if _, err := r.Authorize.Redeem(t.Context(), identity.Actor{}, valid); !isInvalidGrant(err) {
		t.Errorf("a second use: %v", err)
	}
}

func isInvalidGrant(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Code == oauth.InvalidGrant
}

// A client without the scope openid may leave its only redirect URI out, and then may do
// so at the token endpoint (RFC 6749 section 4.1.3).
func TestRFC6749Section4_1_3AnImpliedRedirectURI(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, oauth.Settings{"scopes": []string{"api"}}), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	for _, uri := range []string{"", callback} {
		code := b.goes(authorization(c, "redirect_uri", "", "scope", "api")).Query().Get("code")
		e := authorize.Exchange{Code: code, Client: c, RedirectURI: uri, Verifier: verifier}
		if _, err := r.Authorize.Redeem(t.Context(), identity.Actor{}, e); err != nil {
			t.Errorf("with %q: %v", uri, err)
		}
	}
}

// Groups and roles are checked again when the code is exchanged.
func TestAUserWhoMayNoLongerUseTheClientGetsNoTokens(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, oauth.Settings{"allowed_roles": []string{"viewer"}}), r.browser()
	u := r.user("ada@pico.example")
	b.signIn(u, "")
	e := authorize.Exchange{Code: b.goes(authorization(c)).Query().Get("code"), Client: c, RedirectURI: callback, Verifier: verifier}
	redeemed, err := r.Authorize.Redeem(t.Context(), identity.Actor{}, e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Clients.Update(t.Context(), identity.Actor{Kind: identity.ActorSystem}, c.ID, oauth.Settings{"allowed_roles": []string{"operator"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := redeemed.Commit(t.Context(), nil); !isInvalidGrant(err) {
		t.Errorf("the code is accepted: %v", err)
	}
	if page := b.goes(authorization(c)); page.Path != "/consent" {
		t.Errorf("the browser goes to %s", page)
	}
}

func TestResponseModes(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	to := b.goes(authorization(c, "response_mode", "fragment"))
	if q, _ := url.ParseQuery(to.Fragment); q.Get("code") == "" || q.Get("iss") != r.issuer || to.RawQuery != "" {
		t.Errorf("by fragment the browser goes to %s", to)
	}
	status, to := b.visit(http.MethodGet, authorization(c, "response_mode", "form_post"), nil)
	if p := r.posted; status != http.StatusOK || to.String() != "" || p.RedirectURI != callback || p.Params.Get("code") == "" || p.Params.Get("state") != "s 1" {
		t.Errorf("by form: %d to %s with %+v", status, to, p)
	}
}

// The code goes to the browser whose session is the one that the decisions were made in.
func TestNoCodeWithoutTheSessionThatSignedIn(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, oauth.Settings{"consent": true}), r.browser()
	ada, bob := r.user("ada@pico.example"), r.user("bob@pico.example")
	id := b.asks(c, "prompt", "login")
	b.signIn(ada, id)
	if err := r.Authorize.Consent(t.Context(), identity.Actor{}, id, b.presents()); err != nil {
		t.Fatal(err)
	}
	session := b.presents().SessionID
	b.signIn(bob, "") // in another tab
	if to := b.goes("/oauth2/authorize/" + id); to.Path != "/sign-in" {
		t.Errorf("with another session the browser goes to %s", to)
	}
	b.set(web.SessionCookie, "")
	if to := b.goes("/oauth2/authorize/" + id); to.Path != "/sign-in" {
		t.Errorf("without a session the browser goes to %s", to)
	}
	in := b.presents()
	in.SessionID = session
	if err := r.Sessions.EndOne(t.Context(), identity.Actor{Kind: identity.ActorSystem}, ada.ID, session); err != nil {
		t.Fatal(err)
	}
	if next, err := r.Authorize.Continue(t.Context(), identity.Actor{}, id, in); err != nil || next.Step != authorize.SignIn {
		t.Errorf("with an ended session: %+v, %v", next, err)
	}
}

func TestTheEndpointIsBelowThePathOfTheIssuer(t *testing.T) {
	r := newRig(t, "/auth")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	page := b.goes("/auth" + authorization(c))
	id := page.Query().Get("request")
	if page.Path != "/auth/sign-in" || id == "" {
		t.Fatalf("the browser goes to %s", page)
	}
	b.signIn(r.user("ada@pico.example"), id)
	if to := b.goes("/auth/oauth2/authorize/" + id); to.Query().Get("code") == "" || to.Query().Get("iss") != r.issuer {
		t.Errorf("the browser goes to %s", to)
	}
}

// OpenID Connect Core 3.1.2.1: an ID token of the client, expired or not, names the user.
func TestCoreSection3_1_2_1AHintNamesTheUser(t *testing.T) {
	r := newRig(t, "")
	c, b := r.client(oauth.KindWeb, nil), r.browser()
	b.signIn(r.user("ada@pico.example"), "")
	if to := b.goes(authorization(c, "prompt", "none", "id_token_hint", "x.y.z")); to.Query().Get("error") != "login_required" {
		t.Errorf("a hint that is none, with prompt=none, leads to %s", to)
	}
	if to := b.goes(authorization(c, "id_token_hint", "x.y.z")); to.Query().Get("code") == "" {
		t.Errorf("a hint that is none leads to %s", to)
	}
}
