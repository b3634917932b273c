package oauth

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// maxURI limits the URIs of a client, in bytes.
const maxURI = 2000

// uriCharacters are those of RFC 3986 besides letters and digits, without the fragment's
// and without *, which is taken for a wildcard.
const uriCharacters = "-._~:/?[]@!$&'()+,;=%"

// ValidateRedirectURI checks a redirect URI, or one to return to after a logout, that a
// client of the kind registers. It is compared as text later, so only what every
// browser reads in one way is registered.
func ValidateRedirectURI(kind Kind, uri string) error {
	u, err := parseURI(uri)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "https":
		return checkHost(u)
	case "http":
		if !isLoopback(u) {
			return errors.New("must use https; http is for localhost, 127.0.0.1 and [::1]")
		}
		return checkHost(u)
	default:
		return checkPrivateUse(kind, u)
	}
}

// parseURI accepts an absolute URI of harmless characters without fragment, user
// information and dot segments.
func parseURI(uri string) (*url.URL, error) {
	if len(uri) > maxURI {
		return nil, errors.New("must be at most 2000 bytes long")
	}
	if strings.ContainsFunc(uri, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(uriCharacters, r)
	}) {
		return nil, errors.New("must be an absolute URI of ASCII characters without a fragment, white space and *")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "" || !wellEscaped(uri):
		return nil, errors.New("must be an absolute URI")
	case !strings.HasPrefix(uri, u.Scheme+":"):
		return nil, errors.New("must have a scheme in lower case")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return nil, errors.New("must not contain a user")
	case hasDotSegment(u.EscapedPath()):
		return nil, errors.New("must not have a path segment of one or two dots")
	}
	return u, nil
}

// wellEscaped reports whether each % begins an encoded byte, in the query too.
func wellEscaped(uri string) bool {
	_, err := url.PathUnescape(uri)
	return err == nil
}

// hasDotSegment finds encoded dots too: browsers resolve those as well.
func hasDotSegment(escapedPath string) bool {
	path := strings.ReplaceAll(strings.ToLower(escapedPath), "%2e", ".")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// checkHost checks the host and port of an http or https URI.
func checkHost(u *url.URL) error {
	host := u.Hostname() // decoded, so it may have characters that the URI has not
	ascii := !strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII })
	if host == "" || !ascii || strings.ContainsAny(host, "%[]'()!$&,;=~_+") {
		return errors.New("must name a host")
	}
	if strings.Contains(host, ":") != strings.HasPrefix(u.Host, "[") {
		return errors.New("must name a host")
	}
	_, port, found := strings.Cut(strings.TrimPrefix(u.Host, "["+host+"]"), ":")
	if !found {
		return nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return errors.New("must have a port from 1 to 65535, or none")
	}
	return nil
}

// checkPrivateUse checks a URI of a private-use scheme, RFC 8252 section 7.1: a reversed
// domain name, so that javascript, data, file and blob never are one.
func checkPrivateUse(kind Kind, u *url.URL) error {
	switch {
	case kind != KindNative:
		return errors.New("must use https, or http on localhost; other schemes are for clients of the kind native")
	case !strings.Contains(u.Scheme, ".") || strings.HasSuffix(u.Scheme, "."):
		return errors.New("must use https, http on a loopback address, or a private-use scheme with a dot such as com.example.app")
	case u.Opaque != "" || u.Path == "" && u.Host == "":
		return errors.New("must have a path, such as com.example.app:/callback")
	default:
		return nil
	}
}

// RedirectURI returns whether the client registered the redirect URI. It is compared as
// text (RFC 9700 section 4.1.3), except that a native client receives the response on
// any port of a loopback address (RFC 8252 section 7.3).
func (c Client) RedirectURI(given string) bool {
	for _, uri := range c.RedirectURIs {
		if uri == given {
			return true
		}
		if c.Kind != KindNative {
			continue
		}
		host, rest, ok := cutLoopback(uri)
		givenHost, givenRest, givenOK := cutLoopback(given)
		if ok && givenOK && host == givenHost && rest == givenRest {
			return true
		}
	}
	return false
}

// cutLoopback splits a URI with a loopback address around its port. localhost is none
// (RFC 8252 section 8.3).
func cutLoopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if after, withPort := strings.CutPrefix(rest, ":"); withPort {
			end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(after)
			}
			if n, err := strconv.Atoi(after[:end]); err != nil || n < 1 || n > 65535 {
				return "", "", false
			}
			rest = after[end:]
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// Loopback reports whether the redirect URI leads to the user's own device by http on a
// loopback address or a private-use scheme: any program there may receive the response,
// so a user confirms each time (RFC 8252 section 8.6). With https a certificate proves
// the host, localhost too.
func Loopback(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	return err != nil || u.Scheme != "https"
}
