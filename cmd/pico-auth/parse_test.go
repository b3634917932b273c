package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"pgregory.net/rapid"
)

// reading is the output for a command line that is not run.
type reading struct {
	Err  string
	Help string
}

func read(t rapid.TB, args ...string) (r reading) {
	t.Helper()
	type exited struct{} // the program exits after the help
	var out bytes.Buffer
	defer func() {
		if p := recover(); p != nil && p != (exited{}) {
			panic(p)
		}
		r.Help = out.String()
	}()
	parser, err := newParser(&cli{}, &shell{out: &out, err: &out}, kong.Exit(func(int) { panic(exited{}) }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		r.Err = misused(err).Error()
	}
	return r
}

func TestUnknownCommandsAreNamedAndOneIsSuggested(t *testing.T) {
	for line, want := range map[string]string{
		"users":                             `unknown command "users", did you mean "user"?; see pico-auth --help`,
		"user creat a@b.c":                  `unknown command "creat", did you mean "create"?; see pico-auth user --help`,
		"key re":                            `unknown command "re", did you mean one of "retire", "revoke", "reseal"?; see pico-auth key --help`,
		"frobnicate":                        `unknown command; see pico-auth --help`,
		"-- users":                          `unknown command "users", did you mean "user"?; see pico-auth --help`,
		"serve now":                         `too many arguments; usage: pico-auth serve [flags]; see pico-auth serve --help`,
		"user suspend a b":                  `too many arguments; usage: pico-auth user suspend <user> [flags]; see pico-auth user suspend --help`,
		"version --jso":                     `unknown flag --jso, did you mean "--json"?; see pico-auth version --help`,
		"user":                              `a command is missing, one of create, list, show, set-role, suspend, activate, reset-password, set-email, update, delete; see pico-auth user --help`,
		"user create":                       `<email> is missing; usage: pico-auth user create <email> [flags]; see pico-auth user create --help`,
		"user set-email a":                  `<new-address> is missing; usage: pico-auth user set-email <user> <new-address> [flags]; see pico-auth user set-email --help`,
		"group add":                         `<group> <user> are missing; usage: pico-auth group add <group> <user> [flags]; see pico-auth group add --help`,
		"audit list --limit many":           `--limit must be a whole number; see pico-auth audit list --help`,
		"health --timeout soon":             `--timeout must be a duration, such as 3s or 500ms; see pico-auth health --help`,
		"audit list --org":                  `--org needs a value; see pico-auth audit list --help`,
		"audit list --outcome failed":       `--outcome must be one of "success", "refused"; see pico-auth audit list --help`,
		"user delete a --service-tokens no": `--service-tokens must be one of "revoke", "keep"; see pico-auth user delete --help`,
	} {
		if got := read(t, strings.Fields(line)...); got.Err != want || got.Help != "" {
			t.Errorf("%q: %+v, want %q", line, got, want)
		}
	}
}

func TestHelpOfEveryCommandHasAnExample(t *testing.T) {
	parser, err := newParser(&cli{}, &shell{})
	if err != nil {
		t.Fatal(err)
	}
	leaves := parser.Model.Leaves(true)
	if len(leaves) < 20 {
		t.Fatalf("only %d commands", len(leaves))
	}
	help := func(command string, flag string) string {
		text := read(t, append(strings.Fields(command), flag)...).Help
		return strings.Join(strings.Fields(text), " ") // the help is wrapped
	}
	for _, leaf := range leaves {
		path := leaf.Path()
		own := help(path, "--help")
		if !strings.HasPrefix(own, "Usage: pico-auth "+path) || !strings.Contains(own, "Example") || !strings.Contains(own, leaf.Help) {
			t.Errorf("%s --help: %s", path, own)
		}
		if group := help(leaf.Parent.Path(), "-h"); !strings.Contains(group, path+" "+leaf.Help) {
			t.Errorf("%s is not in %q", path, group)
		}
	}
}

func TestPasswordTypedAsAnArgumentIsNotRepeated(t *testing.T) {
	for _, line := range []string{
		"user create a@example.com hunter2", "user reset-password a@example.com hunter2", "user create a@example.com --role=hunter2",
		"user set-role a@example.com hunter2", "user hunter2", "hunter2", "health --timeout=hunter2", "key list --json=hunter2",
		"serve hunter2", "user users,did_you_mean_hunter2?", "user list --hunter2", "user list --json=no=hunter2",
	} {
		if got := read(t, strings.Fields(line)...); got.Err == "" || strings.Contains(got.Err+got.Help, "hunter2") {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestPasswordTypedAnywhereIsNotRepeated(t *testing.T) {
	const password = "Corr3ct horse, did you mean \"it\"?"
	word := rapid.SampledFrom([]string{
		"serve", "version", "config", "check", "show", "user", "create", "list", "show", "set-role", "suspend", "activate", "reset-password", "set-email", "delete",
		"group", "key", "rotate", "retire", "revoke", "export", "reseal", "accept", "migrate", "token", "inspect", "health",
		"backup", "restore", "copy", "-c", "--json", "--jwks", "--role", "--org", "--public", "--to", "--timeout", "--check",
		"--display-name", "viewer", "a@example.com", "jwk", "-", "--", "", "--now", "-c" + password, "--role=" + password,
		"--timeout=" + password, "--json=" + password, "--public=" + password, "--" + password, "users, " + password,
	})
	rapid.Check(t, func(t *rapid.T) {
		before, after := rapid.SliceOfN(word, 0, 4).Draw(t, "before"), rapid.SliceOfN(word, 0, 3).Draw(t, "after")
		got := read(t, append(append(before, password), after...)...)
		if strings.Contains(got.Err+got.Help, "Corr3ct") {
			t.Fatalf("%+v", got)
		}
	})
}
