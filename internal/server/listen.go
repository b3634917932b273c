package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/web"
)

// listen serves the API on the listener; nil: on the one that the settings name.
func (s *Server) listen(ctx context.Context, ln net.Listener) error {
	c := s.cfg.Config.Server
	proxies, err := web.ParseProxies(c.TrustedProxies)
	if err != nil {
		return fmt.Errorf("server.trusted_proxies: %w", err)
	}
	if ln == nil {
		if ln, err = open(ctx, c); err != nil {
			return err
		}
	}
	s.gate = newGate(ln, gateLimits{total: maxConnections, perAddress: c.ConnectionsPerAddress, proxies: proxies, idle: c.IdleTimeout, log: s.cfg.Log, now: s.cfg.Now})
	s.listener = s.gate
	if s.tls, err = s.certificate(ctx); err != nil {
		return err
	}
	if s.tls != nil {
		s.listener = tls.NewListener(s.gate, s.tls.config(s.gate))
	}
	return nil
}

// open returns the listener of a socket of the unix domain, or of host and port.
func open(ctx context.Context, c config.Server) (net.Listener, error) {
	if path := c.Socket(); path != "" {
		return openSocket(ctx, "server.listen", path, c.SocketMode())
	}
	ln, err := listenTCP(ctx, net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return nil, cannotListen("server.host and server.port", "server.port (SERVER_PORT)", err)
	}
	return ln, nil
}

// openSocket returns the listener of the socket that the setting names.
func openSocket(ctx context.Context, setting, path string, mode fs.FileMode) (net.Listener, error) {
	if err := gather(checkSocket(setting, path)); err != nil {
		return nil, err
	}
	ln, err := listenSocket(ctx, path, mode)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return ln, nil
}

// cannotListen says why an address cannot be listened on, and what to set.
func cannotListen(settings, other string, err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	number, known := errors.AsType[syscall.Errno](err)
	if !ok || !known || op.Addr == nil {
		return fmt.Errorf("%s: %w", settings, err)
	}
	remedy := "set another " + other
	switch number {
	case syscall.EADDRINUSE:
		remedy = "stop the program that uses this address, or " + remedy
	case syscall.EADDRNOTAVAIL:
		remedy = "this machine does not have this address: set one that it has"
	case syscall.EACCES:
		remedy = "ports below 1024 are for root: " + remedy
	}
	return fmt.Errorf("%s: %s: %w; %s", settings, op.Addr, number, remedy)
}

// listenMetrics does nothing when /metrics has no listener of its own.
func (s *Server) listenMetrics(ctx context.Context) error {
	const setting = "server.metrics_listen"
	c := s.cfg.Config.Server
	var ln net.Listener
	var err error
	switch path := c.MetricsSocket(); {
	case path != "":
		ln, err = openSocket(ctx, setting, path, c.SocketMode())
	case c.MetricsListen != "":
		if ln, err = listenTCP(ctx, c.MetricsListen); err != nil {
			err = cannotListen(setting, setting+" (SERVER_METRICS_LISTEN)", err)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	s.scrape = newGate(ln, gateLimits{total: maxScrapeConnections, perAddress: maxScrapesPerAddress, idle: c.IdleTimeout, log: s.cfg.Log, now: s.cfg.Now})
	return nil
}

// listenTCP listens on the interfaces that the address names. net.Listen takes 0.0.0.0
// for every interface of IPv6 as well, which a firewall for IPv4 does not cover, and
// fails for :: on a machine without IPv6.
func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	network := "tcp"
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	switch a, err := netip.ParseAddr(host); {
	case err != nil:
	case a.Unmap().Is4():
		network = "tcp4"
	case a == netip.IPv6Unspecified():
		address = ":" + port // of both, as far as there are
	}
	return (&net.ListenConfig{}).Listen(ctx, network, address)
}

// interfaces says on which interfaces a listener is, if they are more than one.
func interfaces(at net.Addr) string {
	tcp, _ := at.(*net.TCPAddr)
	switch {
	case tcp == nil || !tcp.IP.IsUnspecified():
		return ""
	case tcp.IP.To4() != nil:
		return " (every interface, IPv4 only)"
	}
	return " (every interface, IPv4 and IPv6)"
}

// Addr is the address the API listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }
