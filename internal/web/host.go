package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// admit returns why the request is refused whatever its route demands, or nil.
func (rt *Router) admit(r *http.Request, route *Route) error {
	if route.Always {
		return nil
	}
	if (route.KnownHosts || rt.knownHostsOnly != nil) && !rt.isKnownHost(r.Host) {
		switch {
		case route.KnownHosts:
			return errHostOfRoute
		case rt.knownHostsOnly(r.Context()):
			return errHost
		}
	}
	if rt.admitted == nil {
		return nil
	}
	return rt.admitted(r)
}

// isKnownHost reports whether a page of the host cannot be of another site: it is
// the host of the issuer, localhost or a loopback address. A page of another site
// reaches a server on this machine under a name that its owner points at
// 127.0.0.1 (DNS rebinding), and then may read its responses.
func (rt *Router) isKnownHost(host string) bool {
	name := hostOf(host)
	if name == "localhost" || name != "" && name == rt.issuerHost {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}

// hostOf is the name or address in a Host header, in lower case, without its port
// and the dot of the root.
func hostOf(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}
