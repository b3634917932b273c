//go:build unix

package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Commands of other programs in prose are code spans, in a comment code spans or lines of
// their own. Those of pico-auth are parsed in cmd/pico-auth, those of make in TestTargets.
var (
	foreignSpan    = regexp.MustCompile(`^(?:buildah|docker|go|kubectl|openssl|pg_dump|sqlite3|systemctl|source) \S+ \S`)
	foreignLine    = regexp.MustCompile(`^#\s{2,}((?:docker|kubectl|make|systemctl) .*)`)
	foreignComment = regexp.MustCompile("\\b(?:docker|kubectl|systemctl) [a-z-]+[^`;)\n]*")
)

// continued is the end of a line of a command in a comment.
var continued = regexp.MustCompile(`\s*\\\n#\s+`)

func TestCommandsInProseRun(t *testing.T) {
	var commands []string
	for span := range spans(t) {
		if foreignSpan.MatchString(span) {
			commands = append(commands, span)
		}
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", repository(t), "ls-files", "contrib", "compose.yaml").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		text := read(t, name)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for line := range strings.Lines(continued.ReplaceAllString(text, " ")) {
			if !strings.HasPrefix(line, "#") {
				continue
			}
			if found := foreignLine.FindStringSubmatch(line); found != nil {
				command, _, _ := strings.Cut(found[1], "  #")
				commands = append(commands, strings.TrimSpace(command))
				continue
			}
			for _, found := range foreignComment.FindAllString(line, -1) {
				commands = append(commands, strings.TrimRight(found, " .:"))
			}
		}
	}
	slices.Sort(commands)
	commands = slices.Compact(commands)
	if len(commands) < 8 {
		t.Errorf("only %d commands found", len(commands))
	}
	d := document{name: "prose", text: "```sh\n(" + strings.Join(commands, ")\n(") + ")\n```\n"}
	d.blocks = blocksOf(d.text)
	d.run(t, programPath(t), t.TempDir())
}

// checkCompose checks that a command names services of compose.yaml.
func checkCompose(args []string) error {
	text, err := os.ReadFile(filepath.Join(os.Getenv("REPOSITORY"), "compose.yaml"))
	if err != nil {
		return err
	}
	known := regexp.MustCompile(`(?m)^  ([a-z]+):`).FindAllStringSubmatch(string(text), -1)
	for _, word := range args[1:] {
		service := regexp.MustCompile(`^([a-z]+)(?:[:=].*)?$`).FindStringSubmatch(word)
		if service != nil && !slices.ContainsFunc(known, func(found []string) bool { return found[1] == service[1] }) {
			return errNo("service", word)
		}
	}
	if !slices.Contains([]string{"up", "down", "ps", "logs", "cp", "kill", "exec", "pull"}, args[0]) {
		return errNo("command of docker compose", args[0])
	}
	return nil
}

// checkManifests checks that the files that a command applies exist.
func checkManifests(args []string) error {
	for i, arg := range args {
		if arg == "-f" {
			if _, err := os.Stat(args[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkUnits checks that the units that a command names are in contrib/systemd.
func checkUnits(args []string) error {
	if !slices.Contains([]string{"enable", "disable", "start", "stop", "restart", "reload", "edit", "status"}, args[0]) {
		return errNo("command of systemctl", args[0])
	}
	for _, unit := range args[1:] {
		if strings.HasPrefix(unit, "-") {
			continue
		}
		if !strings.Contains(unit, ".") {
			unit += ".service"
		}
		if _, err := os.Stat(filepath.Join(os.Getenv("REPOSITORY"), "contrib/systemd", unit)); err != nil {
			return err
		}
	}
	return nil
}

// checkTests checks that packages and tests of a go test exist.
func checkTests(args []string) error {
	name := ""
	for i, arg := range args {
		switch {
		case arg == "-run":
			name = args[i+1]
		case strings.HasPrefix(arg, "./"):
			source, err := sourceOf(arg)
			if err != nil {
				return err
			}
			if !regexp.MustCompile(`func (?:Test|Benchmark)\w*` + name).Match(source) {
				return errNo("test in "+arg, name)
			}
		}
	}
	return nil
}
