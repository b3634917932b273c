//go:build linux

package load

import (
	"errors"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally is what one client counted.
type tally struct {
	latency               *hdrhistogram.Histogram
	done, refused, failed int64
}

// count puts one answer where it belongs and returns the error that ends the
// load. Nothing is kept of an answer that does not count.
func (t *tally) count(err error, took time.Duration, counts bool) error {
	var n *int64
	switch {
	case errors.Is(err, ErrRefused):
		n = &t.refused
	case errors.Is(err, ErrFailed):
		n = &t.failed
	case err != nil:
		return err
	}
	switch {
	case !counts:
		return nil
	case n == nil:
		return t.latency.RecordValue(int64(took))
	}
	*n++
	return nil
}

func (r *Result) collect(tallies []tally) {
	histograms := make([]*hdrhistogram.Histogram, len(tallies))
	for i, t := range tallies {
		histograms[i] = t.latency
		r.Done += t.done
		r.Refused += t.refused
		r.Failed += t.failed
	}
	r.Latency = merge(histograms)
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

// OwnCPU is the CPU time of this process.
func OwnCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
