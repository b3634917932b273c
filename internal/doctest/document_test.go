package doctest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// repository is the root, as an absolute path.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// programPath returns the program that the documents are tested with.
func programPath(t *testing.T) string {
	t.Helper()
	program, err := programtest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if program, err = filepath.Abs(program); err != nil {
		t.Fatal(err)
	}
	return program
}

// block is a fenced block of a document.
type block struct {
	language string
	line     int // of its first line of text
	lines    []string
}

func (b block) text() string { return strings.Join(b.lines, "\n") + "\n" }

func (b block) shell() bool {
	return slices.Contains([]string{"sh", "shell", "bash", "console"}, b.language)
}

// document is a Markdown file.
type document struct {
	name   string // from the root
	text   string
	blocks []block
}

// documents returns the Markdown files of the repository.
func documents(t *testing.T) []document {
	t.Helper()
	root := repository(t)
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil && os.Getenv("REQUIRE_DOCUMENTS") == "1" {
		t.Fatalf("REQUIRE_DOCUMENTS=1, but git ls-files: %v", err)
	}
	if err != nil {
		t.Skipf("NOT TESTED: git ls-files: %v", err)
	}
	var all []document
	for name := range strings.FieldsSeq(string(out)) {
		if strings.Contains(name, "testdata/") {
			continue // a part of a document
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed and not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, document{name: name, text: string(text), blocks: blocksOf(string(text))})
	}
	if len(all) < 20 {
		t.Fatalf("only %d documents found", len(all))
	}
	return all
}

func blocksOf(text string) []block {
	var blocks []block
	var open *block
	indent := 0
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		fence := strings.HasPrefix(trimmed, "```")
		switch {
		case open == nil && fence:
			open = &block{language: strings.TrimSpace(trimmed[3:]), line: i + 2}
			indent = len(line) - len(trimmed)
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line[min(indent, len(line)-len(trimmed)):])
		}
	}
	return blocks
}

var (
	placeholder = regexp.MustCompile(`\b(CLIENT_ID|CLIENT_SECRET)=\.\.\.`)
	ownTerminal = regexp.MustCompile(`^cd \S+ && `)
	changeDir   = regexp.MustCompile(`^cd [^&|;#]+`)
)

// script is the shell of a document. Each line stands where it is in the document, so
// that an error of the shell names that line.
func (d document) script() string {
	const home = `cd "$here"; `
	lines := make([]string, strings.Count(d.text, "\n")+2)
	for _, b := range d.blocks {
		if !b.shell() {
			continue
		}
		before, inside := home, false
		at := b.line - 1
		for _, line := range b.lines {
			command, typed := strings.CutPrefix(line, "$ ")
			switch {
			case inside:
				lines[at] = line
			case b.language == "console" && !typed:
				lines[at], before = before, ""
			case b.language == "console":
				lines[at] = before + "{ " + command
				before = fmt.Sprintf(`} >"$STATE/shown.%d" 2>&1; `, at+1)
			case ownTerminal.MatchString(line):
				lines[at], before = before+line, home
			default:
				lines[at], before = before+changeDir.ReplaceAllString(line, "$0 && here=$$PWD "), ""
			}
			inside = strings.HasSuffix(line, `\`)
			at++
		}
		if b.language == "console" {
			lines[at] = before
		}
	}
	return placeholder.ReplaceAllString(strings.Join(lines, "\n"), `$1="$$(cat "$$STATE/$1")"`)
}

// shown are the outputs that the consoles of a document show, by the line of their
// command.
func (d document) shown() map[int][]string {
	outputs := map[int][]string{}
	for _, b := range d.blocks {
		command := 0
		for i, line := range b.lines {
			switch {
			case b.language != "console":
			case strings.HasPrefix(line, "$ "):
				command = b.line + i
			case command > 0:
				outputs[command] = append(outputs[command], line)
			}
		}
	}
	return outputs
}

// require skips the test where a program is missing, and fails it with
// REQUIRE_DOCUMENTS=1.
func require(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		_, err := exec.LookPath(name)
		if err != nil && os.Getenv("REQUIRE_DOCUMENTS") == "1" {
			t.Fatal("REQUIRE_DOCUMENTS=1, but ", err)
		}
		if err != nil {
			t.Skip("NOT TESTED: ", err)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// prose is the text without its blocks.
func (d document) prose() string {
	return fenced.ReplaceAllString(d.text, "")
}

var fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```")
