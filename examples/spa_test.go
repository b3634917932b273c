package examples

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/programtest"
)

// Another library in the browser.
func TestSPA(t *testing.T) {
	need(t, "node", "npm")
	tab := browsertest.Chromium(t, 1280, 900, false)
	prepare(t, "spa", "npm", "ci", "--no-audit", "--no-fund")
	s, port := startServer(t), programtest.FreePort(t)
	base := "http://localhost:" + port
	start(t, s.client(t, port, "--kind", "spa", "--redirect-uri", base+"/", "--post-logout-redirect-uri", base+"/"), "spa", "npm", "start")
	waitFor(t, base+"/")
	do(t, tab, chromedp.Navigate(base+"/"), chromedp.WaitVisible("#sign-in"))
	signIn(t, tab)
	if hello, err := chromedp.Run(tab, chromedp.Text("body")); err != nil || !strings.Contains(hello, "Hello Ada Example "+userEmail) {
		t.Fatalf("%v\n%s", err, hello)
	}
	do(t, tab,
		chromedp.Click("#sign-out"),
		chromedp.WaitVisible("#sign-in"),
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
	)
}
