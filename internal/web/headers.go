package web

import (
	"net/http"
	"slices"
	"strings"
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
func writePreflight(h http.Header, methods []string) {
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match")
	h.Set("Access-Control-Max-Age", "600")
}
