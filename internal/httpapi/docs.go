package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// swagger is swagger-ui-dist 5.35.0 as npm has it: the two files that the page
// needs, compressed, and its licence; and the page and its start, our own.
//
//go:embed swagger
var swagger embed.FS

// docsPolicy lets the API page run its own scripts and call its own server,
// and nothing else. Swagger UI shows its icons as data: images.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsFile returns where a file under /docs/ is and what it is, empty when
// there is none of that name.
func docsFile(name string) (path, media string) {
	switch name {
	case "swagger-ui-bundle.js":
		return "swagger/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"
	case "swagger-ui.css":
		return "swagger/swagger-ui.css.gz", "text/css; charset=utf-8"
	case "init.js":
		return "swagger/init.js", "text/javascript; charset=utf-8"
	case "LICENSE", "NOTICE":
		return "swagger/" + name, "text/plain; charset=utf-8"
	default:
		return "", ""
	}
}

func (a *API) serveDocs() http.HandlerFunc {
	page, err := swagger.ReadFile("swagger/index.html")
	if err != nil {
		panic(err) // embedded
	}
	d := newDocument("text/html; charset=utf-8", fill(string(page), map[string]string{"Title": a.title}))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		d.serve(w, r, revalidate)
	}
}

// serveDocsFile serves a file of the API page, the large ones as they are
// stored: compressed, unless the client cannot take that.
func serveDocsFile(w http.ResponseWriter, r *http.Request) {
	path, media := docsFile(r.PathValue("file"))
	data, err := swagger.ReadFile(path)
	if err != nil {
		writeProblem(w, newProblem(http.StatusNotFound, "not_found", "there is nothing at this address"))
		return
	}
	h := w.Header()
	d := newDocument(media, data)
	if !strings.HasSuffix(path, ".gz") {
		d.serve(w, r, revalidate)
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
		d.serve(w, r, revalidate)
		return
	}
	plain, err := decompress(data)
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	newDocument(media, plain).serve(w, r, revalidate)
}

// acceptsGzip reads Accept-Encoding as far as browsers and tools use it.
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

func decompress(data []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
