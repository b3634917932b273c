package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json: see `go doc test2json` and `go help
// buildjson`.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64 // seconds
	Output  string
}

// shown is how many of the slowest tests are printed.
const shown = 10

// report prints the progress and the results.
type report struct {
	out     io.Writer
	started time.Time

	running map[string]*progress
	passed  int
	failed  int
	skipped []string
	slowest []event
}

// progress is the state of a package.
type progress struct {
	output []string            // its own, of no test
	tests  map[string][]string // output of tests that have not ended
	ended  int
	failed bool // one of its tests failed
}

func newReport(out io.Writer, started time.Time) *report {
	return &report{out: out, started: started, running: map[string]*progress{}}
}

// follow prints until there are no more events; it says what is running when
// there was nothing else to say for the time given.
func (r *report) follow(events <-chan event, silence time.Duration) {
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for {
		select {
		case e, more := <-events:
			if !more {
				return
			}
			if r.take(e) {
				tick.Reset(silence)
			}
		case <-tick.C:
			r.alive()
		}
	}
}

// alive says which packages are being tested.
func (r *report) alive() {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		names = append(names, fmt.Sprintf("%s (%d done)", short(name), r.running[name].ended))
	}
	if len(names) == 0 {
		names = []string{"building the tests"}
	}
	fmt.Fprintf(r.out, "%4.0f s  %s\n", time.Since(r.started).Seconds(), strings.Join(names, ", "))
}

func short(pkg string) string { return strings.TrimPrefix(pkg, module+"/") }

// take records one event and reports whether it printed anything.
func (r *report) take(e event) (printed bool) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
		return true
	case e.Package == "":
		return false
	}
	p := r.running[e.Package]
	if p == nil {
		p = &progress{tests: map[string][]string{}}
		r.running[e.Package] = p
	}
	if e.Test == "" {
		return r.packageEvent(p, e)
	}
	return r.testEvent(p, e)
}

func (r *report) testEvent(p *progress, e event) (printed bool) {
	switch e.Action {
	case "run":
		p.tests[e.Test] = nil
		return false
	case "output":
		p.tests[e.Test] = append(p.tests[e.Test], e.Output)
		return false
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		p.failed = true
		fmt.Fprintf(r.out, "%s in %s\n%s", e.Test, short(e.Package), strings.Join(p.tests[e.Test], ""))
		printed = true
	case "skip":
		r.skipped = append(r.skipped, fmt.Sprintf("%s in %s: %s", e.Test, short(e.Package), reason(p.tests[e.Test])))
	default:
		return false
	}
	p.ended++
	delete(p.tests, e.Test)
	if !strings.Contains(e.Test, "/") {
		r.slowest = append(r.slowest, e)
	}
	return printed
}

// reason is the message of a skipped test.
func reason(output []string) string {
	for _, line := range output {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason"
}

func (r *report) packageEvent(p *progress, e event) (printed bool) {
	switch e.Action {
	case "output":
		p.output = append(p.output, e.Output)
		return false
	case "pass", "skip":
		for _, line := range p.output {
			if strings.HasPrefix(line, "ok  ") {
				fmt.Fprint(r.out, line)
				printed = true
			}
		}
	case "fail":
		r.packageFailed(p, e)
		printed = true
	default:
		return false
	}
	delete(r.running, e.Package)
	return printed
}

// packageFailed prints what is not printed yet: the tests that a panic or a
// timeout ended, and what belongs to no test.
func (r *report) packageFailed(p *progress, e event) {
	for _, name := range slices.Sorted(maps.Keys(p.tests)) {
		r.failed++
		p.failed = true
		fmt.Fprintf(r.out, "%s in %s did not end\n%s", name, short(e.Package), strings.Join(p.tests[name], ""))
	}
	if !p.failed {
		r.failed++ // it did not build, or ended outside of its tests
	}
	for _, line := range p.output {
		if line != "FAIL\n" && line != "PASS\n" {
			fmt.Fprint(r.out, line)
		}
	}
}

// summary prints the tests that took longest, those that were skipped, and how
// many there were. The CPU time can be compared on a busy machine too.
func (r *report) summary(used time.Duration) {
	slices.SortFunc(r.slowest, func(a, b event) int { return int(1000 * (b.Elapsed - a.Elapsed)) })
	fmt.Fprintf(r.out, "\nThe slowest tests:\n")
	for _, e := range r.slowest[:min(shown, len(r.slowest))] {
		fmt.Fprintf(r.out, "%7.1f s  %s in %s\n", e.Elapsed, e.Test, short(e.Package))
	}
	for _, line := range r.skipped {
		fmt.Fprintf(r.out, "skipped: %s\n", line)
	}
	fmt.Fprintf(r.out, "\nin %.0f s, %.0f s of CPU, %d skipped\n%d passed, %d failed\n", time.Since(r.started).Seconds(), used.Seconds(), len(r.skipped), r.passed, r.failed)
}
