package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// Result is what one run of the bench found.
type Result struct {
	When    string  `json:"when"`    // day, in UTC
	Machine string  `json:"machine"` // processor and its cores
	Version string  `json:"version"` // of the program
	Note    string  `json:"note,omitempty"`
	Took    string  `json:"took"`
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

// Merge puts the rows and charts of a later run over those of an earlier one.
func (r *Result) Merge(later Result) {
	for _, row := range later.Rows {
		at := slices.IndexFunc(r.Rows, func(old Row) bool { return old.Key == row.Key })
		if at < 0 {
			r.Rows = append(r.Rows, row)
		} else {
			r.Rows[at] = row
		}
	}
	for _, chart := range later.Charts {
		at := slices.IndexFunc(r.Charts, func(old Chart) bool { return old.Name == chart.Name })
		if at < 0 {
			r.Charts = append(r.Charts, chart)
		} else {
			r.Charts[at] = chart
		}
	}
}

// Print writes the table for a terminal.
func (r Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, pico-auth %s, %s, in %s. Only ratios mean anything beyond this machine.\n\n", r.Machine, r.Version, r.When, r.Took)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "path\taim\tmeasured\trounds\tverdict\there")
	for _, row := range r.Rows {
		context := row.Context
		if row.Missing != "" {
			context = row.Missing
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Path, row.Aim(), row.Value(), row.Spread(), row.Verdict(), context)
	}
	_ = t.Flush() // a terminal that went away cannot be told so
}

// markdown is the table for docs/performance.md.
func (r Result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, pico-auth %s, %s, in %s.", r.When, r.Version, r.Machine, r.Took)
	if r.Note != "" {
		b.WriteString(" " + r.Note)
	}
	b.WriteString("\n\n| path | aim | measured | rounds | verdict | on this machine |\n|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		context := row.Context
		if row.Missing != "" {
			context = row.Missing
		}
		cells := []string{row.Path, row.Aim(), row.Value(), row.Spread(), row.Verdict(), context}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

// What is between the two is replaced by Update.
const (
	begin = "<!-- bench: begin, written by make bench-report -->\n"
	end   = "<!-- bench: end -->\n"
)

// Update writes the table into the document, between its two marks, and the
// charts beside it.
func (r Result) Update(document, folder string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has not the lines %q and %q", document, begin, end)
	}
	var table strings.Builder
	table.WriteString(before + begin + "\n" + r.markdown())
	for _, chart := range r.Charts {
		name := "performance-" + chart.Name + ".svg"
		if err := os.WriteFile(folder+"/"+name, []byte(chart.SVG()), 0o644); err != nil { //nolint:gosec // it is published
			return err
		}
		fmt.Fprintf(&table, "\n![%s](%s)\n", chart.Title, name)
	}
	table.WriteString("\n" + end + after)
	return os.WriteFile(document, []byte(table.String()), 0o644) //nolint:gosec // it is published
}
