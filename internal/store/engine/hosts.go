package engine

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

var errURL = errors.New("malformed URL")

// splitServer splits what follows postgresql:// before the query into user and password,
// with whatever is special in them encoded, and the rest: hosts and the name of the
// database. net/url does not know the forms of libpq for hosts: several of them, and the
// folder of a Unix socket as %2Frun%2Fpostgresql.
func splitServer(text string) (user, rest string, err error) {
	authority, _, _ := strings.Cut(text, "/")
	at := strings.LastIndexByte(authority, '@')
	switch {
	case strings.Contains(text[len(authority):], "@"), strings.ContainsRune(text, '#'), strings.ContainsFunc(text, isControl):
		return "", "", errURL // a password that is not encoded, or a slip
	case slices.ContainsFunc(strings.Split(authority[at+1:], ","), isBadHost):
		return "", "", errURL
	case at < 0:
		return "", text, nil
	}
	u, err := url.Parse("postgresql://" + authority[:at] + "@host")
	if err != nil {
		return "", "", errURL // the cause may quote the password
	}
	return u.User.String() + "@", text[at+1:], nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isBadHost reports whether text is no host with or without a port.
func isBadHost(text string) bool {
	if rest, v6 := strings.CutPrefix(text, "["); v6 {
		_, after, closed := strings.Cut(rest, "]")
		return !closed || after != "" && (after[0] != ':' || isBadPort(after[1:]))
	}
	_, port, _ := strings.Cut(text, ":")
	return isBadPort(port)
}

func isBadPort(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// joinHosts turns SQLAlchemy's form of several hosts, host=a:5432&host=b, into libpq's,
// host=a,b&port=5432,.
func joinHosts(params url.Values) {
	list := strings.Split(strings.Join(params["host"], ","), ",")
	if !params.Has("host") || params.Has("port") {
		return
	}
	ports := make([]string, len(list))
	for i, host := range list {
		if name, port, found := strings.Cut(host, ":"); found && !strings.Contains(port, ":") && !isBadPort(port) {
			list[i], ports[i] = name, port
		}
	}
	params.Set("host", strings.Join(list, ","))
	if slices.ContainsFunc(ports, func(port string) bool { return port != "" }) {
		params.Set("port", strings.Join(ports, ","))
	}
}

// targetAttrs is libpq's parameter that selects among servers.
const targetAttrs = "target_session_attrs"

// takesWrites are the values of it with which the server can work.
var takesWrites = []string{"read-write", "primary", "any"}
