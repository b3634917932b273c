package hosted

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

// ownSources are the Go files and templates of this package, without its tests.
func ownSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources[name] = string(content)
		}
	}
	return sources
}

func rendered(t *testing.T, p *Pages, pg page, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	p.render(w, r, pg)
	return w
}

var (
	inline   = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?: [^>]*)?>[^<]|javascript:`)
	inputs   = regexp.MustCompile(`<input[^>]*>`)
	named    = regexp.MustCompile(`\sname="[^"]+"`)
	labelled = regexp.MustCompile(`\sid="([^"]+)"`)
	forms    = regexp.MustCompile(`<form[^>]*>`)
	loaded   = regexp.MustCompile(`(?:src|<link[^>]*href)="([^"]*)"`)
)

func TestPagesArePlainForms(t *testing.T) {
	p := newPages(Theme{})
	for name, pg := range samples(time.Now()) {
		for _, language := range []string{"en", "es"} {
			pg.locales = language
			w := rendered(t, p, pg, nil)
			body := w.Body.String()
			if found := inline.FindString(body); found != "" {
				t.Errorf("%s has %q inline", name, found)
			}
			if !strings.Contains(body, `<html lang="`+language+`">`) || strings.Count(body, "<h1") != 1 || strings.Count(body, "<main") != 1 {
				t.Errorf("%s: language, heading or landmark is missing", name)
			}
			for _, form := range forms.FindAllString(body, -1) {
				if !strings.Contains(form, `method="post"`) || !strings.Contains(form, ` action="`) {
					t.Errorf("%s: %s", name, form)
				}
			}
			for _, input := range inputs.FindAllString(body, -1) {
				if !named.MatchString(input) {
					t.Errorf("%s: no name in %s", name, input)
				}
				id := labelled.FindStringSubmatch(input)
				hidden := strings.Contains(input, `type="hidden"`) || strings.Contains(input, "aria-hidden")
				if !hidden && (id == nil || !strings.Contains(body, `for="`+id[1]+`"`)) {
					t.Errorf("%s: no label for %s", name, input)
				}
			}
			for _, m := range loaded.FindAllStringSubmatch(body, -1) {
				if !strings.HasPrefix(m[1], "/assets/") {
					t.Errorf("%s loads %s", name, m[1])
				}
			}
		}
	}
}

func TestPasswordsAreNamedForPasswordManagers(t *testing.T) {
	p := newPages(Theme{})
	all := samples(time.Now())
	for name, want := range map[string][]string{
		"sign-in":  {`name="email" type="email" value="" autocomplete="username"`, `type="password" value="" autocomplete="current-password"`},
		"register": {`autocomplete="username"`, `autocomplete="new-password"`},
		"account":  {`autocomplete="username"`, `autocomplete="current-password"`, `autocomplete="new-password"`},
	} {
		body := rendered(t, p, all[name], nil).Body.String()
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s lacks %s", name, text)
			}
		}
	}
}

func TestHeadersOfPages(t *testing.T) {
	p := newPages(Theme{})
	const own = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action"
	for name, want := range map[string]string{
		"sign-in":   own + " 'self'",
		"consent":   own + " 'self' https://notes.example.com",
		"form-post": own + " https:",
	} {
		h := rendered(t, p, samples(time.Now())[name], nil).Header()
		if h.Get("Content-Security-Policy") != want {
			t.Errorf("%s: %s", name, h.Get("Content-Security-Policy"))
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "same-origin" || h.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", name, h)
		}
	}
	framed := policy{frames: []string{"https://a.example", "https://b.example"}}
	if got := framed.String(); !strings.HasSuffix(got, "; frame-src https://a.example https://b.example") {
		t.Error(got)
	}
}

func TestTextOfUsersIsEscaped(t *testing.T) {
	p := newPages(Theme{Name: `<b>"'`})
	evil := `"><script>alert(1)</script>`
	pg := page{name: "sign_in", view: signInView{
		form:   form{Action: "/sign-in", Alert: evil, Hidden: []hidden{{"request", evil}}, Fields: []field{{Name: "email", Type: "email", Label: evil, Value: evil}}},
		Client: &clientView{Name: evil, Logo: ""},
	}}
	body := rendered(t, p, pg, nil).Body.String()
	if strings.Contains(body, "<script>") || strings.Contains(body, "<b>") {
		t.Error(body)
	}
}

func TestBrowsersGetPagesAndProgramsGetProblems(t *testing.T) {
	p := newPages(Theme{})
	for accept, want := range map[string]int{"": http.StatusTeapot, "application/json": http.StatusTeapot, "*/*": http.StatusTeapot, "text/html,*/*;q=0.8": http.StatusNotFound} {
		r := httptest.NewRequest(http.MethodGet, "/nothing", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		p.refuse(w, r, web.ErrNotFound)
		if w.Code != want || want == http.StatusNotFound && !strings.Contains(w.Body.String(), "Page not found") {
			t.Errorf("Accept %q: %d", accept, w.Code)
		}
	}
}

func TestFilesAreKeptUntilTheirContentChanges(t *testing.T) {
	first, second := newAssets("/auth", Theme{}), newAssets("/auth", Theme{StyleSheet: []byte("h1{color:red}")})
	if first.urls["pages.css"] == second.urls["pages.css"] || !strings.HasPrefix(first.urls["pages.css"], "/auth/assets/pages.css?v=") {
		t.Errorf("%s and %s", first.urls["pages.css"], second.urls["pages.css"])
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/assets/pages.css", nil)
	r.SetPathValue("file", "pages.css")
	r.Header.Set("Accept-Encoding", "gzip")
	newPages(Theme{}).serveAsset(w, r)
	if h := w.Header(); h.Get("Content-Encoding") != "gzip" || !strings.Contains(h.Get("Cache-Control"), "immutable") || w.Body.Len() > 20_000 {
		t.Errorf("%d bytes, %v", w.Body.Len(), h)
	}
}

func TestThemeIsOnEveryPage(t *testing.T) {
	p := newPages(Theme{Name: "Northwind", Logo: Image{"image/png", []byte("png")}, Links: []Link{{"Privacy", "https://example.com/privacy"}}})
	for name, pg := range samples(time.Now()) {
		body := rendered(t, p, pg, nil).Body.String()
		for _, want := range []string{" · Northwind</title>", `src="/assets/logo?v=`, `<a href="https://example.com/privacy">Privacy</a>`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
	}
}
