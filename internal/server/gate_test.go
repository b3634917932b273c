package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// attacker opens connections from one address.
type attacker struct {
	t    *testing.T
	host string
	from string
	tls  bool
	alpn []string
	held []net.Conn
}

func attack(t *testing.T, base, from string) *attacker {
	scheme, host, _ := strings.Cut(base, "://")
	a := &attacker{t: t, host: host, from: from, tls: scheme == "https", alpn: []string{"http/1.1"}}
	t.Cleanup(a.leave)
	return a
}

// leave closes the connections.
func (a *attacker) leave() {
	for _, c := range a.held {
		_ = c.Close()
	}
}

// dial opens a TCP connection.
func (a *attacker) dial() net.Conn {
	a.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}, Timeout: server.Patience}
	c, err := d.DialContext(a.t.Context(), "tcp", a.host)
	if err != nil {
		a.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(server.Patience))
	a.held = append(a.held, c)
	return c
}

// hold opens n connections and writes the text to each.
func (a *attacker) hold(n int, text string) {
	a.t.Helper()
	for range n {
		if _, err := io.WriteString(a.dial(), text); err != nil {
			a.t.Log(err) // the server may have closed it
		}
	}
}

// ask sends one request over a new connection.
func (a *attacker) ask(method, path string, header ...string) (status int, body string, got http.Header) {
	a.t.Helper()
	c := a.dial()
	if a.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: a.alpn})
	}
	return a.over(c, bufio.NewReader(c), method, path, header...)
}

// askBeyond asks on a connection that found all places taken. The server gives up those that
// hold them after some seconds, so new ones take their places first, and again until it did.
func (a *attacker) askBeyond(text, path string) (status int, body string, got http.Header) {
	a.t.Helper()
	server.Eventually(a.t, path+" on a connection beyond the limit", func() bool {
		a.hold(50, text)
		status, body, got = a.ask("GET", path)
		slow := path == "/readyz" && status == http.StatusServiceUnavailable // the database, on a busy machine
		return got.Get("Connection") == "close" && !slow
	})
	return status, body, got
}

func (a *attacker) over(c net.Conn, in *bufio.Reader, method, path string, header ...string) (status int, body string, got http.Header) {
	a.t.Helper()
	_, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", method, path, strings.Join(append(header, "X-Test: 1"), "\r\n"))
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		a.t.Fatalf("%s %s: no response: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // ReadResponse has removed it
	}
	return res.StatusCode, string(text), res.Header
}

// startTLS is start behind a certificate of the test.
func startTLS(t *testing.T, change func(*config.Config)) *running {
	t.Helper()
	dir := t.TempDir()
	cert, key := server.WriteCertificate(t, dir, 1)
	s := start(t, dir, func(c *config.Config) {
		c.Server.TLSCert, c.Server.TLSKey = cert, key
		change(c)
	})
	s.base = "https" + strings.TrimPrefix(s.base, "http")
	return s
}

// Whatever an address holds open, supervisors and other addresses are served.
func TestHealthAndOtherAddressesAreServedWhileOneHoldsThousandsOfConnections(t *testing.T) {
	few := func(c *config.Config) { c.Server.ConnectionsPerAddress = 16 } // that 50 further ones take at once when others end
	half := "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"
	for name, s := range map[string]*running{
		"plain": start(t, t.TempDir(), few),
		"TLS":   startTLS(t, few),
	} {
		for kind, text := range map[string]string{"silent": "", "one byte": "G", "slow body": half, "half a handshake": "\x16\x03\x01\x02\x00\x01"} {
			if (kind == "half a handshake") == (name == "plain") && kind != "silent" {
				continue // the server closes them at once
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				a, other := attack(t, s.base, "127.0.0.1"), attack(t, s.base, "127.0.0.2")
				a.alpn = []string{"h2", "http/1.1"} // HTTP/2 is not spoken beyond the limit
				a.hold(1500, text)
				for range 20 {
					for _, path := range []string{"/livez", "/readyz"} {
						if status, body, header := a.askBeyond(text, path); status != http.StatusOK {
							t.Fatalf("%s beyond the limit: %d %v %s", path, status, header, body)
						}
					}
				}
				status, body, header := a.askBeyond(text, "/docs")
				if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" || !strings.Contains(body, `"error":"rate_limited"`) {
					t.Errorf("another request beyond the limit: %d %v %s, want 429", status, header, body)
				}
				if status, _, _ := other.ask("GET", "/docs"); status != http.StatusOK {
					t.Errorf("another address: %d", status)
				}
			})
		}
	}
}

func TestConnectionsOfOneAddressAreServedUpToTheLimit(t *testing.T) {
	const limit = 12
	for name, c := range map[string]struct {
		proxies []string
		off     bool
		header  []string
		served  int
	}{
		"limit":            {served: limit},
		"off":              {off: true, served: 5 * limit},
		"trusted proxy":    {proxies: []string{"127.0.0.0/8"}, header: []string{"X-Forwarded-For: 203.0.113.7"}, served: 5 * limit},
		"proxy not named":  {header: []string{"X-Forwarded-For: 203.0.113.7"}, served: 5 * limit},
		"another is named": {proxies: []string{"10.0.0.1"}, served: limit},
	} {
		t.Run(name, func(t *testing.T) {
			// The clock stands still: no connection is idle for so long that another takes its place.
			s := startAt(t, t.TempDir(), storetest.NewClock().Now, func(cfg *config.Config) {
				cfg.Server.ConnectionsPerAddress = limit
				if c.off {
					cfg.Server.ConnectionsPerAddress = 0
				}
				cfg.Server.TrustedProxies = c.proxies
				cfg.Auth.AdminPassword = "a-good-passphrase"
			})
			a := attack(t, s.base, "127.0.0.1")
			var served int
			for range 5 * limit {
				if status, _, _ := a.ask("GET", "/docs", c.header...); status == http.StatusOK {
					served++
				}
			}
			if served != c.served {
				t.Errorf("%d connections are served, want %d", served, c.served)
			}
			_ = a.held[0].Close() // gives its place back
			server.Eventually(t, "a closed connection gives its place back", func() bool {
				status, _, _ := a.ask("GET", "/docs", c.header...)
				return status == http.StatusOK
			})
			if warns := strings.Count(s.log.String(), "server.trusted_proxies does not name a proxy"); (warns > 0) != (name == "proxy not named") || warns > 1 {
				t.Errorf("%d warnings about the proxy", warns)
			}
		})
	}
}

// With all places taken, only supervisors are answered.
func TestMetricsAreScrapedWhileTheirListenerIsFlooded(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Server.MetricsListen = "127.0.0.1:0" })
	_, address, _ := strings.Cut(s.out.String(), "metrics       ")
	address, _, _ = strings.Cut(address, "/metrics\n")
	a := attack(t, address, "127.0.0.1")
	a.hold(600, "")
	if status, body, _ := a.ask("GET", "/metrics"); status != http.StatusOK || !strings.Contains(body, "pico_auth_build_info") {
		t.Errorf("%d", status)
	}
}

// One connection of HTTP/2 carries many requests, so they are limited as well, and an
// address has few such connections.
func TestHTTP2TakesNoMoreThanConnections(t *testing.T) {
	const limit = 16 // so two connections may speak HTTP/2, with 16 requests together
	s := startTLS(t, func(c *config.Config) { c.Server.ConnectionsPerAddress = limit })
	var clients []*http.Client
	var protocols []string
	for range 3 {
		transport := insecure()
		transport.DisableKeepAlives = false
		c := &http.Client{Transport: transport, Timeout: server.Patience}
		t.Cleanup(c.CloseIdleConnections)
		clients = append(clients, c)
		res, err := c.Get(s.base + "/docs")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		protocols = append(protocols, res.Proto)
	}
	if got := fmt.Sprint(protocols); got != "[HTTP/2.0 HTTP/2.0 HTTP/1.1]" {
		t.Errorf("protocols %s", got)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	var cut atomic.Int64
	hold := func() {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/api/v1/auth/login", trickle{stop})
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if res, err := clients[0].Do(req); err != nil {
				cut.Add(1)
			} else {
				_ = res.Body.Close()
			}
		})
	}
	begin := time.Now()
	for range limit {
		hold()
	}
	const slow = 5 * time.Second // a request whose body has not come ends
	server.Eventually(t, "all requests have begun, or ended as slow ones", func() bool {
		res, err := clients[1].Get(s.base + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Errorf("/livez beyond the limit: %s %s", res.Proto, res.Status)
		}
		return len(text) == 0 || time.Since(begin) > slow // no body: it was beyond the limit
	})
	if n := cut.Load(); n != 0 && time.Since(begin) < slow {
		t.Errorf("%d requests within the limit are cut", n)
	}
	server.Eventually(t, fmt.Sprintf("one of more than %d requests at a time is cut", limit), func() bool {
		hold()
		return cut.Load() > 0
	})
	res, err := clients[2].Get(s.base + "/docs")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	close(stop)
	all.Wait()
}

// insecure connects again for each request and trusts every certificate.
func insecure() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
}
