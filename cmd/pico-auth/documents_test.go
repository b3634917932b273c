package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A command in prose is a code span, in a comment what stands on a line of its own.
var (
	inProse   = regexp.MustCompile("`(?:bin/)?pico-auth( [^`]+)`")
	inComment = regexp.MustCompile(`(?m)^(?://|#)\s{2,}(?:bin/)?pico-auth( [a-z-]+ .*)$`)
	separator = regexp.MustCompile(`\s(?:&&|\||#|>|;)\s.*`)
	choice    = regexp.MustCompile(`\|\S+`)
)

// Blocks of shell run in internal/doctest. Here the commands that prose names are parsed:
// the command and its flags exist, and it takes so many arguments. One that is named
// without its arguments is a name.
func TestCommandsThatTheDocumentsNameExist(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "*.md", "contrib", "examples", "compose.yaml", "Containerfile").Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err)
	}
	parser, err := newParser(&cli{}, &shell{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name := range strings.FieldsSeq(string(out)) {
		if name == "CHANGELOG.md" {
			continue // of earlier versions too
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // removed and not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		pattern := inComment
		if strings.HasSuffix(name, ".md") {
			pattern = inProse
		}
		for _, found := range pattern.FindAllSubmatch(bytes.ReplaceAll(text, []byte("\n"), []byte(lineEnd(name))), -1) {
			command := choice.ReplaceAllString(separator.ReplaceAllString(string(found[1]), ""), "")
			checked++
			if wrong := wrongIn(parser, strings.Fields(command)); wrong != "" {
				t.Errorf("%s: pico-auth%s: %s", name, command, wrong)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands found", checked)
	}
}

// lineEnd is what replaces the end of a line: a code span of Markdown may go over two.
func lineEnd(name string) string {
	if strings.HasSuffix(name, ".md") {
		return " "
	}
	return "\n"
}

// wrongIn is what is wrong with a command line, except that arguments or flags are missing.
func wrongIn(parser *kong.Kong, args []string) string {
	if len(args) == 1 && (args[0] == "--help" || args[0] == "--version") {
		return ""
	}
	if last := len(args) - 1; args[last] == "--help" {
		args = args[:last]
	}
	context, err := kong.Trace(parser, args)
	if err != nil {
		return err.Error()
	}
	if context.Error != nil && !strings.HasSuffix(context.Error.Error(), "no such file or directory") {
		return context.Error.Error()
	}
	return ""
}
