package web

import (
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxUnlisted     = 100 // origins that are remembered
	unlistedFor     = time.Hour
	maxOriginLength = 255
)

// unlisted are the origins whose scripts were refused. Each is logged once: the
// browser tells neither its user nor the operator which setting decides. When there
// are many, those of the last hour are remembered, and no more are logged in an hour
// than that. The zero value is ready for use.
type unlisted struct {
	mu    sync.Mutex
	known map[string]time.Time // when it was logged
}

// isNew reports whether the origin is to be logged now.
func (u *unlisted) isNew(origin string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.known[origin]; known {
		return false
	}
	if len(u.known) >= maxUnlisted {
		maps.DeleteFunc(u.known, func(_ string, logged time.Time) bool { return now.Sub(logged) >= unlistedFor })
	}
	if len(u.known) >= maxUnlisted {
		return false
	}
	if u.known == nil {
		u.known = map[string]time.Time{}
	}
	u.known[origin] = now
	return true
}

// noteOrigin logs the origin of the request if its scripts cannot read the response
// with the header h, for lack of an entry in a setting.
func (rt *Router) noteOrigin(h http.Header, r *http.Request, m mounted) {
	origin := r.Header.Get("Origin")
	if origin == "" || m.Public || len(h["Access-Control-Allow-Origin"]) > 0 || m.Credential == Cookie || !rt.isOtherOrigin(r, origin) || !rt.unlisted.isNew(origin, rt.now()) {
		return
	}
	text := "origin refused: server.cors_origins does not list it"
	if m.OfClients {
		text = "origin refused: neither allowed_origins of a client nor server.cors_origins lists it"
	}
	rt.log.WarnContext(r.Context(), text, "origin", origin, "method", method(r), "route", m.Pattern, "request_id", FactsOf(r.Context()).RequestID)
}

// isOtherOrigin reports whether a script of another web page sends the request. A link
// or a form of one has an origin as well; no script reads what it leads to.
func (rt *Router) isOtherOrigin(r *http.Request, origin string) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "cors" {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" || len(origin) > maxOriginLength {
		return false
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == origin &&
		u.Host != r.Host && origin != rt.issuerOrigin
}
