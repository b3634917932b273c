package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

// setSecurityHeaders sets what is right for an answer to a program. Pages and
// the key set replace some of it.
func setSecurityHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
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
	h.Set("Access-Control-Allow-Origin", "*")
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
