//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/report"
)

// bareServer is the argument that makes this program the server of bench/limit.
const bareServer = "bare-server"

// pace is how long a run takes.
type pace struct {
	name   string
	rounds int
	window time.Duration // of one load
	logins time.Duration // of one load of logins, each of which takes 0.2 s and more
	warm   time.Duration
	flood  time.Duration
	users  int // of the large database
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
		{"attack", (*lab).attack, false},
		{"refresh", (*lab).refresh, true},
		{"read", (*lab).read, true},
		{"provider", (*lab).provider, true},
		{"authorize", (*lab).authorizeFlood, false},
		{"revoked", (*lab).revoked, false},
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

// errJudged marks the error of a scenario that measured well what is not good
// enough: its rows stand.
var errJudged = errors.New("measured, and not good enough")

// perform runs the scenarios. One that fails does not keep the others from
// being measured; its own rows go, and one that names it stands for them.
func (l *lab) perform(chosen []scenario) error {
	var failed error
	for _, s := range chosen {
		begin, rows, charts := time.Now(), len(l.rows), len(l.charts)
		err := s.run(l)
		fmt.Fprintf(os.Stderr, "%-10s %3.0f s\n", s.name, time.Since(begin).Seconds())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		if l.ctx.Err() != nil {
			break
		}
		if err != nil && !errors.Is(err, errJudged) {
			why, _, _ := strings.Cut(err.Error(), "\n")
			l.rows, l.charts = l.rows[:rows], l.charts[:charts]
			l.add(report.Row{Key: s.name, Path: "all of " + s.name, Missing: "it failed: " + why})
		}
	}
	return failed
}

// add keeps rows. A round that measured nothing is NaN or infinite and no
// sample; one in which the server answered nothing is 0, stays, and shows.
func (l *lab) add(rows ...report.Row) {
	for _, row := range rows {
		if row.Samples = measured(row.Samples); len(row.Samples) == 0 && row.Missing == "" {
			row.Missing = "the run was too short"
		}
		l.rows = append(l.rows, row)
	}
}

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
