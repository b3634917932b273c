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

// isClean reports whether the path has the one spelling that is served. Before it a
// request of HTTP/1.1 may have the origin (RFC 9112, section 3.2.2), and nothing else.
func isClean(r *http.Request) bool {
	u := r.URL
	if u.Scheme != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || r.ProtoMajor > 1) {
		return false
	}
	escaped := u.EscapedPath()
	if escaped == "" || escaped[0] != '/' || !isPlain(u) {
		return false
	}
	clean := path.Clean(escaped)
	return escaped == clean || (clean != "/" && escaped == clean+"/")
}

// isPlain reports whether no character of the path is escaped that may stand for
// itself (RFC 3986, section 2.3). A proxy that compares paths as they are written
// would not find its own rule for /%64ocs.
func isPlain(u *url.URL) bool {
	for rest := u.RawPath; ; {
		_, escape, found := strings.Cut(rest, "%")
		if !found {
			return true
		}
		if c, err := url.PathUnescape("%" + escape[:2]); err != nil || isUnreserved(c[0]) {
			return false
		}
		rest = escape[2:]
	}
}

func isUnreserved(c byte) bool {
	letter := c|0x20 >= 'a' && c|0x20 <= 'z'
	return letter || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// literal reports whether a path that matched the pattern spells its fixed segments
// without escapes: ServeMux takes /%2f for /.
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
