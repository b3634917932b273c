//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

// bareServer is the argument that makes this program the server of bench/limit.
const bareServer = "bare-server"

// pace is how long a run takes.
type pace struct {
	name   string
	rounds int
	window time.Duration // of one load
	logins time.Duration // of one load of logins, which come in batches of 0.2 s
	warm   time.Duration
	flood  time.Duration
	people int // of the large database
	many   int // refreshes until memory is looked at
}

func paces() []pace {
	return []pace{
		{"full", 3, 2 * time.Second, 5 * time.Second, 300 * time.Millisecond, 4 * time.Second, 1_000_000, 100_000},
		{"check", 3, 800 * time.Millisecond, 3 * time.Second, 200 * time.Millisecond, 2 * time.Second, 100_000, 20_000},
		{"quick", 1, 200 * time.Millisecond, 600 * time.Millisecond, 50 * time.Millisecond, time.Second / 2, 10_000, 1_000},
	}
}

// scenario is one part of the bench. Its rows' keys begin with its name.
type scenario struct {
	name  string
	run   func(*lab) error
	check bool // short enough for bench-check
}

func scenarios() []scenario {
	return []scenario{
		{"start", (*lab).start, true},
		{"login", (*lab).login, true},
		{"flood", (*lab).flood, false},
		{"refresh", (*lab).refresh, true},
		{"read", (*lab).read, true},
		{"mixed", (*lab).mixed, false},
		{"memory", (*lab).memory, false},
		{"growth", (*lab).growth, false},
		{"postgres", (*lab).postgres, false},
		{"store", (*lab).store, false},
	}
}

func names() []string {
	var all []string
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

func choose(o options) ([]scenario, error) {
	var chosen []scenario
	wanted := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("there is no scenario %q; there are %v", name, names())
		}
	}
	for _, s := range scenarios() {
		switch {
		case o.soak > 0:
		case len(wanted) > 0 && !slices.Contains(wanted, s.name):
		case len(wanted) == 0 && o.pace == "check" && !s.check:
		default:
			chosen = append(chosen, s)
		}
	}
	if o.soak > 0 {
		chosen = []scenario{{"soak", func(l *lab) error { return l.soak(o.soak) }, false}}
	}
	return chosen, nil
}

// lab is one run of the bench.
type lab struct {
	ctx    context.Context //nolint:containedctx // a run is one act of a program
	binary string
	self   string
	dir    string
	out    string
	pace   pace
	rows   []report.Row
	charts []report.Chart
}

func newLab(ctx context.Context, o options) (*lab, error) {
	l := &lab{ctx: ctx, binary: o.binary, out: o.out}
	all := paces()
	l.pace = all[slices.IndexFunc(all, func(p pace) bool { return p.name == o.pace })]
	var err error
	if l.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp(o.dir, "pico-bench-"); err != nil {
		return nil, err
	}
	return l, os.Chmod(l.dir, 0o711) //nolint:gosec // PostgreSQL's user has a folder below
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

// perform runs the scenarios. One that fails does not keep the others from
// being measured.
func (l *lab) perform(chosen []scenario) error {
	var failed error
	for _, s := range chosen {
		begin := time.Now()
		err := s.run(l)
		fmt.Fprintf(os.Stderr, "%-10s %3.0f s\n", s.name, time.Since(begin).Seconds())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		if l.ctx.Err() != nil {
			break
		}
	}
	return failed
}

// add keeps rows. A load that was too short for a single answer has measured
// nothing.
func (l *lab) add(rows ...report.Row) {
	for _, row := range rows {
		useless := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v == 0 }
		if row.Samples = slices.DeleteFunc(row.Samples, useless); len(row.Samples) == 0 && row.Missing == "" {
			row.Missing = "the run was too short"
		}
		l.rows = append(l.rows, row)
	}
}

// closed is a side of round that applies the load and keeps what it measured.
func closed(c load.Closed, kept *[]load.Result) func() (float64, error) {
	return func() (float64, error) {
		r, err := c.Run()
		*kept = append(*kept, r)
		return r.Rate(), err
	}
}

// bareRate is a side of round that does bare work on all cores and keeps its
// speed.
func bareRate(over time.Duration, newWork func() (func() error, error), kept *[]limit.Speed) func() (float64, error) {
	return func() (float64, error) {
		s, err := limit.Rate(over, newWork)
		*kept = append(*kept, s)
		return s.Rate, err
	}
}

// cpus is the CPU of one work in each round, in microseconds. Where others use
// the machine too it varies far less than a rate.
func cpus(speeds []limit.Speed) []float64 {
	all := make([]float64, len(speeds))
	for i, s := range speeds {
		all[i] = micro(s.CPU)
	}
	return all
}

// cpu is what the program spent on one answer, in microseconds.
func cpu(r load.Result) float64 { return micro(r.CPU()) }

// typical is the result with the median rate.
func typical(results []load.Result) load.Result {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b load.Result) int { return cmp.Compare(a.Rate(), b.Rate()) })
	return sorted[len(sorted)/2]
}

// each takes one number of each result.
func each(results []load.Result, number func(load.Result) float64) []float64 {
	all := make([]float64, len(results))
	for i, r := range results {
		all[i] = number(r)
	}
	return all
}

// p50 and p99 are latencies in nanoseconds.
func p50(r load.Result) float64 { return float64(r.Quantile(50)) }

func p99(r load.Result) float64 { return float64(r.Quantile(99)) }

func (l *lab) result(took time.Duration) report.Result {
	version, err := exec.CommandContext(l.ctx, l.binary, "version").Output() //nolint:gosec // the program under test
	if err != nil {
		version = []byte("unknown")
	}
	fields := strings.Fields(string(version))
	return report.Result{
		When: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Version: fields[min(1, len(fields)-1)],
		Took: took.Round(time.Second).String(), Rows: l.rows, Charts: l.charts,
	}
}

// machine names the processor.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // its name is an ornament
	_, after, _ := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(strings.TrimLeft(after, "\t :"), "\n")
	if name == "" {
		name = runtime.GOARCH
	}
	return fmt.Sprintf("%d cores of %s, %s", runtime.NumCPU(), name, runtime.Version())
}

// world is a site with people in it whose program runs.
type world struct {
	*site.Site
	*site.Process
	sessions []*session
}

// open makes a site, fills it and starts the program.
func (l *lab) open(seed site.Seed, env map[string]string) (*world, error) {
	s, err := site.New(l.binary, l.dir, env)
	if err != nil {
		return nil, err
	}
	return l.openAt(s, seed)
}

func (l *lab) openAt(s *site.Site, seed site.Seed) (*world, error) {
	w := &world{Site: s}
	if err := s.Fill(l.ctx, seed); err != nil {
		return nil, errors.Join(err, w.close())
	}
	var err error
	if w.Process, err = s.Start(l.ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	for _, n := range seed.Sessions() {
		w.sessions = append(w.sessions, newSession(n))
	}
	return w, nil
}

func (w *world) close() error {
	var err error
	if w.Process != nil {
		err = w.Stop()
	}
	return errors.Join(err, w.Remove())
}

// bare starts the server with nothing behind it.
func (l *lab) bare() (*site.Process, error) { return site.Bare(l.ctx, l.dir, l.self, bareServer) }

// round runs the sides in turn, each as often as the pace says, so that all of
// them meet the same weather, and returns what each measured.
func (l *lab) round(sides ...func() (float64, error)) ([][]float64, error) {
	measured := make([][]float64, len(sides))
	for range l.pace.rounds {
		for i, side := range sides {
			if err := l.ctx.Err(); err != nil {
				return nil, err
			}
			v, err := side()
			if err != nil {
				return nil, err
			}
			measured[i] = append(measured[i], v)
		}
	}
	return measured, nil
}

// over divides round by round.
func over(a, b []float64) []float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return ratios
}

// times multiplies each.
func times(a []float64, by float64) []float64 {
	products := make([]float64, len(a))
	for i := range a {
		products[i] = a[i] * by
	}
	return products
}

func median(a []float64) float64 { return report.Row{Samples: a}.Median() }

// milliseconds of a duration, and micro for microseconds.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
