package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"github.com/pico-auth/pico-auth/internal/trace"
)

// Limits of a request.
const (
	timeout      = 5 * time.Second // for all of it
	maxBody      = 1 << 20         // of a response, in bytes
	maxHeader    = 64 << 10
	connsPerHost = 4
	idleTimeout  = 30 * time.Second
)

// Config is what New needs. The zero Config reaches https on public addresses.
type Config struct {
	// Allow names hosts and networks (an address, or CIDR) that are reached although
	// their addresses are not public.
	Allow []string

	// Loopback allows http and https to loopback addresses: for an issuer that is http
	// on loopback itself.
	Loopback bool

	Roots *x509.CertPool // nil: those of the system
}

// Client makes requests to foreign addresses. It is safe for concurrent use.
type Client struct {
	http     *http.Client
	hosts    map[string]bool // reached whatever their address is
	guard    *ssrf.Guardian
	loopback bool
}

// New returns a Client. An entry of Allow that is no network is a host.
func New(cfg Config) *Client {
	c := &Client{hosts: map[string]bool{}, loopback: cfg.Loopback}
	var four, six []netip.Prefix
	allow := cfg.Allow
	if cfg.Loopback {
		allow = append([]string{"127.0.0.0/8", "::1"}, allow...)
	}
	for _, entry := range allow {
		prefix, ok := network(entry)
		switch {
		case !ok:
			c.hosts[hostName(entry)] = true
		case prefix.Addr().Is4():
			four = append(four, prefix)
		default:
			six = append(six, prefix)
		}
	}
	c.guard = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(four...), ssrf.WithAllowedV6Prefixes(six...))
	c.http = &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: c.dial, TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
			MaxIdleConnsPerHost: connsPerHost, MaxIdleConns: 100, IdleConnTimeout: idleTimeout,
		},
	}
	return c
}

// network is the network that an entry of Config.Allow names, if it is not a host.
func network(entry string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(entry)
	return p.Masked(), err == nil
}

// hostName is the one spelling of a host.
func hostName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// dial checks the resolved address of every attempt. Names of Config.Allow are trusted
// together with what they resolve to.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout, Control: c.guard.Safe}
	if host, _, err := net.SplitHostPort(address); err == nil && c.hosts[hostName(host)] {
		dialer.Control = nil
	}
	return dialer.DialContext(ctx, network, address)
}

// PostForm posts a form and returns the status of the response. It names the trace of
// ctx. A redirect is not followed: its status is returned. The error names neither the form nor the URL.
func (c *Client) PostForm(ctx context.Context, address string, form url.Values) (status int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, errors.New("the URL is malformed")
	}
	if err := c.check(u); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, errors.New("the URL is malformed")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "pico-auth")
	if of := trace.From(ctx); of.Parent != "" {
		req.Header.Set("Traceparent", of.Parent)
		if of.State != "" {
			req.Header.Set("Tracestate", of.State)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, readable(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxBody)) // so that the connection can be used again
	return res.StatusCode, nil
}

// check refuses what no address would be dialled for.
func (c *Client) check(u *url.URL) error {
	switch {
	case u.Host == "" || u.User != nil || u.Opaque != "":
		return errors.New("the URL has no host, or a user")
	case u.Scheme == "https", u.Scheme == "http" && c.loopback && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("the URL is not https")
}

func isLoopback(host string) bool {
	if hostName(host) == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// readable is an error of a request for operators.
func readable(err error) error {
	if errors.Is(err, ssrf.ErrProhibitedIP) {
		return fmt.Errorf("the address is not public; name the host or its network in outbound.allow: %w", ssrf.ErrProhibitedIP)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return fmt.Errorf("no response within %s", timeout)
		}
		return e.Err
	}
	return err
}
