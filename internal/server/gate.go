package server

import (
	"bytes"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pico-auth/pico-auth/internal/web"
)

const (
	// maxNarrow bounds the connections beyond a limit. Each costs about 20 KB.
	maxNarrow = 128

	// longHeader and manyLines are the size in bytes, and without TLS the number of
	// lines, from which the header of a request is long; a usual one with a
	// post-quantum token is shorter. net/http takes up to 100 times as much memory for it.
	longHeader = 9 << 10
	manyLines  = 256

	// socketBuffer is what the kernel buffers of a connection in each direction, in bytes.
	socketBuffer = 64 << 10

	// shortIdle is how long a connection without a request is kept where another
	// one needs its place.
	shortIdle = 5 * time.Second

	// silentFor is how long a narrow connection may send nothing before it is the
	// first to lose its place.
	silentFor = 250 * time.Millisecond

	// sweepEvery is the period in which idle connections are looked for.
	sweepEvery = time.Second

	// proxyFactor is how many times as many connections a peer may have that seems
	// to be a proxy, so that an installation whose configuration does not name its
	// proxy does not stop for every client.
	proxyFactor = 10
	proxyFor    = time.Hour // since it last forwarded a request

	// After the process could open no more files, there are fewer connections for a
	// while, but not fewer than a server needs to work.
	lowerFor   = time.Minute
	fewest     = 16
	maxProxies = 1024 // that are remembered
)

// gate is a listener that limits the connections of one address and of all. It
// accepts those beyond a limit as well, since only the request tells whether it
// must be served: a narrow connection serves one request, to a route that is
// always served or of a proxy, and refuses every other one. There are few narrow
// connections, and the address that has most of them loses its oldest.
type gate struct {
	net.Listener
	gateLimits

	mu         sync.Mutex
	peers      map[netip.Addr]*peer
	wide       int        // connections that are not narrow
	narrow     *list.List // of *conn, the oldest first
	swept      time.Time
	lowered    time.Time                // when the process could open no more files
	lowerTotal int                      // of wide connections since
	forwarding map[netip.Addr]time.Time // when the address was a proxy that the configuration does not name

	warned atomic.Int64 // time of the last warning about such a proxy, in Unix seconds
}

// gateLimits are the settings of a gate.
type gateLimits struct {
	total      int
	perAddress int           // 0: no limit
	proxies    web.Proxies   // have no limit of their own
	idle       time.Duration // for which a connection without a request is kept
	log        *slog.Logger
	now        func() time.Time
}

// peer is an address with open connections. Its fields are guarded by the gate's mu.
type peer struct {
	address netip.Addr
	wide    map[*conn]struct{}
	narrow  int
	long    int           // connections with a request with a long header
	waiting int           // connections that wait until there are fewer of these
	shorter chan struct{} // closed then; nil: none waits
	swept   time.Time

	http2   atomic.Int64 // connections that speak it
	limit   atomic.Int64 // of wide; 0: none
	streams atomic.Int64 // requests in progress over HTTP/2
}

// conn is an accepted connection.
type conn struct {
	net.Conn
	gate    *gate
	peer    *peer
	element *list.Element // of gate.narrow; nil: wide
	timer   *time.Timer   // closes it when it was idle for too long
	http2   bool
	gone    bool
	since   time.Time
	full    bool // narrow because of the total, not of the address

	isSocket  bool        // of the unix domain
	handled   atomic.Bool // a handler has the request
	isNarrow  atomic.Bool
	spoke     atomic.Bool  // has sent something
	isLong    atomic.Bool  // its request has a long header
	header    atomic.Int64 // bytes of the next request's header; negative: a request is being served
	lines     atomic.Int64 // of that header
	idleSince atomic.Int64 // Unix nanoseconds; 0: it is not idle
}

func newGate(ln net.Listener, limits gateLimits) *gate {
	return &gate{Listener: ln, gateLimits: limits, peers: map[netip.Addr]*peer{}, narrow: list.New(), forwarding: map[netip.Addr]time.Time{}}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			g.mu.Lock()
			g.lower(g.now())
			g.mu.Unlock()
		}
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		// The kernel would buffer megabytes of what is not read. Errors: it keeps its own sizes.
		_ = tcp.SetReadBuffer(socketBuffer)
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	return g.enter(c), nil
}

// lower makes fewer connections the most for a while: the process may have no more
// files, and narrow connections and the database need some.
func (g *gate) lower(now time.Time) {
	g.lowered, g.lowerTotal = now, max(min(g.total, g.wide)*3/4, fewest)
	g.sweep(now)
}

// most is how many connections may be wide now.
func (g *gate) most(now time.Time) int {
	if now.Sub(g.lowered) < lowerFor {
		return min(g.total, g.lowerTotal)
	}
	return g.total
}

func (g *gate) enter(under net.Conn) *conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	p := g.peerOf(under.RemoteAddr(), now)
	_, isSocket := under.RemoteAddr().(*net.UnixAddr)
	c := &conn{Conn: under, gate: g, peer: p, since: now, isSocket: isSocket}
	c.timer = time.AfterFunc(g.idle, c.expire)
	most := g.most(now)
	if g.wide >= most*3/4 {
		g.sweep(now)
	}
	if p.isFull() {
		p.sweep(now)
	}
	if c.full = g.wide >= most; c.full || p.isFull() {
		g.enterNarrow(c)
	} else {
		g.enterWide(c)
	}
	return c
}

// peerOf returns the peer of the address with its present limit. One subscriber to
// the internet has many addresses of IPv6, so its network counts as one.
func (g *gate) peerOf(remote net.Addr, now time.Time) *peer {
	var address netip.Addr
	if tcp, ok := remote.(*net.TCPAddr); ok {
		address = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	limit := g.perAddress
	if _, isSocket := remote.(*net.UnixAddr); isSocket || g.proxies.Trusts(address) {
		limit = 0
	} else if address.Is6() && address.IsGlobalUnicast() && !address.IsPrivate() {
		network, _ := address.Prefix(56) // no error: the address has as many bits
		address = network.Addr()
	}
	if now.Sub(g.forwarding[address]) < proxyFor {
		limit *= proxyFactor
	}
	p := g.peers[address]
	if p == nil {
		p = &peer{address: address, wide: map[*conn]struct{}{}}
		g.peers[address] = p
	}
	p.limit.Store(int64(limit))
	return p
}

func (p *peer) isFull() bool {
	limit := int(p.limit.Load())
	return limit > 0 && len(p.wide) >= limit
}

func (g *gate) enterWide(c *conn) {
	g.wide++
	c.peer.wide[c] = struct{}{}
}

func (g *gate) enterNarrow(c *conn) {
	c.isNarrow.Store(true)
	c.peer.narrow++
	c.element = g.narrow.PushBack(c)
	if g.narrow.Len() > maxNarrow {
		g.drop(g.narrowest(c.since))
	}
}

// narrowest is the narrow connection to lose: of the address that has most of
// them, the oldest that stays silent, else the oldest.
func (g *gate) narrowest(now time.Time) *conn {
	var loses *conn
	var isSilent bool
	for e := g.narrow.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn) //nolint:forcetypeassert // the list has nothing else
		silent := !c.spoke.Load() && now.Sub(c.since) > silentFor
		if loses == nil || c.peer.narrow > loses.peer.narrow || c.peer == loses.peer && silent && !isSilent {
			loses, isSilent = c, silent
		}
	}
	return loses
}

// sweep closes the connections that have been idle for shortIdle, of all peers.
func (g *gate) sweep(now time.Time) {
	if now.Sub(g.swept) < sweepEvery {
		return
	}
	g.swept = now
	for _, p := range g.peers {
		p.sweep(now)
	}
}

func (p *peer) sweep(now time.Time) {
	if now.Sub(p.swept) < sweepEvery {
		return
	}
	p.swept = now
	for c := range p.wide {
		if since := c.idleSince.Load(); since != 0 && now.UnixNano()-since >= int64(shortIdle) {
			c.gate.drop(c)
		}
	}
}

// drop forgets the connection and closes it. The caller holds mu.
func (g *gate) drop(c *conn) {
	g.forget(c)
	_ = c.Conn.Close()
}

// forget gives the place of the connection back. The caller holds mu.
func (g *gate) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	p := c.peer
	if c.element != nil {
		g.narrow.Remove(c.element)
		p.narrow--
	} else {
		delete(p.wide, c)
		g.wide--
	}
	if c.http2 {
		p.http2.Add(-1)
	}
	if c.isLong.Load() {
		p.endLong()
	}
	if len(p.wide) == 0 && p.narrow == 0 {
		delete(g.peers, p.address)
	}
}

// RemoteAddr implements net.Conn. A peer on a socket may have any name.
func (c *conn) RemoteAddr() net.Addr {
	if c.isSocket {
		return &net.UnixAddr{Net: "unix", Name: web.SocketPeer}
	}
	return c.Conn.RemoteAddr()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	c.timer.Stop()
	return c.Conn.Close()
}

// expire closes the connection if no part of a request has come since it is idle.
// http.Server.IdleTimeout is not used: an HTTP/2 connection that closes with requests
// in progress starts the timer of net/http, which then keeps all their memory for that
// time.
func (c *conn) expire() {
	if c.idleSince.Load() == 0 || c.header.Load() > 0 {
		return
	}
	c.gate.mu.Lock()
	c.gate.drop(c)
	c.gate.mu.Unlock()
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.spoke.Load() {
		c.spoke.Store(true)
	}
	if c.http2 || c.header.Load() < 0 {
		return n, err
	}
	size, lines := c.header.Add(int64(n)), c.lines.Add(int64(bytes.Count(p[:n], []byte{'\n'})))
	if (size > longHeader || lines > manyLines) && !c.isLong.Load() && !c.gate.admitLong(c) {
		return 0, errLongHeader
	}
	return n, err
}

// mayHave reports whether the peer, which has n of what takes as much memory as some
// connections, may have one more.
func (p *peer) mayHave(n, connections int) bool {
	limit := int(p.limit.Load())
	return limit == 0 || n < max(limit/connections, 1)
}

// connOf is the gate's connection under one of net/http; nil: it has none.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	under, _ := c.(*conn)
	return under
}

// changed is http.Server.ConnState.
func (g *gate) changed(c net.Conn, state http.ConnState) {
	under := connOf(c)
	switch {
	case under == nil:
	case state == http.StateActive:
		under.timer.Stop()
		under.idleSince.Store(0)
		under.header.Store(-1)
	case state == http.StateIdle:
		under.handled.Store(false)
		under.idleSince.Store(g.now().UnixNano())
		under.timer.Reset(under.gate.idle)
		under.header.Store(0)
		under.lines.Store(0)
		if under.isLong.Load() {
			g.mu.Lock()
			under.isLong.Store(false)
			if !under.gone {
				under.peer.endLong()
			}
			g.mu.Unlock()
		}
	}
}

type connKey struct{}

// remember is http.Server.ConnContext.
func (*gate) remember(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connOf(c))
}

// wrap limits what the requests of one connection may take.
func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connKey{}).(*conn)
		if c != nil {
			c.handled.Store(true)
		}
		switch {
		case c == nil:
		case c.isNarrow.Load():
			w.Header().Set("Connection", "close")
		case r.ProtoMajor == 2:
			c.serveHTTP2(next, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit is web.Config.Admit: it refuses a request on a narrow connection, unless it
// shows that the peer is a proxy.
func (g *gate) admit(r *http.Request) error {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil {
		return nil
	}
	if web.FactsOf(r.Context()).UnknownProxy {
		g.forwards(c)
	}
	switch {
	case !c.isNarrow.Load():
		return nil
	case c.full:
		return &web.Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server has as many connections as it can serve; please try again"}
	default:
		return &web.Error{Status: http.StatusTooManyRequests, Code: "rate_limited", Detail: "too many connections from this address; use fewer at a time"}
	}
}

// forwards remembers that the peer of the connection is a proxy that the
// configuration does not name, and widens the connection.
func (g *gate) forwards(c *conn) {
	now := g.now()
	if last := g.warned.Load(); now.Unix()-last >= int64(time.Hour/time.Second) && g.warned.CompareAndSwap(last, now.Unix()) {
		g.log.Warn("server.trusted_proxies does not name a proxy that forwards requests; all its clients share one address and its limits", "proxy", c.peer.address.String())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.forwarding[c.peer.address]; known || len(g.forwarding) < maxProxies {
		g.forwarding[c.peer.address] = now
	}
	p := c.peer
	p.limit.Store(int64(proxyFactor * g.perAddress))
	if c.element == nil || c.gone || g.wide >= g.most(now) || p.isFull() {
		return
	}
	g.narrow.Remove(c.element)
	p.narrow--
	c.element = nil
	c.isNarrow.Store(false)
	g.enterWide(c)
}
