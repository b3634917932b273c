//go:build linux

package load_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pico-auth/pico-auth/bench/load"
)

// serve starts a server on a socket and returns its address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func get(c *load.Conn) error {
	status, _, err := c.Do(load.Request("GET", "/", "", ""))
	if err == nil && status != 200 {
		return load.ErrRefused
	}
	return err
}

// stallOnce answers at once but for one request, during which allUsers waits.
func stallOnce(at int64, stall time.Duration) http.HandlerFunc {
	var requests atomic.Int64
	var until atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == at {
			until.Store(time.Now().Add(stall).UnixNano())
		}
		time.Sleep(time.Until(time.Unix(0, until.Load())))
		_, _ = w.Write([]byte("ok"))
	}
}

// A stall of 400 ms under 200 requests a second keeps 80 from being answered in
// time, although only two connections wait: the 78 that were not sent count, as
// late as they were.
func TestOpenLoopCountsWhatAStallKeptFromBeingSent(t *testing.T) {
	const stall = 400 * time.Millisecond
	addr := serve(t, stallOnce(100, stall))
	r, err := load.Open{Addr: addr, Conns: 2, Step: get, Rate: 200, For: 2 * time.Second}.Run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 400 {
		t.Errorf("%d answers to 400 requests", r.Done)
	}
	late := int64(0)
	for _, bar := range r.Latency.Distribution() {
		if bar.From >= int64(stall/10) {
			late += bar.Count
		}
	}
	if late < 60 {
		t.Errorf("only %d latencies show the stall", late)
	}
	if p99 := r.Quantile(99); p99 < stall*9/10 {
		t.Errorf("p99 is %v after a stall of %v", p99, stall)
	}
	if late := time.Duration(r.Late.Max()); late < stall/2 {
		t.Errorf("the generator says that it was late by %v at most", late)
	}
}

// TestFirstLoadRunsBeforeOrdinaryThreads: without the right to, it runs like them.
func TestFirstLoadRunsBeforeOrdinaryThreads(t *testing.T) {
	permitted := make(chan bool)
	go func() {
		runtime.LockOSThread()
		permitted <- unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0) == nil
	}()
	want := uint32(unix.SCHED_NORMAL)
	if <-permitted {
		want = unix.SCHED_FIFO
	}
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, first := range []bool{true, false} {
		var policy atomic.Uint32
		r, err := load.Open{Addr: addr, Conns: 1, Rate: 100, For: 20 * time.Millisecond, First: first, Step: func(c *load.Conn) error {
			attr, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				return err
			}
			policy.Store(attr.Policy)
			return get(c)
		}}.Run()
		if err != nil || r.Done == 0 {
			t.Fatalf("%d answers, %v", r.Done, err)
		}
		if got := policy.Load(); got != want {
			t.Errorf("first %v: the policy of its thread is %d, not %d", first, got, want)
		}
		want = unix.SCHED_NORMAL
	}
}

func TestClosedLoopMeasuresAKnownDelay(t *testing.T) {
	const delay = 20 * time.Millisecond
	var served atomic.Int64
	addr := serve(t, func(http.ResponseWriter, *http.Request) {
		time.Sleep(delay)
		served.Add(1)
	})
	r, err := load.Closed{Addr: addr, Clients: []load.Step{get, get, get, get}, Warm: 2 * delay, For: 100 * delay}.Run()
	if err != nil {
		t.Fatal(err)
	}
	if least := time.Duration(r.Latency.Min()); least < delay*99/100 {
		t.Errorf("an answer after %v, sooner than the server gives one", least)
	}
	if r.Done == 0 || r.Done > served.Load() {
		t.Errorf("%d answers of a server that gave %d", r.Done, served.Load())
	}
	if most := 4 * float64(time.Second) / float64(delay); r.Rate() > most*1.1 {
		t.Errorf("%.0f answers a second of a server that gives at most %.0f", r.Rate(), most)
	}
}

func TestRefusalsAndFailuresAreCountedApart(t *testing.T) {
	status := func(wrong error) load.Step {
		return func(c *load.Conn) error {
			if _, _, err := c.Do(load.Request("GET", "/", "", "")); err != nil {
				return err
			}
			return wrong
		}
	}
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	r, err := load.Closed{Addr: addr, Clients: []load.Step{status(load.ErrRefused), status(load.ErrFailed)}, For: time.Second}.Run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 0 || r.Refused == 0 || r.Failed == 0 {
		t.Errorf("%d done, %d refused, %d failed", r.Done, r.Refused, r.Failed)
	}
	if r.Short() || r.Rate() != 0 {
		t.Errorf("a server that did nothing has a rate of %v", r.Rate())
	}
}

// TestClosedLoopWaitsForWhatIsInFlight: the slowest answers are the likeliest
// to be in flight when the time is over.
func TestClosedLoopWaitsForWhatIsInFlight(t *testing.T) {
	const delay = 300 * time.Millisecond
	addr := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(delay) })
	r, err := load.Closed{Addr: addr, Clients: []load.Step{get}, For: delay / 3}.Run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 0 || r.Latency.TotalCount() != 1 || r.Quantile(50) < delay*99/100 {
		t.Errorf("%d done, %d latencies, of %v", r.Done, r.Latency.TotalCount(), r.Quantile(50))
	}
	if !r.Short() || !math.IsNaN(r.Rate()) {
		t.Errorf("a load too short for an answer has a rate of %v", r.Rate())
	}
}

func TestConnReadsEveryFormOfAnswer(t *testing.T) {
	long := strings.Repeat("0123456789", 5000) // beyond every buffer, so chunked
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			_, _ = w.Write([]byte(long[:30_000]))
			_, _ = w.Write([]byte(long[30_000:]))
		case "/none":
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Etag", `"x"`)
			_, _ = w.Write([]byte("short"))
		}
	})
	for name, dial := range map[string]func(string) (*load.Conn, error){"polled": load.Dial, "blocking": load.DialBlocking} {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		for _, want := range []struct {
			path   string
			status int
			body   string
		}{{"/short", 200, "short"}, {"/long", 200, long}, {"/none", 304, ""}, {"/short", 200, "short"}} {
			status, body, err := c.Do(load.Request("GET", want.path, "", ""))
			if err != nil || status != want.status || string(body) != want.body {
				t.Errorf("%s, %s: %d, %d bytes, %v", name, want.path, status, len(body), err)
			}
		}
		if etag, found := c.Header("Etag"); !found || etag != `"x"` {
			t.Errorf("%s: Etag is %q", name, etag)
		}
	}
}
