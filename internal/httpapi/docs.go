package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"strconv"
	"strings"
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

// docsFile is a file under /docs/. Each form of it is made at the first request and
// kept: unpacking or hashing it for each request would let any client use all
// cores.
type docsFile struct {
	stored func() web.Document
	plain  func() web.Document // of a file that is stored compressed; nil otherwise
}

func docsFiles() map[string]docsFile {
	const script, style, text = "text/javascript; charset=utf-8", "text/css; charset=utf-8", "text/plain; charset=utf-8"
	return map[string]docsFile{
		"swagger-ui-bundle.js": compressedFile("swagger-ui-bundle.js.gz", script),
		"swagger-ui.css":       compressedFile("swagger-ui.css.gz", style),
		"init.js":              {stored: embedded("init.js", script)},
		"LICENSE":              {stored: embedded("LICENSE", text)},
		"NOTICE":               {stored: embedded("NOTICE", text)},
	}
}

func embedded(name, media string) func() web.Document {
	return sync.OnceValue(func() web.Document { return web.NewDocument(media, mustRead(name)) })
}

func compressedFile(name, media string) docsFile {
	return docsFile{
		stored: embedded(name, media),
		plain:  sync.OnceValue(func() web.Document { return web.NewDocument(media, decompress(mustRead(name))) }),
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

// serveDocsFile serves a file of the API page, the large ones as they are
// stored: compressed, unless the client does not accept that.
func (a *API) serveDocsFile() http.HandlerFunc {
	files := docsFiles()
	return func(w http.ResponseWriter, r *http.Request) {
		file, found := files[r.PathValue("file")]
		if !found {
			a.refuseWith(w, r, web.ErrNotFound)
			return
		}
		form := file.stored
		if file.plain != nil {
			w.Header().Add("Vary", "Accept-Encoding")
			if acceptsGzip(r.Header) {
				w.Header().Set("Content-Encoding", "gzip")
			} else {
				form = file.plain
			}
		}
		form().Serve(w, r, revalidate)
	}
}

// acceptsGzip parses Accept-Encoding as far as browsers and tools use it.
func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		if name != "gzip" && name != "*" {
			continue
		}
		_, q, weighted := strings.Cut(strings.TrimSpace(weight), "q=")
		value, err := strconv.ParseFloat(q, 64)
		return !weighted || (err == nil && value > 0)
	}
	return false
}

func decompress(data []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		panic(err) // embedded
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}
