package httpapi

import (
	"embed"
	"net/http"
	"sync"

	"github.com/pico-auth/pico-auth/internal/web"
)

// swagger is swagger-ui-dist 5.35.0 from npm: the two files that the page needs,
// compressed, and its licence; and the page and its script, our own.
//
//go:embed swagger
var swagger embed.FS

// docsPolicy lets the API page run its own scripts and call its own server only.
// Swagger UI shows its icons as data: images.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsFiles are the files under /docs/.
func docsFiles() map[string]web.Compressible {
	const script, style, text = "text/javascript; charset=utf-8", "text/css; charset=utf-8", "text/plain; charset=utf-8"
	return map[string]web.Compressible{
		"swagger-ui-bundle.js": web.CompressedAlready(script, mustRead("swagger-ui-bundle.js.gz")),
		"swagger-ui.css":       web.CompressedAlready(style, mustRead("swagger-ui.css.gz")),
		"page.css":             web.NewCompressible(style, mustRead("page.css")),
		"init.js":              web.NewCompressible(script, mustRead("init.js")),
		"LICENSE":              web.NewCompressible(text, mustRead("LICENSE")),
		"NOTICE":               web.NewCompressible(text, mustRead("NOTICE")),
	}
}

func mustRead(name string) []byte {
	data, err := swagger.ReadFile("swagger/" + name)
	if err != nil {
		panic(err) // embedded
	}
	return data
}

func (a *API) serveDocs() http.HandlerFunc {
	docs := page(string(mustRead("index.html")), struct{ Title, Base string }{a.title, a.base})
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		docs().Serve(w, r, revalidate)
	}
}

// serveDocsFile serves a file of the API page.
func (a *API) serveDocsFile() http.HandlerFunc {
	files := sync.OnceValue(docsFiles)
	return func(w http.ResponseWriter, r *http.Request) {
		file, found := files()[r.PathValue("file")]
		if !found {
			a.refuseWith(w, r, web.ErrNotFound)
			return
		}
		file.Serve(w, r, revalidate)
	}
}
