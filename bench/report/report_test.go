package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/bench/report"
)

func TestTheVerdictIsTheMediansWhenTheRoundsAgree(t *testing.T) {
	for _, c := range []struct {
		row  report.Row
		want string
	}{
		{report.Row{AtLeast: 2, Samples: []float64{1.9, 2.5, 3}}, report.Reached},
		{report.Row{AtLeast: 2, Samples: []float64{1.9, 1.95, 3}}, report.Nearly},
		{report.Row{AtLeast: 2, Samples: []float64{1.9, 1.93, 3}}, report.Missed},
		{report.Row{AtMost: 2, Samples: []float64{1.9, 2.05, 3}}, report.Nearly},
		{report.Row{AtMost: 2, Samples: []float64{1.9, 2.07, 3}}, report.Missed},
		{report.Row{AtLeast: 2, Samples: []float64{2, 4, 4.1}}, report.Unreliable},
		{report.Row{Samples: []float64{2, 4, 4.1}}, report.Unreliable},
		{report.Row{AtMost: 2, Samples: []float64{-1, 1}}, report.Unreliable},
		{report.Row{AtLeast: 2, Samples: []float64{3}, Doubt: "more than there can be"}, report.Unreliable},
		{report.Row{AtMost: 2, Samples: []float64{0, 1, 1}}, report.Failed},
		{report.Row{Samples: []float64{0}}, report.Failed},
		{report.Row{AtMost: 2}, report.Unmeasured},
		{report.Row{Samples: []float64{1}}, report.NoAim},
	} {
		if got := c.row.Verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
}

var result = report.Result{
	When: "2026-11-22", Machine: "2 cores", Version: "v1", Took: "1s",
	Rows: []report.Row{
		{Key: "a.b", Path: "a | b", AtLeast: 1, Samples: []float64{1, 2}, Context: "here", When: "2026-11-20", Version: "v0"},
		{Key: "a.c", Path: "none", Missing: "SKIPPED"},
		{Key: "a.d", Path: "disk", Unit: "bytes", Samples: []float64{1024}, Context: "a database", Sizes: true},
	},
	Charts: []report.Chart{
		{Name: "bars", Title: "a < b & c", Bars: []report.Bar{{Label: "<x>", Value: 1, Least: .5, Most: 2, Aim: 1}, {Label: "y"}}},
		{Name: "lines", Title: "lines", Lines: []report.Line{{Label: "m", Unit: "MiB", X: []float64{0, 1}, Y: []float64{3, 4}}, {Label: "empty"}}},
	},
}

const (
	sizes = "<!-- sizes: begin, written by make bench-report -->\nold\n<!-- sizes: end -->\n"
	table = "<!-- bench: begin, written by make bench-report -->\nold\n<!-- bench: end -->\n"
)

// updated is the document after update.
func updated(t *testing.T, text string, update func(document string) error) string {
	t.Helper()
	document := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := update(document); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(now)
}

func TestUpdateReplacesOnlyWhatIsBetweenTheMarks(t *testing.T) {
	dir := t.TempDir()
	text := updated(t, "before\n"+sizes+"middle\n"+table+"after\n", func(document string) error { return result.Update(document, dir) })
	for _, part := range []string{"before\n<!-- sizes: begin", "<!-- sizes: end -->\nmiddle\n<!-- bench: begin", "<!-- bench: end -->\nafter\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Errorf("the document is now\n%s", text)
	}
	if want := `| a \| b | at least 1.00 | 1.50 | 1.00 to 2.00 | reached | here; measured earlier: 2026-11-20 v0 |`; !strings.Contains(text, want) {
		t.Errorf("no row %s in\n%s", want, text)
	}
	if _, err := os.Stat(filepath.Join(dir, "performance-bars.svg")); err != nil {
		t.Error(err)
	}
}

// TestTheRowsThatSizeAServerAreThoseOfTheTable: a reader who meets a number in one
// document finds the same in the other.
func TestTheRowsThatSizeAServerAreThoseOfTheTable(t *testing.T) {
	readme := updated(t, "before\n"+sizes+"after\n", result.UpdateSizes)
	const want = `before
<!-- sizes: begin, written by make bench-report -->

| to size a server | measured | rounds | beside it |
|---|---|---|---|
| disk | 1024 bytes |  | a database |

Measured on 2026-11-22, pico-auth v1, 2 cores, in 1s.

<!-- sizes: end -->
after
`
	if readme != want {
		t.Errorf("%s\nwant\n%s", readme, want)
	}
	page := updated(t, sizes+table, func(document string) error { return result.Update(document, t.TempDir()) })
	block := strings.TrimSuffix(strings.TrimPrefix(want, "before\n"), "after\n")
	if !strings.HasPrefix(page, block) || !strings.Contains(page, "| disk |  | 1024 bytes |  |  | a database |") {
		t.Errorf("%s", page)
	}
}

func TestUpdateRefusesADocumentWithoutMarks(t *testing.T) {
	for _, text := range []string{"text", sizes, table, strings.Replace(sizes+table, "sizes: end", "", 1)} {
		document := filepath.Join(t.TempDir(), "x.md")
		if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := result.Update(document, filepath.Dir(document)); err == nil {
			t.Errorf("%q was written over", text)
		}
	}
}

func TestTheNoteIsWrapped(t *testing.T) {
	noted := result
	noted.Note = strings.Repeat("a whole run without other load on the machine ", 9)
	for line := range strings.Lines(updated(t, sizes+table, func(document string) error { return noted.Update(document, t.TempDir()) })) {
		if len(line) > 121 {
			t.Errorf("%q", line)
		}
	}
}

// TestTheReadmeAndThePerformancePageHaveTheSameSizes: make bench-report writes both.
func TestTheReadmeAndThePerformancePageHaveTheSameSizes(t *testing.T) {
	blocks := map[string]bool{}
	for _, name := range []string{"../../README.md", "../../docs/performance.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), "<!-- sizes: begin, written by make bench-report -->\n")
		block, _, ended := strings.Cut(rest, "<!-- sizes: end -->\n")
		if !found || !ended {
			t.Fatalf("%s has no block of sizes", name)
		}
		blocks[block] = true
	}
	if len(blocks) != 1 {
		t.Error("they differ")
	}
}

// TestChartsAreWellFormedAndInert: they are shown wherever the document is opened.
func TestChartsAreWellFormedAndInert(t *testing.T) {
	for _, chart := range result.Charts {
		svg := chart.SVG()
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", chart.Name, err, svg)
			}
			if element, ok := token.(xml.StartElement); ok && element.Name.Local == "script" {
				t.Errorf("%s has a script", chart.Name)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "href") {
			t.Errorf("%s:\n%s", chart.Name, svg)
		}
	}
}
