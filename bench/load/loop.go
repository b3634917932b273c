//go:build linux

package load

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Step is one request of one client: it sends it and judges the answer. An
// error that is ErrRefused is counted, any other ends the load.
type Step func(c *Conn) error

// ErrRefused says that the server answered 429 or 503: it did not do the work.
var ErrRefused = errors.New("refused by the server")

// Result is what a load measured between the end of its warm-up and its end.
type Result struct {
	Done      int64
	Refused   int64
	Elapsed   time.Duration
	Server    time.Duration // CPU of the server
	Generator time.Duration // CPU of this process
	Latency   *hdrhistogram.Histogram
	Late      *hdrhistogram.Histogram // how late the generator itself sent; open loop only
}

// Rate is answers a second.
func (r Result) Rate() float64 { return float64(r.Done) / r.Elapsed.Seconds() }

// CPU is what the server spent on one answer.
func (r Result) CPU() time.Duration { return r.Server / time.Duration(max(r.Done, 1)) }

// Quantile is the latency at a percentile, such as 99.9.
func (r Result) Quantile(percentile float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(percentile))
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(2*time.Minute), 3)
}

// Closed is a fixed number of clients of which each sends its next request when
// it has its answer. Latency is the time of an answer; the rate is what the
// server can do.
type Closed struct {
	Addr    string
	Clients []Step
	Warm    time.Duration
	For     time.Duration
	CPU     func() time.Duration // of the server so far; nil: not asked
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
	histograms := make([]*hdrhistogram.Histogram, len(l.Clients))
	refused := make([]int64, len(l.Clients))
	errs := make([]error, len(l.Clients))
	conns, hangUp, err := dialAll(len(l.Clients), l.Addr, Dial)
	defer hangUp()
	if err != nil {
		return Result{}, err
	}
	var clients sync.WaitGroup
	for i, step := range l.Clients {
		h := newHistogram()
		histograms[i] = h
		clients.Go(func() {
			for phase.Load() != over {
				begin := time.Now()
				err := step(conns[i])
				took := time.Since(begin)
				measured := phase.Load() == measuring
				switch {
				case err == nil && measured:
					errs[i] = h.RecordValue(int64(took))
				case errors.Is(err, ErrRefused):
					if measured {
						refused[i]++
					}
				case err != nil:
					errs[i] = err
				}
				if errs[i] != nil {
					return
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
	r.collect(histograms, refused)
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
}

// Run applies the load. Each connection has a thread of its own that sleeps in
// the kernel.
func (l Open) Run() (Result, error) {
	interval := time.Second / time.Duration(l.Rate)
	skip := int64(l.Warm / interval)
	last := skip + int64(l.For/interval)
	var next atomic.Int64
	histograms := make([]*hdrhistogram.Histogram, l.Conns)
	lates := make([]*hdrhistogram.Histogram, l.Conns)
	refused := make([]int64, l.Conns)
	errs := make([]error, l.Conns)
	conns, hangUp, err := dialAll(l.Conns, l.Addr, DialBlocking)
	defer hangUp()
	if err != nil {
		return Result{}, err
	}
	start := time.Now().Add(10 * time.Millisecond)
	var clients sync.WaitGroup
	for i := range conns {
		h, late := newHistogram(), newHistogram()
		histograms[i], lates[i] = h, late
		clients.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for n := next.Add(1) - 1; n < last; n = next.Add(1) - 1 {
				intended := start.Add(time.Duration(n) * interval)
				errs[i] = sleepUntil(intended)
				lateness := time.Since(intended)
				err := l.Step(conns[i])
				took := time.Since(intended)
				switch {
				case errors.Is(err, ErrRefused):
					refused[i]++
				case err != nil:
					errs[i] = err
				case n >= skip:
					errs[i] = errors.Join(h.RecordValue(int64(took)), late.RecordValue(int64(max(lateness, time.Microsecond))))
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
	r.collect(histograms, refused)
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

func (r *Result) collect(histograms []*hdrhistogram.Histogram, refused []int64) {
	r.Latency = merge(histograms)
	r.Done = r.Latency.TotalCount()
	for _, n := range refused {
		r.Refused += n
	}
}

func merge(histograms []*hdrhistogram.Histogram) *hdrhistogram.Histogram {
	all := newHistogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	return all
}

// meter reads the clocks at both ends of what is measured.
type meter struct {
	begin  time.Time
	server func() time.Duration
	before time.Duration
	own    time.Duration
}

func startMeter(server func() time.Duration) meter {
	if server == nil {
		server = func() time.Duration { return 0 }
	}
	return meter{begin: time.Now(), server: server, before: server(), own: OwnCPU()}
}

func (m meter) stop() Result {
	return Result{Elapsed: time.Since(m.begin), Server: m.server() - m.before, Generator: OwnCPU() - m.own}
}

// OwnCPU is what this process has spent.
func OwnCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
