package web

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// BasePath is the path of the issuer, without a slash at its end: everything is
// served below it. For most issuers it is empty.
func BasePath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "" // New refuses it
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// isClean reports whether the path has the one spelling that is served.
func isClean(u *url.URL) bool {
	escaped := u.EscapedPath()
	if escaped == "" || escaped[0] != '/' {
		return false
	}
	clean := path.Clean(escaped)
	return escaped == clean || (clean != "/" && escaped == clean+"/")
}

// literal reports whether a path that matched the pattern spells its fixed segments
// without escapes. A proxy that compares paths as they are written would not find its
// own rule for /%64ocs.
func literal(pattern string, u *url.URL) bool {
	if !strings.Contains(u.RawPath, "%") {
		return true
	}
	segments := strings.Split(u.RawPath, "/")
	for i, want := range strings.Split(strings.TrimSuffix(pattern, "{$}"), "/") {
		if !strings.HasPrefix(want, "{") && (i >= len(segments) || segments[i] != want) {
			return false
		}
	}
	return true
}

// strip removes the issuer's path from the request's, unless a proxy has done so.
// The rest must begin like a route: with the issuer https://host/api the path
// /api/v1/... is not /v1/....
func (rt *Router) strip(r *http.Request) {
	if rt.base == "" {
		return
	}
	rest, found := strings.CutPrefix(r.URL.EscapedPath(), rt.base)
	if rest == "" {
		rest = "/"
	}
	if !found || rest[0] != '/' || !rt.firsts[firstSegment(rest)] {
		return
	}
	unescaped, err := url.PathUnescape(rest)
	if err != nil {
		return
	}
	u := *r.URL
	u.Path, u.RawPath = unescaped, rest
	r.URL = &u
}

// firstSegment is the part of a path between its first and second slash.
func firstSegment(p string) string {
	first, _, _ := strings.Cut(p[1:], "/")
	return first
}
