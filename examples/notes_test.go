package examples

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
)

// startNotes returns the address of the application.
func startNotes(t *testing.T, s *server) string {
	t.Helper()
	port := freePort(t)
	base := "http://localhost:" + port
	env := s.client(t, port, "--kind", "spa", "--name", "Notes", "--scope", "openid,profile,email,roles",
		"--audience", "https://notes.example.com", "--redirect-uri", base+"/", "--post-logout-redirect-uri", base+"/")
	start(t, env, ".", compiled(t, "notes"))
	waitFor(t, base+"/healthz")
	return base
}

// do runs actions in a tab; a failure says where the tab was.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, actions...); err != nil {
		where, _ := chromedp.Run(tab, chromedp.Location())
		text, _ := chromedp.Run(tab, chromedp.Text("body"))
		t.Fatalf("%v, at %s:\n%s", err, where, text)
	}
}

func signIn(t *testing.T, tab context.Context) {
	t.Helper()
	do(t, tab,
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
		chromedp.SendKeys(`input[name="email"]`, userEmail),
		chromedp.SendKeys(`input[name="password"]`, userPassword),
		chromedp.Click(`button[value="sign-in"]`),
		chromedp.WaitVisible(`button[value="allow"]`),
		chromedp.Click(`button[value="allow"]`),
		chromedp.WaitVisible("#sign-out"),
	)
}

func TestNotesAreWrittenSeenAndKept(t *testing.T) {
	tab := browsertest.Chromium(t, 1280, 900, false)
	base := startNotes(t, startServer(t))
	do(t, tab, chromedp.Navigate(base+"/"), chromedp.WaitVisible("#sign-in"))
	signIn(t, tab)
	do(t, tab,
		chromedp.SendKeys("#text", "buy bread"),
		chromedp.Click("#write button"),
		chromedp.WaitVisible("#list li"),
		chromedp.Reload(), // keeps the session
		chromedp.WaitVisible("#list li"),
	)
	if text, err := chromedp.Run(tab, chromedp.Text("body")); err != nil || !strings.Contains(text, "Ada Example") || !strings.Contains(text, "buy bread") {
		t.Errorf("%v:\n%s", err, text)
	}
	do(t, tab, chromedp.Click("#sign-out"), chromedp.WaitVisible("#sign-in"))
}
