package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// longRead is a connection whose client sends a long header, with what its Read returned.
type longRead struct {
	*conn
	done chan error
}

func sendLong(g *gate) longRead {
	server, client := net.Pipe()
	l := longRead{g.enter(server), make(chan error, 1)}
	go func() { _, _ = io.WriteString(client, strings.Repeat("a", longHeader+1)) }()
	go func() {
		_, err := io.ReadFull(l, make([]byte, longHeader+1))
		l.done <- err
	}()
	return l
}

// ended reports whether the connection has been read from or refused, and how.
func (l longRead) ended() (is bool, err error) {
	synctest.Wait()
	select {
	case err := <-l.done:
		return true, err
	default:
		return false, nil
	}
}

// Clients of one address that send large requests at once, such as introspections of
// post-quantum tokens, are served one after the other: the gate cannot tell a body in the
// first record of TLS from a header.
func TestALongHeaderWaitsForOthersOfItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(nil, gateLimits{total: 100, perAddress: 64, idle: time.Hour, now: time.Now}) // two at a time, and eight wait
		open := []longRead{sendLong(g), sendLong(g)}
		for i, l := range open {
			if is, err := l.ended(); !is || err != nil {
				t.Fatalf("%d: ended %v: %v", i, is, err)
			}
		}
		waiting := []longRead{sendLong(g), sendLong(g)}
		admitted := func() (n int) {
			for _, l := range waiting {
				switch is, err := l.ended(); {
				case err != nil:
					t.Error(err)
				case is:
					n++
				}
			}
			return n
		}
		if n := admitted(); n != 0 {
			t.Errorf("%d more than two are admitted", n)
		}
		g.changed(open[0].conn, http.StateIdle)
		if n := admitted(); n != 1 {
			t.Errorf("%d are admitted after a response", n)
		}
		_ = open[1].Close()
		if n := admitted(); n != 1 {
			t.Errorf("%d are admitted after a connection was closed", n)
		}
		var last []longRead
		for range 8 {
			last = append(last, sendLong(g))
		}
		synctest.Wait()
		more := sendLong(g)
		if is, err := more.ended(); !is || !errors.Is(err, errLongHeader) {
			t.Errorf("one more than eight: ended %v: %v", is, err)
		}
		time.Sleep(readHeaderTimeout)
		for _, l := range last {
			if is, err := l.ended(); !is || !errors.Is(err, errLongHeader) {
				t.Errorf("without end: ended %v: %v", is, err)
			}
		}
		last = append(last, sendLong(g))
		if is, _ := last[8].ended(); is {
			t.Error("none waits any more, and another one is refused")
		}
		for _, l := range append(slices.Concat(open, waiting, last), more) {
			_ = l.Close()
		}
		if n := len(g.peers); n != 0 {
			t.Errorf("%d peers are left", n)
		}
	})
}
