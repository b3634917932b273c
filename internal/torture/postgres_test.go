//go:build linux

package torture

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// traffic is clients of all kinds that continue after any response.
type traffic struct {
	p    *process
	stop chan struct{}
	busy sync.WaitGroup

	mu       sync.Mutex
	statuses map[string]map[int]int // by kind of request
	slowest  time.Duration
}

// drive starts traffic: sessions that refresh, requests with an
// access token, and the key set.
func drive(p *process, sessions int) *traffic {
	tr := &traffic{p: p, stop: make(chan struct{}), statuses: map[string]map[int]int{}}
	access, _ := p.session(adminEmail)
	tokens := make([]string, sessions)
	for i := range tokens {
		_, tokens[i] = p.session(adminEmail)
	}
	for _, token := range tokens {
		unknown := false
		tr.repeat(func() {
			a := tr.note("refresh", func() response { return p.refresh(token) })
			switch {
			case a.status == http.StatusOK:
				token, unknown = a.field("refresh_token"), false
			case a.status == http.StatusUnauthorized && unknown: // the previous request was executed without a response
				if a := p.login(adminEmail); a.status == http.StatusOK {
					token, unknown = a.field("refresh_token"), false
				}
			case a.status == http.StatusServiceUnavailable:
				unknown = true
				p.unavailable("a refresh", a)
			default:
				p.t.Errorf("a refresh: %v", a)
			}
		})
	}
	for range 2 {
		tr.repeat(func() {
			p.okOrUnavailable("me", tr.note("me", func() response { return p.me(access) }))
		})
	}
	tr.repeat(func() {
		a := tr.note("key set", func() response { return p.call(http.MethodGet, "/api/v1/auth/jwks", "", nil) })
		if a.status != http.StatusOK {
			p.t.Errorf("the key set: %v", a)
		}
	})
	return tr
}

func (tr *traffic) repeat(step func()) {
	tr.busy.Go(func() {
		for {
			select {
			case <-tr.stop:
				return
			case <-time.After(25 * time.Millisecond): // the processors are left to other tests
				step()
			}
		}
	})
}

func (tr *traffic) note(kind string, call func() response) response {
	start := time.Now()
	a := call()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.slowest = max(tr.slowest, time.Since(start))
	if tr.statuses[kind] == nil {
		tr.statuses[kind] = map[int]int{}
	}
	tr.statuses[kind][a.status]++
	return a
}

// served reports whether there was a response with the status since the call.
func (tr *traffic) served(kind string, status int) func() bool {
	count := func() int {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.statuses[kind][status]
	}
	before := count()
	return func() bool { return count() > before }
}

// end stops the traffic and logs its results.
func (tr *traffic) end() {
	close(tr.stop)
	tr.busy.Wait()
	tr.p.t.Logf("responses by status: %v; the slowest took %v", tr.statuses, tr.slowest.Round(time.Millisecond))
}

// settles waits until the program has about as many goroutines as before.
func (p *process) settles(before int) {
	p.site.t.Helper()
	p.hangUp()
	now := 0
	p.eventually(fmt.Sprintf("no more than the previous %d goroutines", before), func() bool {
		now = p.goroutines()
		return now <= before+3
	})
	p.site.t.Logf("%d goroutines before, %d after", before, now)
}

func TestPostgreSQLStopsAndStartsUnderLoad(t *testing.T) {
	t.Parallel()
	outage := storetest.NewOutage(t)
	s := newSiteAt(t, t.TempDir(), outage.URL())
	p := s.start()
	access, refresh := p.session(adminEmail)
	p.hangUp()
	before := p.goroutines()
	tr := drive(p, 6)
	for range 3 {
		p.eventually("refreshes are served", tr.served("refresh", http.StatusOK))
		outage.Stop()
		red := p.becomesUnready()
		p.unavailable("a registration", p.register("unknown@example.org"))
		p.unavailable("me", p.me(access))
		p.verifies(access)
		p.eventually("refreshes are refused", tr.served("refresh", http.StatusServiceUnavailable))
		outage.Start()
		green := p.becomesReady()
		p.eventually("refreshes are served again", tr.served("refresh", http.StatusOK))
		p.eventually("access tokens are accepted again", tr.served("me", http.StatusOK))
		t.Logf("unready after %v, ready after %v", red.Round(time.Millisecond), green.Round(time.Millisecond))
	}
	tr.end()
	p.must(p.refresh(refresh)) // the token is still valid
	p.settles(before)
	p.noDefects()
	p.stop()
}

// wire forwards connections to PostgreSQL until it is cut: then it forwards nothing
// and reports no error, like an unplugged cable.
type wire struct {
	t        *testing.T
	listener net.Listener
	socket   string

	mu    sync.Mutex
	whole chan struct{} // closed while bytes pass
	conns []net.Conn
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: ln, socket: socket, whole: make(chan struct{})}
	w.heal()
	go w.accept()
	t.Cleanup(func() {
		_ = ln.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.conns {
			_ = c.Close()
		}
	})
	return w
}

// url is the URL of the database through the wire.
func (w *wire) url() string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Host: w.listener.Addr().String(), Path: "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = make(chan struct{})
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.whole)
}

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return // the test is over
		}
		go func() {
			w.pass()
			far, err := net.Dial("unix", w.socket)
			if err != nil {
				_ = near.Close()
				return
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			go w.forward(near, far)
			w.forward(far, near)
		}()
	}
}

// pass waits while the wire is cut.
func (w *wire) pass() {
	w.mu.Lock()
	whole := w.whole
	w.mu.Unlock()
	<-whole
}

// forward copies from one end to the other. The end of a connection is not
// forwarded while the wire is cut either.
func (w *wire) forward(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		w.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
	_ = to.Close()
}

// longestResponse is the limit while the network drops everything: patience and poolTimeout
// of the store end a request after 12 s, the rest is for a machine with other work. Without
// them a response takes as long as TCP repeats its segments, a quarter of an hour.
const longestResponse = 35 * time.Second

func TestACutNetworkIsBoundedAndHeals(t *testing.T) {
	t.Parallel()
	outage := storetest.NewOutage(t)
	w := newWire(t, outage.Socket())
	s := newSiteAt(t, t.TempDir(), w.url())
	p := s.start()
	access, refresh := p.session(adminEmail)
	p.hangUp()
	before := p.goroutines()
	tr := drive(p, 24) // more than there are connections
	p.eventually("refreshes are served", tr.served("refresh", http.StatusOK))

	w.cut()
	red := p.becomesUnready()
	timed := func(what string, call func() response) {
		start := time.Now()
		p.unavailable(what, call())
		if took := time.Since(start); took > longestResponse {
			t.Errorf("%s: the refusal took %v", what, took)
		}
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { timed("me", func() response { return p.me(access) }) })
	waiting.Go(func() {
		timed("users", func() response { return p.call(http.MethodGet, "/api/v1/auth/users", access, nil) })
	})
	waiting.Go(func() { timed("a registration", func() response { return p.register("unknown@example.org") }) })
	for range 5 {
		p.verifies(access)
		time.Sleep(200 * time.Millisecond)
	}
	waiting.Wait()

	w.heal()
	green := p.becomesReady()
	p.eventually("refreshes are served again", tr.served("refresh", http.StatusOK))
	p.eventually("access tokens are accepted again", tr.served("me", http.StatusOK))
	t.Logf("unready after %v, ready after %v", red.Round(time.Millisecond), green.Round(time.Millisecond))
	tr.end()
	if tr.slowest > longestResponse {
		t.Errorf("the slowest response took %v", tr.slowest)
	}
	p.must(p.refresh(refresh))
	p.settles(before)
	p.noDefects()
	p.stop()
}
