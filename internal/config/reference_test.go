package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const (
	referenceFile = "../../docs/configuration.md"
	preamble      = "testdata/configuration-preamble.md"
)

func TestReferenceIsCurrent(t *testing.T) {
	intro, err := os.ReadFile(preamble)
	if err != nil {
		t.Fatal(err)
	}
	want := string(intro) + reference()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is stale: run go generate ./internal/config")
	}
}

// reference writes the settings as Markdown.
func reference() string {
	var b strings.Builder
	b.WriteString("<!-- Everything is generated from internal/config: run go generate ./internal/config. -->\n")
	section := ""
	for _, k := range settings() {
		if s, _, _ := strings.Cut(k.name, "."); s != section {
			section = s
			fmt.Fprintf(&b, "\n## %s\n", section)
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", k.name, wrap(k.doc, ""))
		fmt.Fprintf(&b, "- Default: %s\n", defaultText(k))
		fmt.Fprintf(&b, "- %s\n", wrap("Must be "+k.rule+".", "  "))
		environment := "Environment: `" + variable(k.name) + "`"
		if k.secret {
			environment += ", or the path of a file that holds it in `" + variable(k.name) + "_FILE`"
		}
		fmt.Fprintf(&b, "- %s\n", wrap(environment, "  "))
	}
	b.WriteString("\n## Accepted and ignored\n\nLater versions of the original know these settings. They are accepted with a warning.\n\n| setting | why it has no effect |\n|---|---|\n")
	for _, old := range ignoredSettings() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", old.name, old.why)
	}
	return b.String()
}

// wrap breaks a text at 120 columns; its further lines begin with indent, and so does
// what stands before the first.
func wrap(text, indent string) string {
	var b strings.Builder
	width := len(indent)
	for i, word := range strings.Fields(text) {
		length := utf8.RuneCountInString(word)
		switch {
		case i > 0 && width+1+length > 120:
			b.WriteString("\n" + indent)
			width = len(indent)
		case i > 0:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += length
	}
	return b.String()
}

func defaultText(k setting) string {
	if k.name == "auth.admin_password" {
		return "`admin`, for loopback only"
	}
	text := fmt.Sprint(k.show(defaults()))
	if text == "" || text == "[]" {
		return "left out"
	}
	return "`" + text + "`"
}
