package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/web"
)

// browser returns the context of a headless Chromium, in dark colors.
func browser(t *testing.T) context.Context {
	t.Helper()
	return browsertest.Chromium(t, 1280, 1400, true)
}

// TestAPIPageWorksInABrowserOffline logs in with the Authorize button and calls
// an endpoint that needs it. The page may log no error, including violations of the
// content security policy, and may send no request to another server.
func TestAPIPageWorksInABrowserOffline(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	ctx := browser(t)
	r := newRig(t)
	s := r.server()
	user := r.user(identity.Viewer, "default")
	access, _ := r.session(user)

	const me = "#operations-account-me "
	complaints := console(ctx)
	err := chromedp.Do(ctx,
		chromedp.Navigate(s.URL+*base+"/docs"),
		chromedp.WaitVisible(chromedp.CSS(me)),
		chromedp.Click(chromedp.CSS(".auth-wrapper .authorize")),
		chromedp.WaitVisible(chromedp.CSS("#auth-bearer-value")),
		chromedp.SendKeys(chromedp.CSS("#auth-bearer-value"), access),
		chromedp.Click(chromedp.CSS(".auth-container .auth-btn-wrapper .authorize")),
		chromedp.Click(chromedp.CSS(".auth-container .auth-btn-wrapper .btn-done")),
		chromedp.Click(chromedp.CSS(me+".opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS(me+".execute")),
		chromedp.Click(chromedp.CSS(me+".execute")),
		chromedp.WaitVisible(chromedp.CSS(me+".live-responses-table .response-col_description pre")),
	)
	if name := os.Getenv("SCREENSHOT"); name != "" {
		screenshot(ctx, t, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	shown, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(me+".live-responses-table")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown, "200") || !strings.Contains(shown, user.ID) {
		t.Errorf("the response of /me: %s", shown)
	}
	asked, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`performance.getEntriesByType("resource").map(e => e.name)`))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range asked {
		if !strings.HasPrefix(address, s.URL+"/") && !strings.HasPrefix(address, "data:") {
			t.Errorf("the page requested %s", address)
		}
	}
	dark, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body.parentElement).backgroundColor`))
	if err != nil || dark != "rgb(28, 32, 34)" {
		t.Errorf("where the system is dark the page is %s, %v", dark, err)
	}
	for _, complaint := range complaints() {
		t.Error(complaint)
	}
}

// TestLoginBoxOfTheAPIPageFillsInTheToken logs in on the page and calls an endpoint that
// needs the token.
func TestLoginBoxOfTheAPIPageFillsInTheToken(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	ctx := browser(t)
	r := newRig(t)
	s := r.server()
	user := r.user(identity.Viewer, "default")

	const me = "#operations-account-me "
	complaints := console(ctx)
	err := chromedp.Do(ctx,
		chromedp.Navigate(s.URL+*base+"/docs"),
		chromedp.WaitVisible(chromedp.CSS("#login")),
		chromedp.SendKeys(chromedp.CSS("#login-email"), user.Email),
		chromedp.SendKeys(chromedp.CSS("#login-password"), testPassword),
		chromedp.Click(chromedp.CSS("#login button")),
		chromedp.WaitVisible(chromedp.CSS(".auth-wrapper .authorize.locked")),
		chromedp.Click(chromedp.CSS(me+".opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS(me+".execute")),
		chromedp.Click(chromedp.CSS(me+".execute")),
		chromedp.WaitVisible(chromedp.CSS(me+".live-responses-table .response-col_description pre")),
	)
	if name := os.Getenv("SCREENSHOT_LOGIN"); name != "" {
		screenshot(ctx, t, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	shown, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(me+".live-responses-table")))
	if err != nil || !strings.Contains(shown, user.ID) {
		t.Errorf("the response of /me: %s, %v", shown, err)
	}
	for _, complaint := range complaints() {
		t.Error(complaint)
	}
}

// console collects the errors and warnings of the browser.
func console(ctx context.Context) func() []string {
	var mu sync.Mutex
	var list []string
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == "error" || m.Type == "warning" || m.Type == chromedp.ConsoleException {
				mu.Lock()
				list = append(list, string(m.Type)+": "+m.Text)
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

// Libraries for tracing and error reports add headers to every request of a page.
func TestScriptOfAListedOriginCallsTheAPIWithTracingHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	ctx := browser(t)
	r := newRig(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(page.Close)
	r.mount(web.Config{CORSOrigins: []string{page.URL}})
	s := r.server()
	access := r.as(identity.Viewer, "default")

	script := `fetch(` + toJSON(t, s.URL+*base+"/api/v1/auth/me") + `, {headers: {
		"Authorization": "Bearer ` + access + `", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
		"baggage": "k=v", "sentry-trace": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", "x-requested-with": "XMLHttpRequest", "x-datadog-trace-id": "1"}})
		.then(r => r.status + " " + (r.headers.get("x-request-id") ? "id" : "none"), e => String(e))`
	if err := chromedp.Do(ctx, chromedp.Navigate(page.URL)); err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil || got != "200 id" {
		t.Errorf("%q, %v", got, err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(strings.Replace(page.URL, "127.0.0.1", "localhost", 1))); err != nil {
		t.Fatal(err)
	}
	got, err = chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil || !strings.Contains(got, "Failed to fetch") {
		t.Errorf("another origin: %q, %v", got, err)
	}
}

func screenshot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

// recipe is the code of docs/api.md for browser applications that refresh.
func recipe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```js\n")[1:] {
		if code, _, _ := strings.Cut(block, "```"); strings.Contains(code, "navigator.locks") {
			return strings.ReplaceAll(code, `"/api/v1`, `"`+*base+`/api/v1`)
		}
	}
	t.Fatal("docs/api.md has no recipe with navigator.locks")
	return ""
}

// Each token works once, and the session must outlive many rounds of two tabs that find
// at the same time that the access token has expired.
func TestTabsThatFollowTheRecipeShareOneSession(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	first := browser(t)
	r := newRig(t)
	var refreshes atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/refresh") {
			refreshes.Add(1)
		}
		r.serve(w, req)
	}))
	t.Cleanup(s.Close)
	if err := chromedp.Do(first, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	second, cancel := chromedp.NewContext(first) // of the browser that runs now
	t.Cleanup(cancel)
	tabs := []context.Context{first, second}
	for _, tab := range tabs {
		script := "var signedOut = false; const signIn = () => { signedOut = true };" + recipe(t) + "; true"
		if err := chromedp.Do(tab, chromedp.Navigate(s.URL+*base+"/docs")); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](script)); err != nil {
			t.Fatal(err)
		}
	}
	access, refresh := r.session(r.user(identity.Viewer, "default"))
	store := `localStorage.tokens = ` + toJSON(t, toJSON(t, map[string]any{"access_token": access, "refresh_token": refresh, "expires": 0})) + `; true`
	if _, err := chromedp.Run(first, chromedp.Evaluate[bool](store)); err != nil {
		t.Fatal(err)
	}
	seen := `new Promise((done) => { const look = () => localStorage.tokens ? done(true) : setTimeout(look, 10); look() })` // by another process, later
	if _, err := chromedp.Run(second, chromedp.Evaluate[bool](seen, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatal(err)
	}
	const rounds = 4
	for range rounds {
		var all sync.WaitGroup
		for _, tab := range tabs {
			all.Go(func() {
				out, err := chromedp.Run(tab, chromedp.Evaluate[string](`Promise.all([refresh(), refresh(), refresh()]).then(() => signedOut ? "signed out" : "", String)`, chromedp.EvalAwaitPromise))
				if err != nil || out != "" {
					t.Errorf("a tab: %q, %v", out, err)
				}
			})
		}
		all.Wait()
		expire := `localStorage.tokens = JSON.stringify({...JSON.parse(localStorage.tokens), expires: 0}); true`
		if _, err := chromedp.Run(second, chromedp.Evaluate[bool](expire)); err != nil {
			t.Fatal(err)
		}
	}
	last, err := chromedp.Run(second, chromedp.Evaluate[string](`JSON.parse(localStorage.tokens).access_token`))
	if err != nil {
		t.Fatal(err)
	}
	r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", last, ""))
	if n := refreshes.Load(); n != rounds {
		t.Errorf("%d refreshes in %d rounds", n, rounds)
	}
}
