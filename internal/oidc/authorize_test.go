package oidc_test

import (
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/session"
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
	req := b.request(http.MethodGet, "/", nil)
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
	b.Jar.SetCookies(b.request(http.MethodGet, "/", nil).URL, []*http.Cookie{parsed})
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
