package repotest

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// columns is the width of a line of Markdown.
const columns = 120

// foreignDocument is not held to the rules, since others wrote it.
const foreignDocument = "internal/hosted/assets/pico.LICENSE.md"

// documents returns the text of every Markdown file of the repository by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, name := range checkout(t, "--others", "--exclude-standard", "*.md") {
		text, err := os.ReadFile(root + "/" + name)
		if os.IsNotExist(err) {
			continue // removed and not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	if len(texts) < 20 {
		t.Fatalf("only %d documents found", len(texts))
	}
	return texts
}

// prose calls yield with each line of a document that is not in a block of code.
func prose(text string, yield func(number int, line string)) {
	fenced, number := false, 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			yield(number, strings.TrimRight(line, "\n"))
		}
	}
}

// listMark is what stands before the text of a line, where it cannot be broken.
var listMark = regexp.MustCompile(`^\s*(?:[-*>] |\d+\. )?\s*`)

func TestMarkdownWrapsAt120Columns(t *testing.T) {
	for name, text := range documents(t) {
		if name == foreignDocument {
			continue
		}
		prose(text, func(number int, line string) {
			content := line[len(listMark.FindString(line)):]
			breakable := strings.Contains(content, " ") && !strings.HasPrefix(content, "|") && !strings.HasPrefix(content, "<!--")
			if length := utf8.RuneCountInString(line); length > columns && breakable {
				t.Errorf("%s:%d: %d columns; wrap at %d", name, number, length, columns)
			}
		})
	}
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading      = regexp.MustCompile(`^#{1,6} +(.+?)(?: +#+)?$`)
	inlineCode   = regexp.MustCompile("`[^`]*`")
)

func TestLinksBetweenDocumentsResolve(t *testing.T) {
	texts := documents(t)
	anchors := map[string][]string{}
	for name, text := range texts {
		anchors[name] = anchorsOf(text)
	}
	checked := 0
	for name, text := range texts {
		if name == foreignDocument {
			continue
		}
		prose(text, func(number int, line string) {
			for _, link := range markdownLink.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
				if strings.Contains(link[1], ":") {
					continue // of another site
				}
				checked++
				target, anchor, _ := strings.Cut(link[1], "#")
				file := name
				if target != "" {
					file = path.Join(path.Dir(name), target)
				}
				if _, err := os.Stat(root + "/" + file); err != nil {
					t.Errorf("%s:%d: the link %s leads to no file", name, number, link[1])
				} else if anchor != "" && !slices.Contains(anchors[file], anchor) {
					t.Errorf("%s:%d: %s has no heading for the link %s", name, number, file, link[1])
				}
			}
		})
	}
	if checked < 30 {
		t.Errorf("only %d links found", checked)
	}
}

// anchorsOf returns the names that GitHub gives to the headings of a document: lower
// case, spaces become hyphens, other marks are dropped, and a number where a name is
// there already.
func anchorsOf(text string) []string {
	var names []string
	seen := map[string]int{}
	prose(text, func(_ int, line string) {
		found := heading.FindStringSubmatch(line)
		if found == nil {
			return
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, found[1])
		if n := seen[name]; n > 0 {
			names = append(names, fmt.Sprintf("%s-%d", name, n))
		} else {
			names = append(names, name)
		}
		seen[name]++
	})
	return names
}

// Decisions are cited by number.
func TestDecisionsAreNumberedOnceAndWithoutAGap(t *testing.T) {
	var names []string
	texts := documents(t)
	for name := range texts {
		if path.Dir(name) == "docs/decisions" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if want := fmt.Sprintf("docs/decisions/%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: the name should begin with %s", name, want)
		}
		if want := fmt.Sprintf("# %d. ", i+1); !strings.HasPrefix(texts[name], want) {
			t.Errorf("%s: the heading should begin with %q", name, want)
		}
	}
}
