package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
)

// algorithms are those that tokens can be signed and verified with.
func algorithms() []string {
	var all []string
	for _, a := range jose.Algorithms() {
		all = append(all, string(a))
	}
	return all
}

func anything(string) bool { return true }

func notEmpty(s string) bool { return s != "" }

func orEmpty(ok func(string) bool) func(string) bool {
	return func(s string) bool { return s == "" || ok(s) }
}

// line accepts text of 1 to 255 characters that is more than white space.
func line(s string) bool {
	return utf8.RuneCountInString(s) <= 255 && !strings.ContainsFunc(s, unicode.IsControl) && strings.TrimSpace(s) != ""
}

func bytesBetween(least, most int) func(string) bool {
	return func(s string) bool { return len(s) >= least && len(s) <= most }
}

func emailAddress(s string) bool {
	_, err := identity.ParseEmail(s)
	return err == nil
}

// issuerURL follows RFC 8414 section 2, with http allowed as the original did.
func issuerURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > 2048 || strings.ContainsFunc(s, notInURL) {
		return false
	}
	return webScheme(u) && goodAuthority(u) && !strings.ContainsAny(s, "?#")
}

// origin accepts RFC 6454 section 6.2 as browsers write it. Any other
// form would never match, without a visible reason.
func origin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !webScheme(u) || !goodAuthority(u) || strings.ContainsFunc(s, notInURL) {
		return false
	}
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return u.Scheme+"://"+u.Host == s && strings.ToLower(s) == s && u.Port() != standard
}

// hexColor accepts #rrggbb.
func hexColor(s string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	return err == nil && len(s) == 7 && s[0] == '#'
}

// NamedLink returns the parts of an entry of pages.links.
func NamedLink(s string) (text, address string) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return "", s
	}
	return strings.TrimSpace(s[:i]), s[i+1:]
}

func namedLink(s string) bool {
	text, address := NamedLink(s)
	u, err := url.Parse(address)
	return err == nil && line(text) && webScheme(u) && goodAuthority(u) && !strings.ContainsFunc(address, notInURL)
}

func webScheme(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// goodAuthority requires a host and, after a colon, a valid port.
func goodAuthority(u *url.URL) bool {
	if u.User != nil || u.Hostname() == "" || strings.Contains(u.Host, "*") {
		return false
	}
	return !strings.HasSuffix(u.Host, ":") && (u.Port() == "" || portNumber(u.Port()))
}

func notInURL(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) }

func portNumber(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == s
}

func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && portNumber(port) && (host == "" || hostName(host))
}

// socketPath accepts fewer bytes than the 104 that a kernel takes: a socket is made
// under a longer name.
func socketPath(s string) bool {
	path, found := strings.CutPrefix(s, SocketPrefix)
	return found && strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/") && len(path) <= 80 && !strings.ContainsFunc(path, unicode.IsControl)
}

func either(a, b func(string) bool) func(string) bool {
	return func(s string) bool { return a(s) || b(s) }
}

func octalMode(s string) bool {
	_, err := strconv.ParseUint(s, 8, 9)
	return err == nil && (len(s) == 3 || len(s) == 4)
}

// hostName accepts what a listener can be bound to. Empty is refused: Go takes
// it for every interface, which an empty value must not select.
func hostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(s) > 253 || digits(labels[len(labels)-1]) {
		return false // a name that ends in a number is an address with a slip
	}
	return !slices.ContainsFunc(labels, func(label string) bool { return !hostLabel(label) })
}

func hostLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
		})
}

func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func hostOrNetwork(s string) bool { return addressOrPrefix(s) || hostName(s) }

func addressOrPrefix(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// masterKey accepts the key itself or the path of its file, which is read later.
func masterKey(s string) bool {
	path, inFile := strings.CutPrefix(s, filePrefix)
	if inFile {
		return path != ""
	}
	_, err := seal.Parse(s)
	return err == nil
}

// hideSet hides a secret and shows whether one is set.
func hideSet(s string) string {
	if s == "" {
		return ""
	}
	return redacted
}

// redactURL keeps what tells one database from another. A password may hold
// any character that was not escaped, so everything up to the last @
// belongs to it.
func redactURL(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		if hasPassword {
			user += ":" + redacted
		}
		rest = user + rest[at:]
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	if !hasQuery {
		return scheme + "://" + rest
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.Contains([]string{"ssl", "sslmode", "application_name", "host", "port", "user", "dbname"}, name) {
			pairs[i] = name + "=" + redacted
		}
	}
	return scheme + "://" + path + "?" + strings.Join(pairs, "&")
}
