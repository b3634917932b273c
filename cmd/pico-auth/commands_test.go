package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write testdata/commands.txt")

// commandsFile is read by internal/repotest, which holds what a release promises.
const commandsFile = "testdata/commands.txt"

// Every command, argument and flag that --help lists is in the file, so that a change of one
// is seen.
func TestCommandsAreThoseOfTheList(t *testing.T) {
	parser, err := newParser(&cli{}, &shell{})
	if err != nil {
		t.Fatal(err)
	}
	names := commandNames(parser.Model.Node, "")
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile(commandsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(commandsFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the commands are: go test ./cmd/pico-auth -run Commands -update, and look at the difference", commandsFile)
	}
}

// commandNames are the lines about a command and those below it: a flag with a value ends in
// =, followed by each of the values where they are few, and one that can be negated has a
// line for that. A line that is required says so.
func commandNames(node *kong.Node, path string) (names []string) {
	add := func(what string, required bool) {
		if required {
			what += " (required)"
		}
		names = append(names, strings.TrimSpace(path+" "+what))
	}
	for _, argument := range node.Positional {
		name := "<" + argument.Name + ">"
		if argument.IsCumulative() {
			name += " ..."
		}
		add(name, argument.Required)
		addEnum(argument, func(value, _ string) { add(name+"="+value, false) })
	}
	for _, flag := range node.Flags {
		switch {
		case flag.Hidden:
			continue
		case flag.IsBool():
			add("--"+flag.Name, flag.Required)
			if flag.Tag.Negatable != "" {
				add("--no-"+flag.Name, false)
			}
		default:
			add("--"+flag.Name+"=", flag.Required)
			addEnum(flag.Value, func(value, _ string) { add("--"+flag.Name+"="+value, false) })
		}
		if flag.Short != 0 {
			add("-"+string(flag.Short), false)
		}
	}
	for _, child := range node.Children {
		if !child.Hidden {
			below := strings.TrimSpace(path + " " + child.Name)
			names = append(append(names, below), commandNames(child, below)...)
		}
	}
	return names
}
