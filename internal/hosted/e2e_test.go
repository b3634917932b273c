package hosted_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/hosted"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// site is a client's site, which is another origin than the server.
type site struct {
	*httptest.Server
	mu   sync.Mutex
	got  []url.Values // at /callback, of the query or of the form
	more string       // where /callback redirects to; empty: it does not
	page string       // at /
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // as far as it can be read
		s.mu.Lock()
		s.got = append(s.got, r.Form)
		s.mu.Unlock()
		if s.more != "" {
			http.Redirect(w, r, s.more, http.StatusFound)
			return
		}
		_, _ = fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><h1 id="done">Welcome</h1>`)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, s.page) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *site) callback() string { return s.URL + "/callback" }

// last is what the client got last.
func (s *site) last(t *testing.T) url.Values {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) == 0 {
		t.Fatal("the client got nothing")
	}
	return s.got[len(s.got)-1]
}

// signInAt goes to an address of the server and signs in.
func signInAt(address string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.Navigate(address),
		chromedp.WaitVisible(chromedp.CSS("#email")),
		chromedp.SendKeys(chromedp.CSS("#email"), "ada@example.com"),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS(`button[value="sign-in"]`)),
	)
}

func arrived() chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(chromedp.CSS("#done")) }

// flow is a rig with a user and a Chromium.
func flow(t *testing.T) (*rig, context.Context, func() []string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	ctx := hosted.Chromium(t, 1280, false)
	r := newRig(t, "")
	r.ada = r.user("ada@example.com")
	return r, ctx, hosted.Console(ctx)
}

func quiet(t *testing.T, complaints func() []string) {
	t.Helper()
	for _, complaint := range complaints() {
		t.Error(complaint)
	}
}

func TestChromiumConsentLeadsToAnotherOrigin(t *testing.T) {
	r, ctx, complaints := flow(t)
	app := newSite(t)
	c := r.client(oauth.Settings{"redirect_uris": []string{strings.Replace(app.callback(), "127.0.0.1", "localhost", 1)}, "kind": "web"})
	address := r.server.URL + authorization(c)
	if err := chromedp.Do(ctx, signInAt(address), chromedp.Click(chromedp.CSS(`button[value="allow"]`)), arrived()); err != nil {
		t.Fatal(err)
	}
	if app.last(t).Get("code") == "" {
		t.Errorf("%v", app.last(t))
	}
	quiet(t, complaints)
}

// Chromium sends the form at each click, and drops the response to the first one with its
// cookies, although the server has signed the user in.
func TestChromiumASecondClickOnSignInSignsIn(t *testing.T) {
	r, ctx, complaints := flow(t)
	app := newSite(t)
	c := r.client(oauth.Settings{"redirect_uris": []string{strings.Replace(app.callback(), "127.0.0.1", "localhost", 1)}, "kind": "web"})
	var sent atomic.Int64
	second := make(chan struct{})
	r.front = func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Method != http.MethodPost || req.URL.Path != "/sign-in" {
			next.ServeHTTP(w, req)
			return
		}
		switch sent.Add(1) {
		case 1:
			next.ServeHTTP(httptest.NewRecorder(), req)
			select {
			case <-second:
			case <-t.Context().Done():
			}
		case 2:
			close(second)
			next.ServeHTTP(w, req)
		}
	}
	const clickAgain = `document.querySelector("form").addEventListener("submit", e => setTimeout(() => e.submitter.click(), 300), {once: true})`
	err := chromedp.Do(ctx, chromedp.Navigate(r.server.URL+authorization(c)), chromedp.WaitVisible(chromedp.CSS("#email")),
		chromedp.SendKeys(chromedp.CSS("#email"), "ada@example.com"), chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Evaluate[chromedp.Void](clickAgain), chromedp.Click(chromedp.CSS(`button[value="sign-in"]`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value="allow"]`)),
		chromedp.Click(chromedp.CSS(`button[value="allow"]`)), arrived())
	if err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		t.Fatal(err, text, sent.Load(), complaints())
	}
	if app.last(t).Get("code") == "" || sent.Load() != 2 {
		t.Errorf("%v after %d forms", app.last(t), sent.Load())
	}
	quiet(t, complaints)
}

// Many clients redirect again, from their back end to their pages.
func TestChromiumFollowsTheRedirectOfTheClient(t *testing.T) {
	r, ctx, complaints := flow(t)
	app, pages := newSite(t), newSite(t)
	app.more = pages.callback()
	c := r.client(oauth.Settings{"redirect_uris": []string{strings.Replace(app.callback(), "127.0.0.1", "localhost", 1)}, "kind": "web"})
	if err := chromedp.Do(ctx, signInAt(r.server.URL+authorization(c)), chromedp.Click(chromedp.CSS(`button[value="allow"]`)), arrived()); err != nil {
		t.Fatal(err, complaints())
	}
	quiet(t, complaints)
}

func TestChromiumFormPostReachesAnotherOrigin(t *testing.T) {
	r, ctx, complaints := flow(t)
	app, pages := newSite(t), newSite(t)
	app.more = pages.callback() // as above
	c := r.client(oauth.Settings{"redirect_uris": []string{strings.Replace(app.callback(), "127.0.0.1", "localhost", 1)}, "kind": "web", "consent": false})
	if err := chromedp.Do(ctx, signInAt(r.server.URL+authorization(c, "response_mode", "form_post", "prompt", "consent")), chromedp.Click(chromedp.CSS(`button[value="allow"]`)), arrived()); err != nil {
		t.Fatal(err, complaints())
	}
	if app.last(t).Get("code") == "" || app.last(t).Get("state") != "of the client" {
		t.Errorf("%v", app.last(t))
	}
	quiet(t, complaints)
}

// Chromium knows no program for the scheme, so that the browser stays where it is; but it
// must have nothing against the redirect.
func TestChromiumConsentLeadsToAPrivateUseScheme(t *testing.T) {
	r, ctx, complaints := flow(t)
	c := r.client(oauth.Settings{"redirect_uris": []string{"com.example.app:/callback"}, "kind": "native"})
	err := chromedp.Do(ctx, signInAt(r.server.URL+authorization(c)), chromedp.Click(chromedp.CSS(`button[value="allow"]`)))
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		grants, err := r.Store.Consents(t.Context(), r.ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(grants) == 1 {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the form was not sent: %v", grants)
		}
	}
	if err := chromedp.Do(ctx, chromedp.Sleep(time.Second)); err != nil { // for what the browser has against the redirect
		t.Fatal(err)
	}
	quiet(t, complaints)
}

// The browser sends no cookies with a POST from another site, and the server reads none: the
// session counts at the GET that follows.
func TestChromiumPostToAuthorizeFromAnotherSiteFindsTheSession(t *testing.T) {
	r, ctx, complaints := flow(t)
	app := newSite(t)
	c := r.client(oauth.Settings{"redirect_uris": []string{strings.Replace(app.callback(), "127.0.0.1", "localhost", 1)}, "kind": "web", "consent": false})
	address := r.server.URL + authorization(c)
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	form := `<form method="post" action="` + r.server.URL + `/oauth2/authorize">`
	for name, values := range target.Query() {
		form += `<input type="hidden" name="` + name + `" value="` + html.EscapeString(values[0]) + `">`
	}
	app.page = `<!doctype html><link rel="icon" href="data:,">` + form + `<button id="go">Sign in</button></form>`
	err = chromedp.Do(ctx, signInAt(address), arrived(),
		chromedp.Navigate(strings.Replace(app.URL, "127.0.0.1", "localhost", 1)+"/"), chromedp.Click(chromedp.CSS("#go")),
		chromedp.WaitVisible(chromedp.CSS(`button[value="continue"]`)), chromedp.Click(chromedp.CSS(`button[value="continue"]`)), arrived())
	if err != nil {
		at, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatal(err, at, complaints())
	}
	if app.last(t).Get("code") == "" || len(app.got) != 2 {
		t.Errorf("%v", app.last(t))
	}
	quiet(t, complaints)
}
