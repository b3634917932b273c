package server

import (
	"net/http"
)

// offerHTTP2 reports whether the connection may speak HTTP/2. It has many requests
// on one connection, so an address may have few of them; further ones, and narrow
// ones, speak HTTP/1.1.
func (g *gate) offerHTTP2(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := c.peer
	if c.gone || c.element != nil || !p.mayHave(int(p.http2.Load()), 8) {
		return false
	}
	p.http2.Add(1)
	c.http2 = true
	return true
}

// serveHTTP2 serves a request, of which an address may have as many at a time as
// connections. net/http sends a short response when its handler has returned, and keeps
// all of the request until the client reads the response: of an address that has more
// than a few connections, the request is in progress until then.
func (c *conn) serveHTTP2(next http.Handler, w http.ResponseWriter, r *http.Request) {
	p := c.peer
	defer p.streams.Add(-1)
	limit := p.limit.Load()
	if n := p.streams.Add(1); limit > 0 && n > limit {
		// A response with a body could wait for a client that does not read it.
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
			_ = c.Close()
			panic(http.ErrAbortHandler)
		}
		w = bodiless{w}
	}
	next.ServeHTTP(w, r)
	if !p.mayHave(int(p.http2.Load()), 64) {
		_ = http.NewResponseController(w).Flush() // an error: there is nothing to wait for
	}
}

// bodiless sends the header of a response only.
type bodiless struct{ http.ResponseWriter }

// Write implements http.ResponseWriter.
func (bodiless) Write(p []byte) (int, error) { return len(p), nil }
