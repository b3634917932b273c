package hosted_test

import (
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/hosted"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/oidc"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/web"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	password  = "correct horse battery"
	callback  = "https://app.example/callback"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
)

// rig is the pages and the provider over real services and a real database, behind the
// router, on a listener of its own.
type rig struct {
	*testrig.Rig
	t      testing.TB
	server *httptest.Server
	issuer string
	routes []web.Route
	ada    identity.User                                                     // of a test in a browser
	front  func(w http.ResponseWriter, req *http.Request, next http.Handler) // nil: next responds
	log    testrig.Buffer                                                    // of the requests
}

// newRig serves an issuer with the path, which may be empty.
func newRig(t testing.TB, path string) *rig {
	t.Helper()
	r := &rig{t: t}
	var router http.Handler
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.front != nil {
			r.front(w, req, router)
			return
		}
		router.ServeHTTP(w, req)
	}))
	t.Cleanup(r.server.Close)
	r.issuer = r.server.URL + path
	r.Rig = testrig.Open(t, func(c *testrig.Config) {
		c.Tokens.Issuer, c.Keys.Algorithms = r.issuer, []jose.Algorithm{jose.RS256}
	})
	pages := hosted.New(hosted.Config{
		Issuer: r.issuer, Login: r.Login, Sessions: r.Sessions, Directory: r.Directory, Requests: r.Authorize, Now: r.Clock.Now,
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) { http.Error(w, err.Error(), http.StatusTeapot) },
	})
	provider := oidc.New(oidc.Config{
		Issuer: r.issuer, Keys: r.Keys, Requests: r.Authorize, Sessions: r.Sessions, Now: r.Clock.Now, Clients: r.Clients, Tokens: r.Tokens,
		Pages: oidc.Pages{
			Error: pages.Error, FormPost: pages.FormPost, Return: pages.Return, ConfirmSignOut: pages.ConfirmSignOut, SignedOut: pages.SignedOut,
		},
	})
	r.routes = pages.Group().Routes
	mounted, err := web.New(web.Config{Issuer: r.issuer, Now: r.Clock.Now, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Groups: []web.Group{pages.Group(), provider.Group()}})
	if err != nil {
		t.Fatal(err)
	}
	router = mounted
	return r
}

func (r *rig) user(email string) identity.User {
	r.t.Helper()
	u, err := r.Directory.CreateUser(r.t.Context(), identity.Actor{Kind: identity.ActorSystem}, directory.NewUser{Email: email, Password: password, DisplayName: "Ada Lovelace"})
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// client registers a client with more settings; nil: none.
func (r *rig) client(more oauth.Settings) oauth.Client {
	r.t.Helper()
	s := oauth.Settings{"name": "Northwind Notes", "kind": "spa", "redirect_uris": []string{callback}}
	maps.Copy(s, more)
	c, _, err := r.Clients.Create(r.t.Context(), identity.Actor{Kind: identity.ActorSystem}, s)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// authorization is the address that a client sends its user to.
func authorization(c oauth.Client, more ...string) string {
	v := url.Values{
		"client_id": {c.ID}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid profile email"},
		"state": {"of the client"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return "/oauth2/authorize?" + v.Encode()
}

// browser is a browser without scripts: it keeps cookies, follows redirects within the
// server, and submits forms.
type browser struct {
	*rig
	http.Client

	status int
	header http.Header
	body   string
	at     *url.URL
}

func (r *rig) browser() *browser {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &browser{rig: r, Client: http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), r.server.URL) {
			return nil
		}
		return http.ErrUseLastResponse
	}}}
}

// open goes to an address; at is where the browser is then, or where the server sent it to
// elsewhere.
func (b *browser) open(address string) *browser {
	b.t.Helper()
	return b.send(http.MethodGet, address, nil, nil)
}

func (b *browser) send(method, address string, form url.Values, header map[string]string) *browser {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.server.URL + address
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.status, b.header, b.body, b.at = resp.StatusCode, resp.Header, string(body), resp.Request.URL
	if to := resp.Header.Get("Location"); to != "" {
		if b.at, err = resp.Request.URL.Parse(to); err != nil {
			b.t.Fatal(err)
		}
	}
	if m := refreshPattern.FindStringSubmatch(b.body); m != nil {
		if b.at, err = url.Parse(html.UnescapeString(m[1])); err != nil {
			b.t.Fatal(err)
		}
	}
	return b
}

var (
	refreshPattern = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
	formPattern    = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	hiddenPattern  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	againPattern   = regexp.MustCompile(`<input class="unseen" type="text" name="(email)" value="([^"]*)"`)
)

// submit submits the form of the page whose address ends with action, with its hidden
// fields and the given ones.
func (b *browser) submit(action string, fields ...string) *browser {
	b.t.Helper()
	for _, form := range formPattern.FindAllStringSubmatch(b.body, -1) {
		if !strings.HasSuffix(form[1], action) {
			continue
		}
		values := url.Values{}
		for _, pattern := range []*regexp.Regexp{hiddenPattern, againPattern} {
			for _, m := range pattern.FindAllStringSubmatch(form[2], -1) {
				values.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
			}
		}
		for i := 0; i < len(fields); i += 2 {
			values.Set(fields[i], fields[i+1])
		}
		return b.send(http.MethodPost, form[1], values, nil)
	}
	b.t.Fatalf("no form for %s on %s:\n%s", action, b.at, b.body)
	return nil
}

// signIn signs in on the page that is open.
func (b *browser) signIn(email string) *browser {
	b.t.Helper()
	return b.submit("/sign-in", "email", email, "password", password)
}

// shows fails the test unless the page is of the path and has the texts.
func (b *browser) shows(status int, path string, texts ...string) *browser {
	b.t.Helper()
	if b.status != status || b.at.Path != path {
		b.t.Fatalf("at %s with %d, want %s with %d:\n%s", b.at, b.status, path, status, b.body)
	}
	for _, text := range texts {
		if !strings.Contains(b.body, text) {
			b.t.Fatalf("%s lacks %q:\n%s", b.at, text, b.body)
		}
	}
	return b
}

// returned fails the test unless the browser is at the client, and returns what it got.
func (b *browser) returned() url.Values {
	b.t.Helper()
	if !strings.HasPrefix(b.at.String(), callback+"?") {
		b.t.Fatalf("at %s with %d, not at the client:\n%s", b.at, b.status, b.body)
	}
	return b.at.Query()
}
