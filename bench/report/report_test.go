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
	},
	Charts: []report.Chart{
		{Name: "bars", Title: "a < b & c", Bars: []report.Bar{{Label: "<x>", Value: 1, Least: .5, Most: 2, Aim: 1}, {Label: "y"}}},
		{Name: "lines", Title: "lines", Lines: []report.Line{{Label: "m", Unit: "MiB", X: []float64{0, 1}, Y: []float64{3, 4}}, {Label: "empty"}}},
	},
}

func TestUpdateReplacesOnlyWhatIsBetweenTheMarks(t *testing.T) {
	dir := t.TempDir()
	document := filepath.Join(dir, "performance.md")
	const before, after = "before\n<!-- bench: begin, written by make bench-report -->\n", "<!-- bench: end -->\nafter\n"
	if err := os.WriteFile(document, []byte(before+"old\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := result.Update(document, dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), before) || !strings.HasSuffix(string(text), after) || strings.Contains(string(text), "old") {
		t.Errorf("the document is now\n%s", text)
	}
	if want := `| a \| b | at least 1.00 | 1.50 | 1.00 to 2.00 | reached | here; measured earlier: 2026-11-20 v0 |`; !strings.Contains(string(text), want) {
		t.Errorf("no row %s in\n%s", want, text)
	}
}

func TestUpdateRefusesADocumentWithoutMarks(t *testing.T) {
	document := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(document, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := result.Update(document, filepath.Dir(document)); err == nil {
		t.Error("it was written over")
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
