package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// takes is a route that reads its body, and then waits.
func takes(limit int64, wait func(*http.Request)) Route {
	rt := open("POST", "/body", nil)
	rt.MaxBody = limit
	rt.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := ReadBody(w, r, "text/plain", true)
		if wait != nil && err == nil {
			wait(r)
		}
		if e, ok := errors.AsType[*Error](err); ok {
			w.WriteHeader(e.Status)
			_, _ = io.WriteString(w, e.Code)
			return
		}
		_, _ = fmt.Fprint(w, len(data))
	})
	return rt
}

// pipes is a listener in memory, whose connections know no clock but that of a bubble.
type pipes struct {
	ends   chan net.Conn
	closed chan struct{}
}

// local is an end of a pipe with the address of this machine.
type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ends:
		return local{c}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (*pipes) Addr() net.Addr { return local{}.RemoteAddr() }

// listening starts a server of the router on pipes.
func listening(rt *Router) (p *pipes, end func()) {
	p = &pipes{ends: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: rt, ReadTimeout: 15 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(p) })
	return p, func() {
		_ = srv.Close()
		serving.Wait()
	}
}

// post sends the text, and after it the parts, each after a pause.
func post(p *pipes, head string, pause time.Duration, parts int) (status int, took time.Duration) {
	c, far := net.Pipe()
	p.ends <- far
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(40 * time.Second))
	go func() {
		if _, err := io.WriteString(c, head); err != nil {
			return
		}
		for range parts {
			time.Sleep(pause)
			if _, err := io.WriteString(c, strings.Repeat("x", 256)); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, time.Since(start)
	}
	_ = res.Body.Close()
	return res.StatusCode, time.Since(start)
}

// A body must come with 1 KiB a second after the first five, whether a handler
// reads it or not.
func TestSlowSenderIsCutAndASteadyOneIsNot(t *testing.T) {
	synctest.Test(t, slowSenders)
}

func slowSenders(t *testing.T) {
	rt := mustRouter(t, Config{Issuer: "https://host.example", Groups: []Group{plainGroup("", takes(SmallBody, nil), open("GET", "/none", ok))}})
	p, end := listening(rt)
	defer end()
	head := func(line string, length int) string {
		return fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", line, length)
	}
	chunked := "POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
	var all sync.WaitGroup
	for name, c := range map[string]struct {
		head     string
		pause    time.Duration
		parts    int
		status   int
		from, to time.Duration
	}{
		"nothing comes":              {head("POST /body", 4096), 0, 0, 400, 4 * time.Second, 8 * time.Second},
		"nothing of a chunk comes":   {chunked, 0, 0, 400, 4 * time.Second, 8 * time.Second},
		"too slow":                   {head("POST /body", 4096), time.Second, 40, 400, 4 * time.Second, 10 * time.Second},
		"steady":                     {head("POST /body", 4096), 480 * time.Millisecond, 16, 200, 7 * time.Second, 12 * time.Second},
		"no handler reads it":        {head("GET /none", 4096), time.Second, 40, 200, 4 * time.Second, 8 * time.Second},
		"no route takes it":          {head("POST /unknown", 4096), time.Second, 40, 404, 4 * time.Second, 8 * time.Second},
		"too long to be read at all": {head("POST /body", 5000), time.Second, 40, 413, 4 * time.Second, 8 * time.Second},
		"of another media type":      {strings.Replace(head("POST /body", 4096), "text/plain", "text/html", 1), time.Second, 40, 415, 4 * time.Second, 8 * time.Second},
		"empty":                      {head("POST /body", 0), 0, 0, 200, 0, 4 * time.Second},
	} {
		all.Go(func() {
			status, took := post(p, c.head, c.pause, c.parts)
			if status != c.status || took < c.from || took > c.to {
				t.Errorf("%s: %d after %v, want %d after %v to %v", name, status, took, c.status, c.from, c.to)
			}
		})
	}
	all.Wait()
}

// The deadline of the sender must not end the request of a handler that works longer.
func TestHandlerMayWorkLongerThanABodyMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got error
		rt := mustRouter(t, Config{Issuer: "https://host.example", Groups: []Group{plainGroup("", takes(SmallBody, func(r *http.Request) {
			time.Sleep(senderStarts + time.Second)
			got = context.Cause(r.Context())
		}))}})
		p, end := listening(rt)
		defer end()
		status, _ := post(p, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", 0, 0)
		if status != http.StatusOK || got != nil {
			t.Errorf("%d, the request was ended: %v", status, got)
		}
	})
}

// One network has a share of the memory, and all of them together have all of it.
func TestBodiesBeingReadHaveBoundedMemory(t *testing.T) {
	release := make(chan struct{})
	var reading sync.WaitGroup
	rt := mustRouter(t, Config{
		Issuer: "https://host.example", Proxies: mustProxies(t, "192.0.2.1"),
		Groups: []Group{plainGroup("", func() Route {
			rt := takes(LargeBody, func(*http.Request) { reading.Done(); <-release })
			rt.Access, rt.Credential = User, Bearer
			return rt
		}())},
	})
	ask := func(network int, length int64) int {
		r := httptest.NewRequest("POST", "/body", strings.NewReader(strings.Repeat("x", int(max(length, 1)))))
		r.ContentLength = length
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("Authorization", "Bearer good")
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.%d.7", network))
		return send(rt, r).Code
	}
	var done sync.WaitGroup
	fill := func(network int) {
		t.Helper()
		for i := range bodyShare / LargeBody {
			reading.Add(1)
			length := int64(LargeBody)
			if i%2 == 0 {
				length = -1 // chunked: it may become as long
			}
			done.Go(func() {
				if code := ask(network, length); code != http.StatusOK {
					t.Errorf("a body within the share: %d", code)
				}
			})
		}
		reading.Wait()
	}
	refused := func(network int) {
		t.Helper()
		if code := ask(network, 100); code != http.StatusServiceUnavailable {
			t.Errorf("a body of network %d: %d, want 503", network, code)
		}
	}
	fill(1)
	refused(1)
	fill(2)
	fill(3)
	refused(2)
	fill(4)
	refused(5)
	close(release)
	done.Wait()
	if rt.intake.taken != 0 || len(rt.intake.networks) != 0 {
		t.Errorf("%d bytes are not given back: %v", rt.intake.taken, rt.intake.networks)
	}
}
