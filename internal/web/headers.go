package web

import (
	"net/http"
	"slices"
	"strings"
)

// Values of headers that are the same for every answer, in the form in which
// http.Header holds them: making them anew is five allocations an answer. They
// are full, so an Add copies them.
var (
	noStore    = []string{"no-store"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	noSniff    = []string{"nosniff"}
	everybody  = []string{"*"}
)

// setSecurityHeaders sets what is right for an answer to a program. Pages and
// the key set replace some of it.
func setSecurityHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = noContent
	h["Referrer-Policy"] = noReferrer
	h["X-Content-Type-Options"] = noSniff
}

// cors decides which other origins' scripts may read an answer: exactly those
// of the list, and never with cookies.
type cors struct {
	origins []string
}

// setHeaders adds the headers of an ordinary answer. The answer differs by
// origin, so shared caches must keep it apart by origin, listed or not.
func (c cors) setHeaders(h http.Header, r *http.Request) {
	if len(c.origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(c.origins, origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After, Www-Authenticate, X-Request-Id")
	}
}

func setPublic(h http.Header) {
	h.Del("Access-Control-Expose-Headers")
	h["Access-Control-Allow-Origin"] = everybody
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight answers for a path that has the methods. The origin was
// judged by setHeaders or setPublic before.
func answerPreflight(h http.Header, methods []string) {
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match")
	h.Set("Access-Control-Max-Age", "600")
}
