package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks whose X-Forwarded-For is believed.
type proxies []netip.Prefix

func (p proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// clientAddress is the address the request came from: the peer's, or, when the
// peer is a trusted proxy, the rightmost address of X-Forwarded-For that is
// not one. Everything left of that was written by the client and may be a lie.
func (p proxies) clientAddress(r *http.Request) string {
	peer := peerAddress(r)
	if len(p) == 0 || !p.trusts(peer) {
		return addressText(peer)
	}
	client := peer
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop, err := parseHop(hop)
		if err != nil {
			break // whoever wrote this is the last one we can name
		}
		client = hop
		if !p.trusts(hop) {
			break
		}
	}
	return addressText(client)
}

func peerAddress(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
