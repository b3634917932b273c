package web

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Values of headers that are the same for every response, as values of http.Header:
// creating them takes five allocations per response. Their capacity is their
// length, so an Add copies them.
var (
	noStore    = []string{"no-store"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	noSniff    = []string{"nosniff"}
	allOrigins = []string{"*"}
)

// setSecurityHeaders sets the headers for a response to a program. Pages and the
// key set replace some of them.
func setSecurityHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = noContent
	h["Referrer-Policy"] = noReferrer
	h["X-Content-Type-Options"] = noSniff
}

// cors decides which other origins' scripts may read a response: exactly those of
// the list, without cookies.
type cors struct {
	origins []string
}

// setHeaders adds the headers of an ordinary response. The response differs by
// origin, so shared caches must distinguish origins, listed or not.
func (c cors) setHeaders(h http.Header, r *http.Request) {
	if len(c.origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(c.origins, origin) {
		AllowOrigin(h, origin)
	}
}

// AllowOrigin lets scripts of the origin read the response, without cookies.
func AllowOrigin(h http.Header, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "RateLimit, RateLimit-Policy, Retry-After, Www-Authenticate, X-Request-Id")
}

func setPublic(h http.Header) {
	h.Del("Access-Control-Expose-Headers")
	h["Access-Control-Allow-Origin"] = allOrigins
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// writePreflight responds to a preflight for a path with the methods. The caller
// has checked the origin with setHeaders or setPublic.
func writePreflight(h http.Header, r *http.Request, methods []string) {
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header["Access-Control-Request-Headers"]))
	h.Set("Access-Control-Max-Age", "600")
}

const (
	// usualHeaders are those that the API reads.
	usualHeaders = "Authorization, Content-Type, If-None-Match"

	// Bounds of what a preflight may ask for beyond them.
	maxAskedBytes   = 1024
	maxAskedHeaders = 32
)

// allowedHeaders adds the headers that a preflight asks for. Libraries for tracing and
// error reports add some to every request (traceparent, baggage, sentry-trace), and a
// script of an allowed origin may as well send one that nothing reads.
func allowedHeaders(asked []string) string {
	list := strings.Join(asked, ",")
	names := strings.Split(list, ",")
	if list == "" || len(list) > maxAskedBytes || len(names) > maxAskedHeaders {
		return usualHeaders
	}
	allowed := []string{usualHeaders}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if !httpguts.ValidHeaderFieldName(name) {
			return usualHeaders
		}
		if !containsFold(usualHeaders, name) {
			allowed = append(allowed, name)
		}
	}
	return strings.Join(allowed, ", ")
}

func containsFold(list, name string) bool {
	return slices.ContainsFunc(strings.Split(list, ", "), func(s string) bool { return strings.EqualFold(s, name) })
}
