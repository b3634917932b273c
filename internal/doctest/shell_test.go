//go:build unix

package doctest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestMain is also the main function of the stand-ins, which are links to this program.
func TestMain(m *testing.M) {
	if s, ok := standIns[filepath.Base(os.Args[0])]; ok {
		os.Exit(s.main())
	}
	storetest.Main(m)
}

// preparation is what a document presupposes.
type preparation struct {
	shell    string            // runs first
	values   map[string]string // what a reader replaces, by what the document says
	programs []string          // without which the document is skipped
	postgres bool              // $POSTGRES and $EMPTY are URLs of empty databases
}

// prepared are the documents that presuppose something.
var prepared = map[string]preparation{
	"README.md": {programs: []string{"curl"}},
	"prose": {
		shell:    "mkdir data; pico-auth migrate",
		values:   map[string]string{"before.dump DATABASE": `before.dump "$POSTGRES"`, "PASSWORD=...": "PASSWORD=correct-horse"},
		programs: []string{"openssl", "pg_dump", "sqlite3"}, postgres: true,
	},
	"docs/clients/README.md":   {shell: "pico-auth serve"},
	"docs/clients/device.md":   {shell: "pico-auth serve", programs: []string{"curl", "jq"}},
	"docs/clients/machine.md":  {shell: "pico-auth serve; (cd examples && AUDIENCE=https://notes.example.com go run ./go-resource-server)", programs: []string{"curl", "jq", "node"}},
	"docs/clients/native.md":   {shell: "pico-auth serve"},
	"docs/clients/products.md": {shell: "pico-auth migrate"},
	"docs/clients/spa.md":      {shell: "pico-auth migrate"},
	"docs/clients/web.md":      {shell: "pico-auth serve"},
	"docs/audit.md": {
		shell: `pico-auth serve
			echo correct horse battery staple | pico-auth user create ada@example.com
			until pico-auth audit verify | grep -q '^2 of'; do sleep 1; done
			HEAD=$(pico-auth audit verify | sed -n 's/^head: //p')`,
		values: map[string]string{"--head HEAD": `--head "$HEAD"`},
	},
	"docs/keys.md": {
		shell: `(umask 077; openssl rand -base64 32 > master.key)
			export AUTH_MASTER_KEY_FILE=master.key KEYS_AT_REST=sealed
			pico-auth serve`,
		programs: []string{"openssl"},
	},
	"docs/moving-from-python.md": {
		// The folder of an old server after its upgrade, with the copy that this makes.
		shell: "pico-auth migrate; cp auth.db auth.db.backup-20261122T120000Z",
	},
	"docs/operations.md": {
		shell: `mkdir -p data var/lib/pico-auth
			(cd var/lib/pico-auth && HOME=$PWD pico-auth migrate)
			(cd data && HOME=$PWD pico-auth migrate && HOME=$PWD pico-auth backup FILE)
			URL=$POSTGRES
			pico-auth serve`,
		values: map[string]string{
			"postgresql://auth@db.internal/auth": `"$POSTGRES"`, "postgresql://auth@db.internal/new": `"$EMPTY"`, "/var/lib/pico-auth": "var/lib/pico-auth",
		},
		programs: []string{"openssl", "pg_dump", "pg_restore"}, postgres: true,
	},
}

// usedInProse are stand-ins that TestCommandsInProseRun uses and no block.
var usedInProse = map[string]bool{"kubectl": true, "systemctl": true}

// prelude runs before a document. The line of a failed command is the one of the
// document.
const prelude = `unset BASH_ENV
set -Eeuo pipefail
here=$PWD
trap 'echo "$DOCUMENT:$LINENO: exit code $?: $BASH_COMMAND" >&2' ERR
`

func TestEveryShellLineOfTheDocumentsRuns(t *testing.T) {
	require(t, "bash")
	program, used := programPath(t), t.TempDir()
	names := []string{"prose"} // TestCommandsInProseRun
	var passed atomic.Int32
	t.Run("documents", func(t *testing.T) {
		for _, d := range documents(t) {
			if strings.TrimSpace(d.script()) == "" {
				continue
			}
			names = append(names, d.name)
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.run(t, program, used)
				passed.Add(1)
			})
		}
	})
	for name := range prepared {
		if !slices.Contains(names, name) {
			t.Errorf("%s is prepared and has no shell", name)
		}
	}
	for name := range standIns {
		if _, err := os.Stat(filepath.Join(used, name)); err != nil && int(passed.Load()) == len(names)-1 && !usedInProse[name] {
			t.Errorf("no document uses the stand-in for %s", name)
		}
	}
}

// run runs the shell of the document.
func (d document) run(t *testing.T, program, used string) {
	p := prepared[d.name]
	require(t, p.programs...)
	dir, port, application := t.TempDir(), programtest.FreePort(t), programtest.FreePort(t)
	state, checkout := filepath.Join(dir, "state"), filepath.Join(dir, "checkout")
	makeFolders(t, state, checkout, filepath.Join(dir, "home"), filepath.Join(dir, "commands"))
	linkCheckout(t, repository(t), checkout)
	linkStandIns(t, filepath.Join(dir, "commands"), checkout)

	script := d.script()
	for said, value := range p.values {
		if !strings.Contains(script, said) {
			t.Errorf("%s does not say %s any more", d.name, said)
		}
		script = strings.ReplaceAll(script, said, value)
	}
	script = strings.NewReplacer("localhost:8100", "localhost:"+port,
		"localhost:3000", "localhost:"+application, "localhost:3001", "localhost:"+application).Replace(script)
	write(t, filepath.Join(dir, "script"), script)
	write(t, filepath.Join(dir, "prelude"), prelude+p.shell+"\n")

	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // the first build of an application takes minutes
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", filepath.Join(dir, "script"))
	cmd.Dir = checkout
	cmd.Env = []string{
		"PATH=" + filepath.Join(dir, "commands") + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"),
		"BASH_ENV=" + filepath.Join(dir, "prelude"), "DOCUMENT=" + d.name, "STATE=" + state, "USED=" + used,
		"PROGRAM=" + program, "REPOSITORY=" + repository(t), "CHECKOUT=" + checkout, "SERVER_PORT=" + port, "ISSUER=http://localhost:" + port,
		"PORT=" + application, "NO_BROWSER=1", "REQUIRE_DOCUMENTS=" + os.Getenv("REQUIRE_DOCUMENTS"),
	}
	cmd.Env = append(cmd.Env, goFolders(t)...)
	if p.postgres {
		cmd.Env = append(cmd.Env, "POSTGRES="+storetest.EmptyPostgres(t), "EMPTY="+storetest.EmptyPostgres(t))
	}
	cmd.Stdin = strings.NewReader("correct horse battery staple\n") // what a command asks for
	output, err := runGroup(cmd)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(state, "server.log")) // absent if none was started
		t.Fatalf("%v\n%s\nserver:\n%s", err, output, ordinary.ReplaceAll(log, nil))
	}
	for line, lines := range d.shown() {
		got, err := os.ReadFile(filepath.Join(state, "shown."+strconv.Itoa(line)))
		if err != nil {
			t.Fatal(err)
		}
		if !shape(lines).Match(number.ReplaceAll(got, []byte("0"))) {
			t.Errorf("%s:%d: the output has another shape than the document shows:\n%s", d.name, line, got)
		}
	}
}

// goFolders are where go keeps what it has downloaded and compiled, also with another HOME.
func goFolders(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	folders := strings.Fields(string(out))
	return []string{"GOCACHE=" + folders[0], "GOMODCACHE=" + folders[1]}
}

// ordinary is a record of the log that explains no failure.
var ordinary = regexp.MustCompile(`(?m)^\{.*"level":"INFO".*\n`)

var number = regexp.MustCompile(`\d+`)

// shape matches outputs that differ from the lines in numbers and in what the
// lines leave out.
func shape(lines []string) *regexp.Regexp {
	text := regexp.QuoteMeta(number.ReplaceAllString(strings.Join(lines, "\n"), "0"))
	return regexp.MustCompile(`^` + strings.ReplaceAll(text, `\.\.\.`, `(?s:.*?)`) + `\s*$`)
}

// runGroup runs the command and ends what it has started in the background.
func runGroup(cmd *exec.Cmd) (output []byte, err error) {
	out, err := os.CreateTemp("", "document-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = &syscall.SysProcAttr{Setpgid: true}, out, out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if cmd.Process != nil {
		if e := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); e != nil && !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	output, e := os.ReadFile(out.Name())
	return output, errors.Join(err, e)
}

// linkCheckout makes folder look like a checkout that was built.
func linkCheckout(t *testing.T, repository, folder string) {
	t.Helper()
	entries, err := os.ReadDir(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, ".") && name != "bin" && name != "dist" {
			link(t, filepath.Join(repository, name), filepath.Join(folder, name))
		}
	}
}

// linkStandIns puts the stand-ins on the path, and those of files of the repository into
// the checkout in place of these.
func linkStandIns(t *testing.T, commands, checkout string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range standIns {
		if s.file == "" {
			link(t, self, filepath.Join(commands, name))
			continue
		}
		at := checkout
		for part := range strings.SplitSeq(filepath.Dir(s.file), "/") {
			at = filepath.Join(at, part)
			unfold(t, at)
		}
		place := filepath.Join(checkout, s.file)
		if err := os.Remove(place); err != nil {
			t.Fatal(err)
		}
		link(t, self, place)
	}
}

// unfold replaces a link to a folder by a folder of links to its content.
func unfold(t *testing.T, folder string) {
	t.Helper()
	target, err := os.Readlink(folder)
	if err != nil {
		return // a folder already
	}
	entries, err := os.ReadDir(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	makeFolders(t, folder)
	for _, entry := range entries {
		link(t, filepath.Join(target, entry.Name()), filepath.Join(folder, entry.Name()))
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func makeFolders(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
