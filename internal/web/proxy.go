package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For and X-Request-Id are trusted.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks in CIDR notation.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			p = append(p, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96) // as are the addresses that it is compared with
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

// SocketPeer is the RemoteAddr of the requests that come through a socket of the unix
// domain. Its mode decides who connects, and that is a proxy: peers there have no
// address of their own, and are trusted like one of the list.
const SocketPeer = "unix socket"

// Trusts reports whether the address is of a trusted proxy.
func (p Proxies) Trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client is the address of the client: the peer's, or, if the peer is a
// trusted proxy, the rightmost address of X-Forwarded-For that is not one. The
// client controls everything left of that.
func (p Proxies) client(r *http.Request) netip.Addr {
	peer := PeerAddress(r)
	if !p.trustsPeer(r, peer) {
		return peer
	}
	client := peer
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop, err := parseHop(hop)
		if err != nil {
			break // the hop that wrote this is the last known one
		}
		client = hop
		if !p.Trusts(hop) {
			break
		}
	}
	return client
}

// trustsPeer reports whether the peer of the request is a trusted proxy.
func (p Proxies) trustsPeer(r *http.Request, peer netip.Addr) bool {
	return r.RemoteAddr == SocketPeer || p.Trusts(peer)
}

// unknownProxy reports whether the peer seems to be a proxy that the configuration
// does not name: it forwards, from an address that no client on the internet has.
func (p Proxies) unknownProxy(r *http.Request) bool {
	if len(r.Header["X-Forwarded-For"]) == 0 {
		return false
	}
	peer := PeerAddress(r)
	return (peer.IsPrivate() || peer.IsLoopback()) && !p.Trusts(peer)
}

// PeerAddress is the address of the peer of the connection; the zero Addr
// if it is unknown.
func PeerAddress(r *http.Request) netip.Addr {
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

// networkText is the network of an address, by which clients are limited: one
// subscriber has a whole /56 of IPv6 (RFC 6177).
func networkText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	bits := 56
	if a.Is4() {
		bits = 24
	}
	prefix, _ := a.Prefix(bits) // no error: the address has as many bits
	var text [len("2001:db8:1:200::/56")]byte
	return string(prefix.AppendTo(text[:0])) // one allocation, String makes two
}
