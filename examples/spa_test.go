package examples

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The browser application needs a browser that runs JavaScript.
func TestSPA(t *testing.T) {
	need(t, "node", "npm", "chromium")
	prepare(t, "spa", "npm", "ci", "--no-audit", "--no-fund")
	s, port := startServer(t), freePort(t)
	base := "http://localhost:" + port
	start(t, s.client(t, port, "--kind", "spa", "--redirect-uri", base+"/", "--post-logout-redirect-uri", base+"/"), "spa", "npm", "start")
	waitFor(t, base+"/")

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	defer stop()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/")); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	press := func(value string) chromedp.Action[chromedp.Void] {
		return chromedp.Click(`button[value="` + value + `"]`)
	}
	err := chromedp.Do(limited,
		chromedp.WaitVisible("#sign-in"),
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
		chromedp.SendKeys(`input[name="email"]`, userEmail),
		chromedp.SendKeys(`input[name="password"]`, userPassword),
		press("sign-in"),
		chromedp.WaitVisible(`button[value="allow"]`),
		press("allow"),
		chromedp.WaitVisible("#sign-out"),
	)
	hello, _ := chromedp.Run(ctx, chromedp.Text("body"))
	if err != nil || !strings.Contains(hello, "Hello Ada Example "+userEmail) {
		where, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("%v, at %s:\n%s", err, where, hello)
	}
	err = chromedp.Do(limited,
		chromedp.Click("#sign-out"),
		chromedp.WaitVisible("#sign-in"),
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
	)
	if err != nil {
		where, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("%v, at %s", err, where)
	}
}
