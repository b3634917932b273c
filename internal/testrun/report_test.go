package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// told returns the output for the lines of go test -json.
func told(lines ...string) string {
	var out strings.Builder
	events := make(chan event, 100)
	send(events, strings.NewReader(strings.Join(lines, "\n")))
	close(events)
	r := newReport(&out, time.Now())
	r.follow(events, time.Hour)
	r.summary(0)
	return out.String()
}

func TestReportEndsWithTheNumbersOfPassedAndFailedTests(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  []string
		not   string
	}{
		"all pass": {
			[]string{
				`{"Action":"start","Package":"p"}`, `{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1.5}`,
				`{"Action":"output","Package":"p","Output":"ok  \tp\t1.6s\n"}`, `{"Action":"pass","Package":"p"}`,
			},
			[]string{"ok  \tp\t1.6s\n", "1.5 s  TestA in p\n", "\n1 passed, 0 failed\n"},
			"chatter",
		},
		"one fails": {
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`, `{"Action":"output","Package":"p","Test":"TestA","Output":"why\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`, `{"Action":"fail","Package":"p"}`,
			},
			[]string{"TestA in p\nwhy\n", "FAIL\tp\t0.1s\n", "\n0 passed, 1 failed\n"},
			"slept",
		},
		"a panic": {
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`, `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: why\n"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			[]string{"TestA in p did not end\npanic: why\n", "\n0 passed, 1 failed\n"},
			"slept",
		},
		"it does not build": {
			[]string{
				`{"ImportPath":"p","Action":"build-output","Output":"a.go:1: why\n"}`, `{"ImportPath":"p","Action":"build-fail"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`, `{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			},
			[]string{"a.go:1: why\n", "FAIL\tp [build failed]\n", "\n0 passed, 1 failed\n"},
			"slept",
		},
		"one is skipped": {
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`, `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no disk\n"}`,
				`{"Action":"skip","Package":"p","Test":"TestA"}`, `{"Action":"pass","Package":"p"}`,
			},
			[]string{"skipped: TestA in p: a_test.go:1: no disk\n", "\n0 passed, 0 failed\n"},
			"RUN",
		},
	} {
		got := told(c.lines...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", name, want, got)
			}
		}
		if strings.Contains(got, c.not) {
			t.Errorf("%s: %q in\n%s", name, c.not, got)
		}
		if !strings.HasSuffix(got, " failed\n") {
			t.Errorf("%s: it ends with\n%s", name, got)
		}
	}
}

// TestPackagesWithoutTheRaceDetectorStartNoGoroutine holds the lists to what they say.
func TestPackagesWithoutTheRaceDetectorStartNoGoroutine(t *testing.T) {
	for _, dir := range pure {
		noGoroutine(t, dir, true)
	}
	for dir, why := range withoutRace {
		if strings.HasPrefix(why, "starts no goroutine") {
			noGoroutine(t, dir, false)
		}
	}
}

func noGoroutine(t *testing.T, dir string, tests bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s: no files, %v", dir, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") && !tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if startsGoroutine(n) {
				t.Errorf("%s starts a goroutine", name)
			}
			return true
		})
	}
}

// startsGoroutine knows the statement, WaitGroup.Go and tests that are parallel.
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.SelectorExpr:
		return n.Sel.Name == "Go" || n.Sel.Name == "Parallel"
	}
	return false
}
