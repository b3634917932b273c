package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// Result is what a run of the bench found. Its rows may be of earlier runs; those
// say so.
type Result struct {
	When    string  `json:"when"`    // day, in UTC
	Machine string  `json:"machine"` // processor and its cores
	Version string  `json:"version"` // of the program
	Note    string  `json:"note,omitempty"`
	Took    string  `json:"took"` // by the latest run
	Rows    []Row   `json:"rows"`
	Charts  []Chart `json:"charts"`
}

// Read reads a result that Write wrote.
func Read(path string) (Result, error) {
	var r Result
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(text, &r)
	return r, err
}

// Write keeps the result in a file.
func (r Result) Write(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// Merge puts a later run of some scenarios over an earlier result, of which it
// keeps the rows and charts of the other scenarios. The header becomes that of
// the later run, and a row that was kept says when and for which version it was
// measured where that differs. What another machine measured is not kept.
func (r *Result) Merge(later Result) {
	ran := map[string]bool{}
	for _, row := range later.Rows {
		ran[row.Scenario()] = true
	}
	earlier := *r
	*r = later
	if earlier.Machine != later.Machine {
		return
	}
	r.Rows, r.Charts = nil, nil
	for _, row := range earlier.Rows {
		if ran[row.Scenario()] {
			continue
		}
		if row.When == "" && row.Version == "" {
			row.When, row.Version = earlier.When, earlier.Version
		}
		if row.When == later.When && row.Version == later.Version {
			row.When, row.Version = "", ""
		}
		r.Rows = append(r.Rows, row)
	}
	for _, chart := range earlier.Charts {
		if !ran[chart.Name] {
			r.Charts = append(r.Charts, chart)
		}
	}
	r.Rows, r.Charts = append(r.Rows, later.Rows...), append(r.Charts, later.Charts...)
}

// Print writes the table for a terminal.
func (r Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, pico-auth %s, %s, in %s. Only ratios mean anything beyond this machine.\n\n", r.Machine, r.Version, r.When, r.Took)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "path\taim\tmeasured\trounds\tverdict\there")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Path, row.Aim(), row.Value(), row.Spread(), row.Verdict(), row.here())
	}
	_ = t.Flush() // a closed terminal cannot be told
}
