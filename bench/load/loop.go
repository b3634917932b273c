//go:build linux

package load

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Step is one request of one client: it sends it and judges the answer. An
// error that is ErrRefused or ErrFailed is counted, any other ends the load.
type Step func(c *Conn) error

// What a server may answer without ending the load.
var (
	ErrRefused = errors.New("refused by the server") // 429: it chose not to do the work
	ErrFailed  = errors.New("the server failed")     // 5xx: it could not
)

// Result is what a load measured between the end of its warm-up and its end.
type Result struct {
	Done      int64 // answers before the end; the latencies have those in flight at the end, too
	Refused   int64 // 429
	Failed    int64 // 5xx
	Elapsed   time.Duration
	Server    time.Duration // CPU of the server
	Generator time.Duration // CPU of this process
	Latency   *hdrhistogram.Histogram
	Late      *hdrhistogram.Histogram // how late the generator itself sent; open loop only
}

// Short says that answers came, but none before the end: the load was too short
// to measure a rate. A load without any answer is not short; its rate is 0.
func (r Result) Short() bool { return r.Done == 0 && r.Latency.TotalCount() > 0 }

// Rate is answers a second, NaN when the load was too short for one.
func (r Result) Rate() float64 {
	if r.Short() {
		return math.NaN()
	}
	return float64(r.Done) / r.Elapsed.Seconds()
}

// CPU is the server's CPU time for one response, 0 without a response.
func (r Result) CPU() time.Duration {
	if r.Done == 0 {
		return 0
	}
	return r.Server / time.Duration(r.Done)
}

// Quantile is the latency at a percentile, such as 99.9; 0 without an answer.
func (r Result) Quantile(percentile float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(percentile))
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(2*time.Minute), 3)
}

// Closed is a fixed number of clients of which each sends its next request when
// it has its answer. Latency is the time of an answer; the rate is what the
// server can do. What is in flight at the end is waited for and its latency
// counts, so that the slowest answers are not those that are left out.
type Closed struct {
	Addr    string
	Clients []Step
	Warm    time.Duration
	For     time.Duration
	CPU     func() time.Duration // of the server so far; nil: not asked

	Dial func(addr string) (*Conn, error) // nil: the function Dial
}

// The phases of a load.
const (
	warming int32 = iota
	measuring
	over
)

// Run applies the load.
func (l Closed) Run() (Result, error) {
	var phase atomic.Int32
	tallies := make([]tally, len(l.Clients))
	errs := make([]error, len(l.Clients))
	if l.Dial == nil {
		l.Dial = Dial
	}
	conns, hangUp, err := dialAll(len(l.Clients), l.Addr, l.Dial)
	defer hangUp()
	if err != nil {
		return Result{}, err
	}
	var clients sync.WaitGroup
	for i, step := range l.Clients {
		t := &tallies[i]
		t.latency = newHistogram()
		clients.Go(func() {
			for phase.Load() != over && errs[i] == nil {
				begin := time.Now()
				err := step(conns[i])
				took := time.Since(begin)
				at := phase.Load()
				if errs[i] = t.count(err, took, at != warming); err == nil && at == measuring {
					t.done++
				}
			}
		})
	}
	time.Sleep(l.Warm)
	meter := startMeter(l.CPU)
	phase.Store(measuring)
	time.Sleep(l.For)
	phase.Store(over)
	r := meter.stop()
	clients.Wait()
	r.collect(tallies)
	return r, errors.Join(errs...)
}

// Open sends at a fixed rate whatever the server does: each latency is counted
// from the moment at which the request should have been sent, so a server that
// stalls cannot hide those that it kept from being sent.
type Open struct {
	Addr  string
	Conns int // requests at the same time, at most
	Step  Step
	Rate  int // a second
	Warm  time.Duration
	For   time.Duration
	CPU   func() time.Duration // of the server so far; nil: not asked

	// First lets the threads of this load run before all others of the machine,
	// where that is permitted: a client that waits has cores of its own.
	First bool
}

// Run applies the load. Each connection has a thread of its own that sleeps in
// the kernel.
func (l Open) Run() (Result, error) {
	interval := time.Second / time.Duration(l.Rate)
	skip := int64(l.Warm / interval)
	last := skip + int64(l.For/interval)
	var next atomic.Int64
	tallies := make([]tally, l.Conns)
	lates := make([]*hdrhistogram.Histogram, l.Conns)
	errs := make([]error, l.Conns)
	conns, hangUp, err := dialAll(l.Conns, l.Addr, DialBlocking)
	defer hangUp()
	if err != nil {
		return Result{}, err
	}
	start := time.Now().Add(10 * time.Millisecond)
	var clients sync.WaitGroup
	for i := range conns {
		t, late := &tallies[i], newHistogram()
		t.latency, lates[i] = newHistogram(), late
		clients.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its goroutine, and its priority with it
			if l.First {
				precede()
			}
			for n := next.Add(1) - 1; n < last; n = next.Add(1) - 1 {
				intended := start.Add(time.Duration(n) * interval)
				errs[i] = sleepUntil(intended)
				lateness := time.Since(intended)
				err := l.Step(conns[i])
				took := time.Since(intended)
				errs[i] = errors.Join(errs[i], t.count(err, took, n >= skip))
				if err == nil && n >= skip {
					t.done++
					errs[i] = errors.Join(errs[i], late.RecordValue(int64(max(lateness, time.Microsecond))))
				}
				if errs[i] != nil {
					return
				}
			}
		})
	}
	time.Sleep(time.Until(start) + l.Warm)
	meter := startMeter(l.CPU)
	clients.Wait()
	r := meter.stop()
	r.collect(tallies)
	r.Late = merge(lates)
	return r, errors.Join(errs...)
}

// sleepUntil sleeps in the kernel: Go's timers come up to a millisecond late.
func sleepUntil(t time.Time) error {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := syscall.NsecToTimespec(int64(d))
		if err := syscall.Nanosleep(&ts, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("sleep: %w", err)
		}
	}
	return nil
}

// dialAll makes n connections. hangUp ends those that were made, whatever the
// error.
func dialAll(n int, addr string, dial func(string) (*Conn, error)) (conns []*Conn, hangUp func(), err error) {
	hangUp = func() {
		for _, c := range conns {
			_ = c.Close() // nothing is on it any more
		}
	}
	for range n {
		c, err := dial(addr)
		if err != nil {
			return conns, hangUp, err
		}
		conns = append(conns, c)
	}
	return conns, hangUp, nil
}
