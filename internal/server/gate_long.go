package server

import (
	"errors"
	"time"
)

// errLongHeader ends a connection whose address has too many long headers at a time.
var errLongHeader = errors.New("too many long headers from this address")

// admitLong reports whether the connection may send a long header. When its address has
// too many, it waits for another one: a record of TLS has a part of the body, too, and
// clients that send such requests at once are to be served.
func (g *gate) admitLong(c *conn) bool {
	late := time.NewTimer(readHeaderTimeout)
	defer late.Stop()
	for waited := false; ; waited = true {
		admitted, shorter := g.tryLong(c, waited)
		if shorter == nil {
			return admitted
		}
		select {
		case <-shorter:
		case <-late.C:
			g.mu.Lock()
			c.peer.waiting--
			g.mu.Unlock()
			return false
		}
	}
}

// tryLong decides about a long header, or returns what is closed when to ask again. Few
// connections wait, since each keeps what it has read.
func (g *gate) tryLong(c *conn, waited bool) (admitted bool, shorter <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := c.peer
	if waited {
		p.waiting--
	}
	switch {
	case c.gone || c.element != nil:
		return false, nil
	case p.mayHave(p.long, 32):
		p.long++
		c.isLong.Store(true)
		return true, nil
	case !p.mayHave(p.waiting, 8):
		return false, nil
	case p.shorter == nil:
		p.shorter = make(chan struct{})
	}
	p.waiting++
	return false, p.shorter
}

// endLong counts a long header less. The caller holds mu.
func (p *peer) endLong() {
	p.long--
	if p.shorter != nil {
		close(p.shorter)
		p.shorter = nil
	}
}
