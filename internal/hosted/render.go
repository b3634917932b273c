package hosted

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

//go:embed templates
var templateFiles embed.FS

// page is one page, ready to be rendered.
type page struct {
	name    string // of its template and of its texts
	view    any    // its data, one of the types of views.go
	status  int    // 0: 200
	locales string // ui_locales of the authorization request
	wide    bool   // more than a card in the middle
	policy  policy
}

// policy is what the content security policy of a page allows beyond its own server.
type policy struct {
	formTo  string   // origins or schemes that its form, or the redirects after it, lead to; empty: none
	frames  []string // origins of its frames
	onlyFor bool     // formTo instead of this server
}

// String is the value of the header. form-action applies to the redirect after a
// form as well.
func (p policy) String() string {
	var b strings.Builder
	b.WriteString("default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action")
	if !p.onlyFor {
		b.WriteString(" 'self'")
	}
	if p.formTo != "" {
		b.WriteString(" " + p.formTo)
	}
	if len(p.frames) > 0 {
		b.WriteString("; frame-src " + strings.Join(p.frames, " "))
	}
	return b.String()
}

// frame is what the layout knows, around the view of a page.
type frame struct {
	*locale
	View any

	Name        string // of the page
	Title, Icon string
	Service     string // its name
	Logo        string // URL; empty: our mark
	Links       []Link
	Wide        bool
	Base        string
	RequestID   string

	urls map[string]string
	now  time.Time
}

// Asset returns the URL of a file.
func (f frame) Asset(name string) string { return f.urls[name] }

// T returns a text of the catalogue.
func (f frame) T(key string, values ...any) string { return f.text(key, values...) }

// Ago says how long ago a time was.
func (f frame) Ago(at time.Time) string { return f.ago(f.now, at) }

// parseTemplates returns the template of each page, within the layout.
func parseTemplates() map[string]*template.Template {
	layout := template.Must(template.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if name != "layout" && name != "parts" {
			all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+e.Name()))
		}
	}
	return all
}

// render writes a page.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, pg page) {
	language := p.language(r, pg.locales)
	files := p.assets()
	f := frame{
		locale: language, View: pg.view, Name: pg.name, Service: p.theme.Name, Logo: files.urls["logo"], Icon: files.icon(),
		Links: p.theme.Links, Wide: pg.wide, Base: p.base, RequestID: web.FactsOf(r.Context()).RequestID, urls: files.urls, now: p.now(),
	}
	if titled, ok := pg.view.(interface{ title(*locale) string }); ok {
		f.Title = titled.title(language)
	} else {
		f.Title = language.text(pg.name + ".title")
	}
	var out bytes.Buffer
	if err := p.templates()[pg.name].ExecuteTemplate(&out, "layout", f); err != nil {
		panic(err) // our own templates, into memory; the router writes it to the log
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", language.Tag)
	h.Set("Content-Security-Policy", pg.policy.String())
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Language")
	if pg.status != 0 {
		w.WriteHeader(pg.status)
	}
	_, _ = w.Write(out.Bytes()) // the client may have disconnected; for HEAD nothing is sent
}

// language chooses by the authorization request, by the parameters, then by the browser.
func (p *Pages) language(r *http.Request, locales string) *locale {
	locales = cmp.Or(locales, r.URL.Query().Get("ui_locales"), r.Form.Get("ui_locales"))
	return p.texts().choose(locales, r.Header.Get("Accept-Language"))
}
