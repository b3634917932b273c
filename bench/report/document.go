package report

import (
	"fmt"
	"os"
	"strings"
)

// block is the part of a document between two lines of it, which Update replaces.
type block string

const (
	table block = "bench" // every row, and the charts
	sizes block = "sizes" // the rows that size a server
)

func (b block) begin() string {
	return "<!-- " + string(b) + ": begin, written by make bench-report -->\n"
}

func (b block) end() string { return "<!-- " + string(b) + ": end -->\n" }

// in returns the document with other text in the block.
func (b block) in(document, text string) (string, error) {
	before, rest, found := strings.Cut(document, b.begin())
	_, after, ended := strings.Cut(rest, b.end())
	if !found || !ended {
		return "", fmt.Errorf("it has not the lines %q and %q", b.begin(), b.end())
	}
	return before + b.begin() + "\n" + text + "\n" + b.end() + after, nil
}

// Update writes the rows that size a server and all rows into the document,
// between their marks, and the charts beside it.
func (r Result) Update(document, folder string) error {
	var text strings.Builder
	text.WriteString(r.all())
	for _, chart := range r.Charts {
		name := "performance-" + chart.Name + ".svg"
		if err := os.WriteFile(folder+"/"+name, []byte(chart.SVG()), 0o644); err != nil { //nolint:gosec // it is published
			return err
		}
		fmt.Fprintf(&text, "\n![%s](%s)\n", chart.Title, name)
	}
	return rewrite(document, map[block]string{sizes: r.sizes(), table: text.String()})
}

// UpdateSizes writes the rows that size a server into the document, between their
// marks.
func (r Result) UpdateSizes(document string) error {
	return rewrite(document, map[block]string{sizes: r.sizes()})
}

func rewrite(document string, blocks map[block]string) error {
	was, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text := string(was)
	for b, content := range blocks {
		if text, err = b.in(text, content); err != nil {
			return fmt.Errorf("%s: %w", document, err)
		}
	}
	return os.WriteFile(document, []byte(text), 0o644) //nolint:gosec // it is published
}

// all is the table of every row.
func (r Result) all() string {
	var b strings.Builder
	b.WriteString(wrap(r.when() + " " + r.Note))
	b.WriteString("\n| path | aim | measured | rounds | verdict | on this machine |\n|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		b.WriteString(line(row.Path, row.Aim(), row.Value(), row.Spread(), row.Verdict(), row.here()))
	}
	return b.String()
}

// sizes is the table of the rows that size a server.
func (r Result) sizes() string {
	var b strings.Builder
	b.WriteString("| to size a server | measured | rounds | beside it |\n|---|---|---|---|\n")
	for _, row := range r.Rows {
		if row.Sizes {
			b.WriteString(line(row.Path, row.Value(), row.Spread(), row.here()))
		}
	}
	return b.String() + "\n" + wrap(r.when())
}

func (r Result) when() string {
	return fmt.Sprintf("Measured on %s, pico-auth %s, %s, in %s.", r.When, r.Version, r.Machine, r.Took)
}

// wrap breaks the text into lines of at most 120 columns.
func wrap(text string) string {
	const columns = 120
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case used == 0:
		case used+1+len(word) > columns:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String() + "\n"
}

// line is a row of a table.
func line(cells ...string) string {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
