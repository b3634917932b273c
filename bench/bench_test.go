//go:build linux

package main

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/internal/programtest"
)

// TestBenchMeasuresTheRealProgram runs three scenarios, as shortly as they can
// be, and judges no number.
func TestBenchMeasuresTheRealProgram(t *testing.T) {
	dir := t.TempDir()
	program, err := programtest.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bench"), ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "bench"), "-quick", "-only", "read,refresh,provider",
		"-binary", program, "-dir", dir, "-out", filepath.Join(dir, "result.json")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{"GET /me", "GET /me on one core", "refreshes on one core", "key set", "refresh, RS256", "refresh, ML-DSA-65", "client credentials, ES256", "code flow", "CPU of an introspection"} {
		if !strings.Contains(string(out), "\n"+path) {
			t.Errorf("no row %q in\n%s", path, out)
		}
	}
}

// TestOnlyKnownScenariosAreChosen: a slip of the pen is not an empty table.
func TestOnlyKnownScenariosAreChosen(t *testing.T) {
	if _, err := choose(options{only: "login,nothing"}); err == nil {
		t.Error("a scenario that does not exist was chosen")
	}
	chosen, err := choose(options{only: "read,login"})
	if err != nil || len(chosen) != 2 || chosen[0].name != "login" {
		t.Errorf("%v, %v", chosen, err)
	}
}

// keysOfTheBench are the keys of rows that the sources name in full.
func keysOfTheBench(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			field, named := pair.Key.(*ast.Ident)
			text, literal := pair.Value.(*ast.BasicLit)
			if named && literal && field.Name == "Key" {
				if key, err := strconv.Unquote(text.Value); err == nil {
					keys = append(keys, key)
				}
			}
			return true
		})
	}
	return keys
}

// TestBoundsAreOfRowsThatTheCheckMeasures: a bound of another row would break
// every check, or none.
func TestBoundsAreOfRowsThatTheCheckMeasures(t *testing.T) {
	bounds, err := report.ReadBounds("bounds.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(bounds.Rows) == 0 {
		t.Error("no bounds")
	}
	chosen, err := choose(options{pace: "check"})
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOfTheBench(t)
	for key, bound := range bounds.Rows {
		if (bound.AtLeast == 0) == (bound.AtMost == 0) {
			t.Errorf("%s: %+v is not one bound", key, bound)
		}
		part := report.Row{Key: key}.Scenario()
		if !slices.Contains(keys, key) || !slices.ContainsFunc(chosen, func(s scenario) bool { return s.name == part }) {
			t.Errorf("%s: no scenario of the check makes such a row", key)
		}
	}
}

func TestAScenarioThatFailedIsNamedAndLeavesNoRow(t *testing.T) {
	l := &lab{ctx: context.Background()}
	row := func(key string) report.Row { return report.Row{Key: key, Samples: []float64{1}} }
	err := l.perform([]scenario{
		{"read", func(l *lab) error { l.add(row("read.me")); return nil }, true},
		{"login", func(l *lab) error { l.add(row("login.cpu")); return errors.New("no answer") }, true},
		{"soak", func(l *lab) error { l.add(row("soak.memory")); return errJudged }, true},
	})
	if err == nil || !errors.Is(err, errJudged) {
		t.Errorf("the failures are %v", err)
	}
	if len(l.rows) != 3 || l.rows[0].Key != "read.me" || l.rows[1].Key != "login" || l.rows[1].Missing == "" || l.rows[2].Key != "soak.memory" {
		t.Errorf("%+v", l.rows)
	}
}

// TestNothingAnsweredIsShown, and only what is no number is not.
func TestNothingAnsweredIsShown(t *testing.T) {
	l := &lab{}
	l.add(report.Row{Samples: over([]float64{0, 2, math.NaN(), 2}, []float64{1, 0, 1, 1})})
	if got := l.rows[0].Samples; !slices.Equal(got, []float64{0, 0, 2}) || l.rows[0].Verdict() != report.Failed {
		t.Errorf("%v, %s", got, l.rows[0].Verdict())
	}
	l.add(report.Row{Samples: []float64{math.NaN(), math.Inf(1)}})
	if l.rows[1].Missing == "" {
		t.Error("a row without a number is not missing")
	}
}

func TestImpossibleRatiosAreDoubted(t *testing.T) {
	for _, c := range []struct {
		ratios      []float64
		least, most float64
		doubted     bool
	}{
		{[]float64{0.9, 1.04, math.NaN()}, 0, 1, false},
		{[]float64{0.9, 1.06}, 0, 1, true},
		{[]float64{0.96, 3}, 1, 0, false},
		{[]float64{0.94, 3}, 1, 0, true},
		{[]float64{0}, 1, 0, false}, // it failed, which is worse
	} {
		if got := doubt(c.ratios, c.least, c.most); (got != "") != c.doubted {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestAnAnswerOf5xxIsNoRefusal, and fails a soak.
func TestAnAnswerOf5xxIsNoRefusal(t *testing.T) {
	for status, want := range map[int]error{200: nil, 429: load.ErrRefused, 500: load.ErrFailed, 503: load.ErrFailed} {
		if err := judge(status, nil, nil); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	var sum answers
	sum.add(load.Result{Done: 10, Refused: 5})
	if err := sum.judge(); err != nil {
		t.Error(err)
	}
	sum.add(load.Result{Done: 10, Failed: 1})
	if err := sum.judge(); !errors.Is(err, errJudged) {
		t.Errorf("one answer of 5xx: %v", err)
	}
}

func TestBenchmarksAreReadByUnit(t *testing.T) {
	n := strconv.Itoa(max(2, runtime.GOMAXPROCS(0)))
	out := "goos: linux\nBenchmarkMint/ML-DSA-65/mint-" + n + "   308   426445 ns/op   2707 jwk-bytes   -47.5 ns-around   9 allocs/op\nPASS\n"
	values, err := parseBenchmarks(out, "ns-around")
	if name := "Mint/ML-DSA-65/mint"; err != nil || len(values) != 1 || runtime.GOMAXPROCS(0) > 1 && values[name] != -47.5 {
		t.Errorf("%v, %v", values, err)
	}
}

// TestOnlyARunOfAllReplacesEverything: a row of an earlier run does not outlive
// one that was to measure all.
func TestOnlyARunOfAllReplacesEverything(t *testing.T) {
	l := &lab{out: filepath.Join(t.TempDir(), "result.json")}
	row := func(key string) []report.Row { return []report.Row{{Key: key, Samples: []float64{1}}} }
	for _, c := range []struct {
		key  string
		some bool
		want []string
	}{
		{"read.me", true, []string{"read.me"}}, // there is no earlier one
		{"login.cpu", true, []string{"login.cpu", "read.me"}},
		{"start.idle", false, []string{"start.idle"}},
	} {
		if err := l.keep(report.Result{Rows: row(c.key)}, c.some); err != nil {
			t.Fatal(err)
		}
		kept, err := report.Read(l.out)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, r := range kept.Rows {
			keys = append(keys, r.Key)
		}
		if !slices.Equal(keys, c.want) {
			t.Errorf("after %s: %v, want %v", c.key, keys, c.want)
		}
	}
}

// A latency of seconds is as easy to read as one of microseconds.
func TestShortLatenciesHaveNoExponent(t *testing.T) {
	for nanoseconds, want := range map[int64]string{2_230_000_000: "2230", 99_900_000: "99.9", 1_234_000: "1.23", 45_000: "0.045"} {
		r := load.Result{Latency: hdrhistogram.New(1, int64(time.Minute), 5)}
		if err := r.Latency.RecordValue(nanoseconds); err != nil {
			t.Fatal(err)
		}
		if got := short(r, 50); got != want {
			t.Errorf("%d ns is %s ms, want %s", nanoseconds, got, want)
		}
	}
}
