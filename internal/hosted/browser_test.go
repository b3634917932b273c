package hosted

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser returns the context of a headless Chromium. Without one the test is
// skipped, unless REQUIRE_BROWSER=1.
func browser(t *testing.T, width int, dark bool) context.Context {
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
		t.Skip("NOT TESTED: the pages in a browser; there is no Chromium on this machine (REQUIRE_BROWSER=1 makes that a failure)")
	}
	scheme := "preferredColorScheme=1"
	if dark {
		scheme = "preferredColorScheme=0"
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, 900),
		chromedp.Flag("blink-settings", scheme), chromedp.Flag("hide-scrollbars", true))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestScreenshotsOfEveryPage writes a picture of each page at phone and desktop
// width, light and dark, into the folder SCREENSHOTS.
func TestScreenshotsOfEveryPage(t *testing.T) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		t.Skip("SCREENSHOTS is not set; make e2e sets it")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	all := samples(time.Now())
	p := newPages(Theme{Links: []Link{{"Privacy", "https://example.com/privacy"}, {"Help", "https://example.com/help"}}})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", p.serveAsset)
	mux.HandleFunc("GET /sample/{name}", func(w http.ResponseWriter, r *http.Request) { p.render(w, r, all[r.PathValue("name")]) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		for size, width := range map[string]int{"phone": 390, "desktop": 1280} {
			ctx := browser(t, width, dark)
			for name := range all {
				if only := os.Getenv("ONLY"); only != "" && !strings.Contains(name, only) || name == "form-post" {
					continue
				}
				picture, err := shoot(ctx, s.URL+"/sample/"+name, width)
				if err != nil {
					t.Fatal(name, err)
				}
				if err := os.WriteFile(filepath.Join(folder, name+"-"+size+"-"+scheme+".png"), picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func shoot(ctx context.Context, address string, width int) ([]byte, error) {
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), 900), chromedp.Navigate(address)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.FullScreenshot(100))
}
