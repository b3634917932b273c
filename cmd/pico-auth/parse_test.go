package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reading is what became of a command line.
type reading struct {
	Config  *string
	Command string // the type of the command, with its fields
	Err     string
	Out     string // the help
}

func byUs(args []string) (r reading) {
	var out bytes.Buffer
	var line cli
	command, err := parse(&line, args, &shell{out: &out, err: &out})
	switch {
	case err != nil:
		r.Err = err.Error()
	case command != nil:
		r.Config, r.Command = line.Config, fmt.Sprintf("%#v", command)
	}
	r.Out = out.String()
	return r
}

// byKong is kong's own Parse, which is what byUs must do.
func byKong(args []string) (r reading) {
	var out bytes.Buffer
	var line cli
	type exited struct{} // as the program would
	defer func() {
		if p := recover(); p != nil && p != (exited{}) {
			panic(p)
		}
		r.Out = out.String()
	}()
	options := append(options(&shell{out: &out, err: &out}), kong.Exit(func(int) { panic(exited{}) }))
	parser, err := kong.New(&line, options...)
	if err != nil {
		panic(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		r.Err = misused(err).Error()
		return r
	}
	r.Config, r.Command = line.Config, fmt.Sprintf("%#v", command.Selected().Target.Interface())
	return r
}

func TestCommandLinesMeanWhatKongSaysTheyMean(t *testing.T) {
	for _, line := range []string{
		"", "serve", "-h", "-h -h", "serve --help -h", "--help", "-c x serve", "--config=x", "user", "user --help", "user create", "user create -h",
		"user create a@example.com --role=emperor", "user create a@example.com --role superadmin --org= --help",
		"user set-role", "user set-role a", "user set-role a emperor", "user set-role a viewer", "user set-role a viewer b",
		"key", "key show --json --jwks", "key show --jwks kid", "key export", "key export kid --public=der", "key export kid --public pem",
		"key import /nowhere", "copy", "copy --to", "copy --to=x --to=y", "health --timeout=soon", "health --timeout 5s",
		"migrate --json", "token inspect", "token inspect -", "group", "serve --nonsense", "nonsense", "version --jso", "-- version",
	} {
		args := strings.Fields(line)
		if diff := cmp.Diff(byKong(args), byUs(args)); diff != "" {
			t.Errorf("%q (-kong +us):\n%s", line, diff)
		}
	}
}

func TestAnyCommandLineMeansWhatKongSaysItMeans(t *testing.T) {
	words := rapid.SampledFrom([]string{
		"serve", "version", "config", "check", "show", "user", "create", "list", "set-role", "suspend", "activate", "reset-password",
		"group", "key", "rotate", "retire", "revoke", "import", "export", "reseal", "forget", "migrate", "token", "inspect", "health",
		"backup", "restore", "copy", "-h", "--help", "-c", "--config=x", "--json", "--jwks", "--json=false", "--role", "--role=viewer",
		"--org=o", "--public", "--public=jwk", "--public=", "--to", "--to=x", "--timeout=1s", "--check", "--nonsense", "viewer", "emperor",
		"a@example.com", "jwk", "-", "--", "", "--now", "--algorithm=ES256", "parse_test.go",
	})
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(words, 0, 6).Draw(t, "args")
		if diff := cmp.Diff(byKong(args), byUs(args)); diff != "" {
			t.Fatalf("(-kong +us):\n%s", diff)
		}
	})
}

func TestAPasswordTypedAsAnArgumentIsNotRepeated(t *testing.T) {
	for _, line := range []string{
		"user create a@example.com hunter2", "user reset-password a@example.com hunter2", "user create a@example.com --role=hunter2",
		"user set-role a@example.com hunter2", "user hunter2", "hunter2", "health --timeout=hunter2", "key list --json=hunter2",
	} {
		if got := byUs(strings.Fields(line)); got.Err == "" || strings.Contains(got.Err+got.Out, "hunter2") {
			t.Errorf("%q: %q, %q", line, got.Err, got.Out)
		}
	}
}

// The linker drops the methods that nobody calls, unless something that can be
// reached looks methods up by a name that only the run knows, as text/template
// does and kong's Parse. That is 2 MB of program.
func TestProgramLooksUpNoMethodByName(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program")
	}
	build := exec.Command("go", "build", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), "pico-auth"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	edges, err := build.CombinedOutput() // who needs whom, a line each
	if err != nil {
		t.Fatalf("%v\n%s", err, edges)
	}
	if !bytes.Contains(edges, []byte("main.run -> main.parse")) {
		t.Fatal("the linker tells nothing any more")
	}
	for edge := range bytes.Lines(edges) {
		if bytes.Contains(edge, []byte("<ReflectMethod>")) {
			t.Errorf("%s", edge)
		}
	}
}
