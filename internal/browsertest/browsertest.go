// Package browsertest starts a headless Chromium for tests of pages.
//
// It owns how the browser is found, started and stopped. It knows no page; tests of
// httpapi, hosted and server call it.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a test may use its browser: typing a token takes long on a busy
// machine.
const patience = 3 * time.Minute

// Chromium returns the context of a headless Chromium with a window of that size in
// pixels, in the dark or light color scheme, and with further options. Without a Chromium the test is skipped,
// unless REQUIRE_BROWSER=1.
func Chromium(t *testing.T, width, height int, dark bool, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("REQUIRE_BROWSER") == "1" {
			t.Fatal("REQUIRE_BROWSER=1, but there is no Chromium on this machine")
		}
		t.Skip("NOT TESTED: pages in a browser; there is no Chromium on this machine (REQUIRE_BROWSER=1 makes that a failure)")
	}
	scheme := "preferredColorScheme=1"
	if dark {
		scheme = "preferredColorScheme=0"
	}
	options = append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, height),
		chromedp.Flag("blink-settings", scheme), chromedp.Flag("hide-scrollbars", true),
	}, options...)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], options...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	return ctx
}
