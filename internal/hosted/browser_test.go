package hosted

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// chromium returns the context of a headless Chromium.
func chromium(t *testing.T, width int, dark bool) context.Context {
	t.Helper()
	return browsertest.Chromium(t, width, 900, dark)
}

// console collects the errors and warnings of the browser, violations of the content
// security policy among them.
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

// sampleServer serves the samples under /sample/.
func sampleServer(t *testing.T, all map[string]page) string {
	t.Helper()
	p := newPages(Theme{Links: []Link{{"Privacy", "https://example.com/privacy"}, {"Help", "https://example.com/help"}}})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", p.serveAsset)
	mux.HandleFunc("GET /sample/{name}", func(w http.ResponseWriter, r *http.Request) {
		pg := all[r.PathValue("name")]
		pg.status = 0 // the console is to stay empty
		p.render(w, r, pg)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/sample/"
}

// axeReport is what axe-core says about a page.
type axeReport struct {
	Passes     []struct{ ID string }
	Violations []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML string }
	}
}

const runAxe = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r))`

// TestPagesHaveNoFindingsOfAxe runs axe-core (the file AXE) on each page, at phone and
// desktop width, light and dark. The console must stay empty.
func TestPagesHaveNoFindingsOfAxe(t *testing.T) {
	file := os.Getenv("AXE")
	if file == "" {
		t.Skip("AXE is not set; make e2e sets it")
	}
	axe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := samples(time.Now())
	delete(all, "form-post") // it leaves at once
	base := sampleServer(t, all)
	for _, dark := range []bool{false, true} {
		for _, width := range []int{390, 1280} {
			ctx := chromium(t, width, dark)
			complaints := console(ctx)
			for name := range all {
				if err := chromedp.Do(ctx, chromedp.Navigate(base+name), chromedp.Evaluate[chromedp.Void](string(axe))); err != nil {
					t.Fatal(name, err)
				}
				text, err := chromedp.Run(ctx, chromedp.Evaluate[string](runAxe, chromedp.EvalAwaitPromise))
				if err != nil {
					t.Fatal(name, err)
				}
				var report axeReport
				if err := json.Unmarshal([]byte(text), &report); err != nil {
					t.Fatal(err)
				}
				if len(report.Passes) < 10 {
					t.Fatalf("%s: axe has checked only %v", name, report.Passes)
				}
				for _, v := range report.Violations {
					t.Errorf("%s, %d pixels, dark %v: %s, %s: %s %v", name, width, dark, v.Impact, v.ID, v.Help, v.Nodes)
				}
				for _, language := range []string{"en", "es"} {
					if err := chromedp.Do(ctx, chromedp.Navigate(base+name+"?ui_locales="+language)); err != nil {
						t.Fatal(name, err)
					}
					overflows, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
					if err != nil || overflows {
						t.Errorf("%s, %s, %d pixels: wider than the window, %v", name, language, width, err)
					}
				}
			}
			for _, complaint := range complaints() {
				t.Error(complaint)
			}
		}
	}
}

// beyond are the elements that a user would have to scroll sideways, and the page itself.
const beyond = `[document.documentElement, ...document.body.querySelectorAll("*")]
	.filter(e => e.scrollWidth > e.clientWidth && (e === document.documentElement || ["auto", "scroll"].includes(getComputedStyle(e).overflowX)))
	.filter(e => !["INPUT", "TEXTAREA"].includes(e.tagName)).map(e => e.tagName + "." + e.className + " " + e.scrollWidth).join(", ")`

// A row of tabs that goes on beyond the edge of a phone looks as if it had ended there.
func TestChromiumNoPageScrollsSidewaysOnAPhone(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	all := samples(time.Now())
	delete(all, "form-post") // it leaves at once
	base := sampleServer(t, all)
	ctx := chromium(t, 360, false) // the color scheme changes no size
	for name := range all {
		for _, language := range Locales() {
			if err := chromedp.Do(ctx, chromedp.Navigate(base+name+"?ui_locales="+language)); err != nil {
				t.Fatal(name, err)
			}
			for _, width := range []int64{360, 390} {
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 800)); err != nil {
					t.Fatal(name, err)
				}
				found, err := chromedp.Run(ctx, chromedp.Evaluate[string](beyond))
				if err != nil || found != "" {
					t.Errorf("%s, %s, %d pixels: %s, %v", name, language, width, found, err)
				}
			}
		}
	}
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
	base := sampleServer(t, all)
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		for size, width := range map[string]int{"phone": 390, "desktop": 1280} {
			ctx := chromium(t, width, dark)
			for name := range all {
				if only := os.Getenv("ONLY"); only != "" && !strings.Contains(name, only) || name == "form-post" {
					continue
				}
				picture, err := shoot(ctx, base+name, width)
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

// OpenID Connect Front-Channel Logout 1.0, section 2: the browser loads the addresses of the
// clients, on other origins, and the policy of the page is in no one's way.
func TestChromiumLoadsTheFramesOfClientsWhenAUserHasSignedOut(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	var mu sync.Mutex
	got := map[string]int{}
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Host+r.URL.RequestURI()+" "+r.Header.Get("Sec-Fetch-Dest")]++
		w.Header().Set("Content-Type", "text/html")
	})
	wiki, chat := httptest.NewServer(count), httptest.NewServer(count)
	defer wiki.Close()
	defer chat.Close()
	localhost := strings.Replace(chat.URL, "127.0.0.1", "localhost", 1)
	p := newPages(Theme{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", p.serveAsset)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		p.SignedOut(w, r, nil, "", []string{wiki.URL + "/front?iss=a&sid=b", localhost + "/front"})
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	ctx := chromium(t, 390, false)
	complaints := console(ctx)
	if err := chromedp.Do(ctx, chromedp.Navigate(s.URL)); err != nil {
		t.Fatal(err)
	}
	wanted := []string{strings.TrimPrefix(wiki.URL, "http://") + "/front?iss=a&sid=b iframe", strings.TrimPrefix(localhost, "http://") + "/front iframe"}
	loaded := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return got[wanted[0]] > 0 && got[wanted[1]] > 0
	}
	for begin := time.Now(); !loaded() && time.Since(begin) < time.Minute; {
		time.Sleep(20 * time.Millisecond)
	}
	if err := chromedp.Do(ctx, chromedp.Sleep(time.Second)); err != nil { // for what must not come
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range wanted {
		if got[want] != 1 {
			t.Errorf("%s: %v", want, got)
		}
	}
	for _, complaint := range complaints() {
		t.Error(complaint)
	}
}

// A browser waits for all frames before it follows the header Refresh.
func TestChromiumLeavesAFrameThatHangsAfterASignOut(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	end, back := make(chan struct{}), make(chan struct{}, 9)
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer hanging.Close()
	defer close(end)
	p := newPages(Theme{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", p.serveAsset)
	mux.HandleFunc("GET /back", func(http.ResponseWriter, *http.Request) { back <- struct{}{} })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Refresh", "2; url=/back")
		p.SignedOut(w, r, &oauth.Client{Name: "Northwind Notes"}, "/back", []string{hanging.URL + "/front"})
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	ctx := chromium(t, 390, false)
	complaints := console(ctx)
	go func() { _ = chromedp.Do(ctx, chromedp.Navigate(s.URL)) }() // returns when all frames are loaded
	select {
	case <-back:
	case <-time.After(time.Minute):
		t.Error("the browser does not go back to the client")
	}
	for _, complaint := range complaints() {
		t.Error(complaint)
	}
}
