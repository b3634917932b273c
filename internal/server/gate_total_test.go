package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/web"
)

// tinyGate is a server behind a gate of few connections, without a router.
func tinyGate(t *testing.T, limits gateLimits) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits.log = slog.New(slog.DiscardHandler)
	limits.idle = time.Hour
	if limits.now == nil {
		limits.now = time.Now
	}
	g := newGate(ln, limits)
	srv := &http.Server{
		ReadHeaderTimeout: time.Hour, ConnState: g.changed, ConnContext: g.remember,
		Handler: g.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := g.admit(r); r.URL.Path != "/livez" && err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})),
	}
	go func() { _ = srv.Serve(g) }()
	t.Cleanup(func() { _ = srv.Close() })
	return g
}

// from opens a connection from the last byte of a loopback address; with a path, it
// requests that and returns the status.
func from(t *testing.T, g *gate, last int, path string) (status int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(last))}}
	c, err := d.DialContext(t.Context(), "tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if path == "" {
		return 0
	}
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestHealthIsServedWhenAllPlacesAreTaken(t *testing.T) {
	g := tinyGate(t, gateLimits{total: 40, perAddress: 4})
	for i := range 40 {
		from(t, g, 1+i/4, "")
	}
	for range 2 * maxNarrow {
		from(t, g, 100, "") // another address, with narrow connections only
	}
	for range 10 {
		if status := from(t, g, 101, "/x"); status != http.StatusServiceUnavailable {
			t.Errorf("a request beyond the total: %d", status)
		}
		if status := from(t, g, 100, "/livez"); status != http.StatusOK {
			t.Errorf("/livez beyond the total: %d", status)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wide != 40 || g.narrow.Len() > maxNarrow {
		t.Errorf("%d and %d connections", g.wide, g.narrow.Len())
	}
}

// Where places are scarce, connections without a request lose theirs after five
// seconds; where they are not, they keep them.
func TestIdleConnectionsGiveWayWhereConnectionsAreScarce(t *testing.T) {
	for name, limits := range map[string]gateLimits{"of all": {total: 20}, "of one address": {total: 1000, perAddress: 20}} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			limits.now = clock.Now
			g := tinyGate(t, limits)
			for range 10 {
				from(t, g, 1, "/x")
			}
			Eventually(t, "all have become idle", func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				for _, p := range g.peers {
					for c := range p.wide {
						if c.idleSince.Load() == 0 {
							return false
						}
					}
				}
				return true
			})
			clock.Advance(shortIdle)
			from(t, g, 1, "/x")
			if n := g.count(); n != 11 {
				t.Errorf("%d connections while there are places for more, want 11", n)
			}
			for range 9 {
				from(t, g, 1, "")
			}
			for range 5 {
				if status := from(t, g, 1, "/x"); status != http.StatusOK {
					t.Errorf("a request while old connections are idle: %d", status)
				}
			}
			if n := g.count(); n > 16 {
				t.Errorf("%d connections: the idle ones are kept", n)
			}
		})
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wide
}

// Nothing of a closed connection is kept, however it ended.
func TestGateForgetsClosedConnections(t *testing.T) {
	g := tinyGate(t, gateLimits{total: 100, perAddress: 3})
	t.Run("hold", func(t *testing.T) {
		for i := range 50 {
			from(t, g, 1+i%5, []string{"", "/x", "/livez"}[i%3])
		}
	})
	Eventually(t, "no address and no connection is kept", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.peers) == 0 && g.wide == 0 && g.narrow.Len() == 0
	})
}

// A network of IPv6 that one subscriber has counts as one address.
func TestAddressesOfOneSubscriberAreOnePeer(t *testing.T) {
	g := newGate(nil, gateLimits{total: 10, perAddress: 2, proxies: web.Proxies{netip.MustParsePrefix("2001:db8:0:12::9/128")}})
	peer := func(address string) *peer {
		return g.peerOf(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1)), time.Now())
	}
	if peer("2001:db8:0:12::1") != peer("2001:db8:0:34::2") || peer("::ffff:192.0.2.1") != peer("192.0.2.1") {
		t.Error("one subscriber is several peers")
	}
	for _, two := range [][2]string{{"2001:db8:0:12::1", "2001:db8:0:112::1"}, {"192.0.2.1", "192.0.2.2"}, {"fd00::1", "fd00::2"}, {"fe80::1", "fe80::2"}, {"2001:db8:0:12::1", "2001:db8:0:12::9"}} {
		if peer(two[0]) == peer(two[1]) {
			t.Errorf("%s are one peer", two)
		}
	}
}

// A process that could open no more files serves fewer connections for a minute, and
// never so few that it serves none.
func TestTheLimitThatAFullProcessLowersComesBack(t *testing.T) {
	g := newGate(nil, gateLimits{total: 100, log: slog.New(slog.DiscardHandler)})
	now := time.Now()
	for wide, want := range map[int]int{0: fewest, 1: fewest, 40: 30, 100: 75} {
		g.wide = wide
		g.lower(now)
		for after, most := range map[time.Duration]int{0: want, lowerFor - 1: want, lowerFor: 100} {
			if got := g.most(now.Add(after)); got != most {
				t.Errorf("with %d connections, %v later: at most %d, want %d", wide, after, got, most)
			}
		}
	}
}

// unguarded is a server for the handler behind a gate, for HTTP/1.1 and HTTP/2
// without TLS.
func unguarded(t *testing.T, idle time.Duration, h http.HandlerFunc) (base string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	g := newGate(ln, gateLimits{total: 100, idle: idle, log: log, now: time.Now})
	srv := (&Server{cfg: Config{Log: log}}).newHTTP(g, h)
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = srv.Serve(g) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}

// clientOf speaks one version of HTTP.
func clientOf(t *testing.T, http2 bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	c := &http.Client{Transport: &http.Transport{Protocols: p}, Timeout: Patience}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// The timer of net/http would keep a connection that closes with requests in progress
// for the idle timeout, so that a client who opens and closes them takes any amount of memory.
func TestNothingOfAClosedHTTP2ConnectionIsKept(t *testing.T) {
	freed := make(chan struct{})
	var asked atomic.Int64
	base := unguarded(t, time.Hour, func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			c, _ := r.Context().Value(connKey{}).(*conn)
			runtime.AddCleanup(c, func(struct{}) { close(freed) }, struct{}{})
		}
		<-r.Context().Done()
	})
	client := clientOf(t, true)
	opened := make(chan net.Conn, 1)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		opened <- c
		return c, err
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if res, err := client.Get(base); err == nil {
				_ = res.Body.Close()
			}
		})
	}
	for asked.Load() < 5 {
		time.Sleep(time.Millisecond)
	}
	_ = (<-opened).Close()
	all.Wait()
	Eventually(t, "the connection is freed", func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	})
}

func TestIdleConnectionIsClosedAfterTheIdleTimeout(t *testing.T) {
	const idle = 300 * time.Millisecond
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var served atomic.Pointer[conn]
			base := unguarded(t, idle, func(_ http.ResponseWriter, r *http.Request) {
				c, _ := r.Context().Value(connKey{}).(*conn)
				served.Store(c)
				time.Sleep(2 * idle) // a request in progress is not idle
			})
			client := clientOf(t, http2)
			for range 2 {
				res, err := client.Get(base)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				time.Sleep(idle / 10)
			}
			first := served.Load()
			Eventually(t, "the connection is closed", func() bool {
				first.gate.mu.Lock()
				defer first.gate.mu.Unlock()
				return first.gone
			})
		})
	}
}
