//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

// soakSamples is how often a soak looks.
const soakSamples = 120

// flatness is what may not grow, and by how much it may all the same.
type flatness struct {
	key   string
	path  string
	unit  string
	slack float64 // beyond a tenth
	of    func(*target) (float64, error)
	y     []float64
}

func gauges() []*flatness {
	return []*flatness{
		{key: "memory", path: "resident memory", unit: "MiB", slack: 3, of: func(w *target) (float64, error) { return float64(w.Resident()) / (1 << 20), nil }},
		{key: "goroutines", path: "goroutines", unit: "", slack: 5, of: func(w *target) (float64, error) { return w.Metric("go_goroutines") }},
		{key: "files", path: "file descriptors", unit: "", slack: 5, of: func(w *target) (float64, error) { return float64(w.Files()), nil }},
		{key: "wal", path: "write-ahead log", unit: "MiB", slack: 4, of: func(w *target) (float64, error) { return float64(w.WAL()) / (1 << 20), nil }},
	}
}

// settled is the gauge when it has come to rest: the program needs a moment to
// see that the clients of the last load have hung up.
func (g *flatness) settled(w *target) (float64, error) {
	v, err := g.of(w)
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		now, again := g.of(w)
		if err = errors.Join(err, again); err != nil || now >= v {
			return min(v, now), err
		}
		v = now
	}
	return v, err
}

// soak keeps the program busy and fails when something grows or an answer is
// 5xx: it compares the second quarter of the time with the last.
func (l *lab) soak(length time.Duration) (err error) {
	w, err := l.open(site.Seed{Users: manyClients, Cost: growthCost}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := enterAll(w.Addr, w.sessions); err != nil {
		return err
	}
	clients := append(mix(w.sessions), logins(2)...)
	all := gauges()
	var x, rates []float64
	var sum answers
	interval := max(length/soakSamples, time.Second)
	begin := time.Now()
	for time.Since(begin) < length && l.ctx.Err() == nil {
		r, err := load.Closed{Addr: w.Addr, Clients: clients, For: interval}.Run()
		if err != nil {
			return err
		}
		sum.add(r)
		rates = append(rates, r.Rate())
		x = append(x, time.Since(begin).Minutes())
		fmt.Fprintf(os.Stderr, "%6.1f min  %6.0f/s  %d refused, %d answered 5xx", x[len(x)-1], r.Rate(), r.Refused, r.Failed)
		for _, g := range all {
			v, err := g.settled(w)
			if err != nil {
				return err
			}
			g.y = append(g.y, v)
			fmt.Fprintf(os.Stderr, "  %s %.1f %s", g.path, v, g.unit)
		}
		fmt.Fprintln(os.Stderr)
	}
	chart := report.Chart{Name: "soak", Title: "Under load without a pause: what must not grow", Unit: fmt.Sprintf("66 clients, 1 login : 20 refreshes : 200 reads, at %.0f requests a second in the median", median(rates))}
	bad := sum.judge()
	l.add(report.Row{Key: "soak.requests", Path: "requests answered in " + length.String(), Unit: "a second", Samples: []float64{median(rates)}, Context: sum.String()})
	for _, g := range all {
		early, late := middle(g.y, 1), middle(g.y, 3)
		l.add(report.Row{
			Key: "soak." + g.key, Path: g.path + ", last quarter over the second", AtMost: 1.1 + g.slack/max(early, 1),
			Samples: []float64{max(late, 1e-3) / max(early, 1e-3)}, Context: fmt.Sprintf("%.1f, then %.1f %s, at most %.1f", early, late, g.unit, slices.Max(g.y)),
		})
		if late > 1.1*early+g.slack {
			bad = errors.Join(bad, fmt.Errorf("%w: %s grew from %.1f to %.1f %s", errJudged, g.path, early, late, g.unit))
		}
		chart.Lines = append(chart.Lines, report.Line{Label: g.path, Unit: g.unit, X: x, Y: g.y})
	}
	l.charts = append(l.charts, chart)
	return bad
}

// answers are all of a soak's.
type answers struct{ done, refused, failed int64 }

func (a *answers) add(r load.Result) {
	a.done, a.refused, a.failed = a.done+r.Done, a.refused+r.Refused, a.failed+r.Failed
}

func (a *answers) String() string {
	return fmt.Sprintf("%d answers, %d refused, %d answered 5xx", a.done, a.refused, a.failed)
}

// judge allows refusals, which protect the server, and no failure of it.
func (a *answers) judge() error {
	switch {
	case a.failed > 0:
		return fmt.Errorf("%w: %d requests were answered 5xx", errJudged, a.failed)
	case a.done == 0:
		return fmt.Errorf("%w: no request was answered", errJudged)
	}
	return nil
}

// middle is the median of a quarter, counted from 0.
func middle(y []float64, quarter int) float64 {
	part := y[quarter*len(y)/4 : (quarter+1)*len(y)/4]
	if len(part) == 0 {
		part = y
	}
	return median(part)
}
