package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// The cookies of browsers.
const (
	SessionCookie = "session" // of a session
	RequestCookie = "request" // of an authorization request
)

// Cookies sets and reads the cookies of the browsers that use an issuer. Scripts
// cannot read them, and a browser does not add them to a request from another site,
// unless that is a link.
type Cookies struct {
	prefix, suffix string
	path           string
	secure         bool
}

// NewCookies returns the cookies of an issuer. ok is false when there can be none:
// with plain http anywhere but on loopback, the network would read them.
//
// No other host of the domain can set a cookie with the prefix __Host-
// (draft-ietf-httpbis-rfc6265bis, section 4.1.3). Cookies ignore ports, so that on
// loopback the name has it.
func NewCookies(issuer string) (c Cookies, ok bool) {
	u, err := url.Parse(issuer)
	if err != nil {
		return Cookies{}, false
	}
	base := BasePath(issuer)
	switch {
	case u.Scheme == "https" && base == "":
		return Cookies{prefix: "__Host-pico_", path: "/", secure: true}, true
	case u.Scheme == "https":
		return Cookies{prefix: "__Secure-pico_", path: base, secure: true}, true
	case u.Scheme == "http" && onLoopback(u.Hostname()):
		port := u.Port()
		if port == "" {
			port = "80"
		}
		if base == "" {
			base = "/"
		}
		return Cookies{prefix: "pico_", suffix: "_" + port, path: base}, true
	}
	return Cookies{}, false
}

func onLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Set gives the browser the cookie of that kind for so long; 0: until it is closed.
func (c Cookies) Set(w http.ResponseWriter, kind, value string, lifetime time.Duration) {
	http.SetCookie(w, c.cookie(kind, value, int(lifetime/time.Second)))
}

// Clear takes the cookie of that kind from the browser.
func (c Cookies) Clear(w http.ResponseWriter, kind string) { http.SetCookie(w, c.cookie(kind, "", -1)) }

func (c Cookies) cookie(kind, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure follows the issuer: one on loopback has no TLS
		Name: c.name(kind), Value: value, Path: c.path, MaxAge: maxAge,
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func (c Cookies) name(kind string) string { return c.prefix + kind + c.suffix }

// Get returns the cookie of that kind; empty: the browser has none. It is empty as
// well when the browser has several with different values: another application of the
// host, or another host of the domain, has set one of them.
func (c Cookies) Get(r *http.Request, kind string) (value string) {
	for _, cookie := range r.CookiesNamed(c.name(kind)) {
		if value != "" && cookie.Value != value {
			return ""
		}
		value = cookie.Value
	}
	return value
}
