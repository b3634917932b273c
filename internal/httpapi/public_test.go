package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/web"
)

var update = flag.Bool("update", false, "write a new testdata/openapi.json")

// newPublic is an API for tests of the routes that read no database.
func newPublic(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	cfg := Config{Issuer: testIssuer(), Version: "1.2.3", Keys: newKeys(t)}
	for _, c := range change {
		c(&cfg)
	}
	r := &rig{API: New(cfg), t: t}
	r.mount(web.Config{})
	return r
}

func TestOpenAPIDocumentIsTheGoldenOne(t *testing.T) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, newPublic(t).call(http.MethodGet, "/openapi.json", "", "").raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	got := indented.Bytes()
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.Replace(want, []byte(`"url": "/"`), fmt.Appendf(nil, `"url": %q`, "/"+strings.TrimPrefix(*base, "/")), 1)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the API has changed; if that is intended, go test -update ./internal/httpapi\n%s", diff)
	}
}

// openAPI is the part of the document that the tests read.
type openAPI struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Description string
		Security    []map[string][]string
		Responses   map[string]struct {
			Description string
			Content     map[string]struct {
				Schema  map[string]any
				Example struct {
					Code string `json:"error"`
				}
			}
		}
		RequestBody *struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
}

func TestOpenAPIDocumentIsComplete(t *testing.T) {
	r := newPublic(t)
	var doc openAPI
	if err := json.Unmarshal(r.call(http.MethodGet, "/openapi.json", "", "").raw, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %q", doc.OpenAPI)
	}
	if s := doc.Components.SecuritySchemes["bearer"]; s.Type != "http" || s.Scheme != "bearer" {
		t.Errorf("security scheme %+v", s)
	}
	hidden := []string{"openapi", "docs", "docs_file"}
	for _, route := range r.Group().Routes {
		op, there := doc.Paths[route.Pattern][strings.ToLower(route.Method)]
		if slices.Contains(hidden, route.ID) {
			if there {
				t.Errorf("%s is a page, not an operation", route.ID)
			}
			continue
		}
		if !there || op.OperationID != route.ID || op.Summary == "" || op.Description == "" {
			t.Errorf("%s %s is not described: %+v", route.Method, route.Pattern, op)
			continue
		}
		if (route.Access == web.Anonymous) != (len(op.Security) == 0) {
			t.Errorf("%s: access %v, security %v", route.ID, route.Access, op.Security)
		}
		if op.Responses["200"].Content["application/json"].Schema == nil && op.Responses["201"].Content["application/json"].Schema == nil {
			t.Errorf("%s: the success has no schema", route.ID)
		}
		for status, response := range op.Responses {
			if status >= "400" && response.Content["application/problem+json"].Schema == nil {
				t.Errorf("%s: the %s has no problem schema", route.ID, status)
			}
			if status >= "400" && response.Content["application/problem+json"].Example.Code == "" {
				t.Errorf("%s: the %s has no example", route.ID, status)
			}
			if response.Description == "" {
				t.Errorf("%s: the %s has no description", route.ID, status)
			}
		}
		for _, status := range refusalsOf(route) {
			if _, ok := op.Responses[status]; !ok {
				t.Errorf("%s: %s is missing", route.ID, status)
			}
		}
	}
}

// refusalsOf are the statuses that follow from a route's form alone.
func refusalsOf(route web.Route) []string {
	s := []string{"500"}
	if route.Access != web.Anonymous {
		s = append(s, "401")
	}
	if route.Access == web.OrgAdmin || route.Access == web.Superadmin {
		s = append(s, "403")
	}
	if strings.Contains(route.Pattern, "{") {
		s = append(s, "404")
	}
	if slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, route.Method) && route.ID != "logout_all" { // it has no body
		s = append(s, "400", "413", "415", "422")
	}
	return s
}

func TestKeySetMayBeCached(t *testing.T) {
	r := newPublic(t)
	r.mount(web.Config{CORSOrigins: []string{"https://app.example.com"}})
	for _, path := range []string{"/api/v1/auth/jwks", "/.well-known/jwks.json", "/.well-known/jwks-pqc.json"} {
		first := r.want(http.StatusOK, r.call(http.MethodGet, path, "", ""))
		etag := first.header.Get("Etag")
		if !strings.HasPrefix(etag, `"`) || first.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: %v", path, first.header)
		}
		if first.header.Get("Access-Control-Allow-Origin") != "*" || first.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, first.header)
		}
		for _, value := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			req := httptest.NewRequest(http.MethodGet, path, nil)
			req.Header.Set("If-None-Match", value)
			again := r.want(http.StatusNotModified, r.do(req))
			if len(again.raw) != 0 || again.header.Get("Etag") != etag || again.header.Get("Cache-Control") == "no-store" {
				t.Errorf("%s: If-None-Match %s: %v", path, value, again.header)
			}
		}
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("If-None-Match", `"other"`)
		r.want(http.StatusOK, r.do(req))
		req = httptest.NewRequest(http.MethodOptions, path, nil)
		req.Header.Set("Origin", "https://any.example.org")
		req.Header.Set("Access-Control-Request-Method", "GET")
		preflight := r.want(http.StatusNoContent, r.do(req))
		if preflight.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: preflight %v", path, preflight.header)
		}
	}
}

func TestPagesAreSelfContained(t *testing.T) {
	r := newPublic(t, func(c *Config) { c.Title = "<b>Ours</b>" })
	for _, path := range []string{"/docs", "/openapi.json", "/docs/init.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/LICENSE"} {
		a := r.want(http.StatusOK, r.call(http.MethodGet, path, "", ""))
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v", path, a.header)
		}
		if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			page := string(a.raw)
			if strings.Contains(page, "https://") || strings.Contains(page, "<b>Ours") || !strings.Contains(page, "&lt;b&gt;Ours") {
				t.Errorf("%s: %s", path, page)
			}
			if strings.Contains(a.header.Get("Content-Security-Policy"), "unsafe") {
				t.Errorf("%s: %s", path, a.header.Get("Content-Security-Policy"))
			}
		}
	}
	for _, path := range []string{"/docs/", "/docs/nothing", "/docs/..%2ferrors.go", "/docs/index.html", "/docs/swagger-ui.css.gz"} {
		r.want(http.StatusNotFound, r.call(http.MethodGet, path, "", ""))
	}
}

// Clients that request the files in a loop, in any form, must not use up CPU and
// memory: nothing is unpacked or hashed again.
func TestAPIPageFilesCostNothingToServeAgain(t *testing.T) {
	r := newPublic(t)
	for file := range docsFiles() {
		for _, encoding := range []string{"gzip", "identity"} {
			for _, method := range []string{http.MethodHead, http.MethodGet} {
				req := httptest.NewRequest(method, "/docs/"+file, nil)
				req.Header.Set("Accept-Encoding", encoding)
				req.Header.Set("If-None-Match", r.want(http.StatusOK, r.do(req)).header.Get("Etag"))
				const times = 20
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range times {
					r.serve(httptest.NewRecorder(), req)
				}
				runtime.ReadMemStats(&after)
				if used := (after.TotalAlloc - before.TotalAlloc) / times; used > 20_000 {
					t.Errorf("%s %s as %s: %d bytes for each 304", method, file, encoding, used)
				}
			}
		}
	}
}

func TestAPIPageFilesAreSentCompressedToClientsThatAcceptIt(t *testing.T) {
	r := newPublic(t)
	get := func(encoding string) response {
		req := httptest.NewRequest(http.MethodGet, "/docs/swagger-ui.css", nil)
		req.Header.Set("Accept-Encoding", encoding)
		return r.want(http.StatusOK, r.do(req))
	}
	for _, encoding := range []string{"gzip", "br, gzip;q=0.5", "*"} {
		if a := get(encoding); a.header.Get("Content-Encoding") != "gzip" || a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", encoding, a.header)
		}
	}
	for _, encoding := range []string{"", "identity", "gzip;q=0", "br", "gzip;q=x"} {
		if a := get(encoding); a.header.Get("Content-Encoding") != "" || !strings.HasPrefix(string(a.raw), ".swagger-ui") {
			t.Errorf("%q: %v", encoding, a.header)
		}
	}
	if get("gzip").header.Get("Etag") == get("").header.Get("Etag") {
		t.Error("two representations have the same entity tag")
	}
}
