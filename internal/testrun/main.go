// Command testrun runs tests as `make test` does: it builds the program once,
// starts one PostgreSQL server for all packages, runs the tests with the race
// detector except for packages in which no goroutines meet, and prints a line per
// package when the package ends.
//
// It does not choose tests and does not know them by name. tools/test.sh calls it
// with the packages; -full runs the full set.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
	"github.com/pico-auth/pico-auth/internal/programtest"
)

const module = "github.com/pico-auth/pico-auth"

// pure are the packages whose tests run without the race detector, in the full set as well: neither
// they nor their tests start a goroutine.
var pure = []string{
	"bench/report", "internal/bcrypt", "internal/config", "internal/fault", "internal/identity", "internal/keyring/lifecycle",
	"internal/oauth", "internal/owner", "internal/release", "internal/repotest", "internal/seal", "internal/trace",
}

// withoutRace are further packages whose tests run without the race detector, and why. The full
// set runs them with it.
var withoutRace = map[string]string{
	"bench":                   "measures another process, which is built without it",
	"cmd/pico-auth":           "runs each command as a process, which takes three times as long with it",
	"contrib":                 otherProcesses,
	"internal/deploy":         otherProcesses,
	"internal/doctest":        otherProcesses,
	"internal/hosted":         protocol,
	"internal/httpapi":        protocol,
	"internal/jose":           "starts no goroutine, and internal/server verifies for many at a time with it",
	"internal/oidc":           protocol,
	"internal/store/adopt":    oneAtATime,
	"internal/store/transfer": oneAtATime,
	"internal/throttle":       flow,
	"internal/token":          flow,
	"internal/torture":        "kills another process, which is built without it",
}

const (
	otherProcesses = "runs other processes, which are built without it"
	protocol       = "starts no goroutine, and internal/server serves its routes to many at a time with it"
	flow           = "starts no goroutine, and internal/server calls it for many at a time with it"
	oneAtATime     = "starts no goroutine, and no other code runs beside it"
)

// longest are the packages that start first, the longest one at the front: a run that
// begins them last ends with idle cores.
var longest = []string{
	"internal/server", "internal/store", "internal/torture", "internal/httpapi", "internal/doctest", "bench",
	"cmd/pico-auth", "internal/keyring", "internal/token", "internal/throttle", "internal/hosted", "internal/store/adopt",
	"contrib", "picoauth", "internal/session", "internal/repotest", "internal/oidc", "internal/directory", "internal/jose",
}

// settings are what the tests read to know how much is asked of them: see
// CONTRIBUTING.md.
var (
	quickSettings = []string{"RAPID_CHECKS=25"}
	fullSettings  = []string{"TEST_FULL=1", "RAPID_CHECKS=100"}
)

func main() {
	full := flag.Bool("full", false, "the full set: all rounds, all kills, the race detector everywhere")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	r := run{ctx: ctx, full: *full, out: os.Stdout, started: time.Now(), goTool: os.Getenv("GO"), packages: flag.Args()}
	err := r.run()
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is one run of the tests.
type run struct {
	ctx      context.Context
	full     bool
	out      io.Writer
	started  time.Time
	goTool   string // empty: go
	packages []string
	env      []string // of the tests
}

func (r *run) run() error {
	if r.goTool == "" {
		r.goTool = "go"
	}
	if len(r.packages) == 0 {
		r.packages = []string{"./..."}
	}
	packages, err := r.list()
	if err != nil {
		return err
	}
	if packages.use("programtest") {
		if err := r.program(); err != nil {
			return err
		}
	}
	if packages.use("storetest") {
		stop, err := r.postgres()
		if err != nil {
			return err
		}
		defer stop()
	}
	with, without := r.split(packages)
	return r.test(with, without)
}

func (r *run) step(what string) {
	fmt.Fprintf(r.out, "%4.0f s  %s\n", time.Since(r.started).Seconds(), what)
}

// packages are import paths, each with the imports of its tests.
type packages [][]string

// use reports whether the tests of any import the package of that name.
func (p packages) use(name string) bool {
	return slices.ContainsFunc(p, func(line []string) bool {
		return slices.ContainsFunc(line, func(path string) bool { return strings.HasSuffix(path, "/"+name) })
	})
}

func (r *run) list() (all packages, err error) {
	format := `{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}`
	out, err := exec.CommandContext(r.ctx, r.goTool, append([]string{"list", "-f", format}, r.packages...)...).Output() //nolint:gosec // go itself
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.Fields(line))
	}
	slices.SortStableFunc(all, func(a, b []string) int { return rank(a[0]) - rank(b[0]) })
	return all, nil
}

// rank is the place of a package in the order of starts.
func rank(path string) int {
	if i := slices.Index(longest, strings.TrimPrefix(path, module+"/")); i >= 0 {
		return i
	}
	return len(longest)
}

// program builds pico-auth for all packages that run it as a process.
func (r *run) program() error {
	r.step("build the program")
	path, err := filepath.Abs(filepath.Join("bin", "test", "pico-auth"))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, r.goTool, "build", "-buildvcs=false", "-o", path, "./cmd/pico-auth") //nolint:gosec // go itself
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the program: %w", err)
	}
	r.env = append(r.env, programtest.Variable+"="+path)
	return nil
}

// postgres starts the one server of the run, where none is given, and returns
// what removes it.
func (r *run) postgres() (stop func(), err error) {
	if os.Getenv("TEST_DATABASE_URL") != "" {
		return func() {}, nil
	}
	r.step("start PostgreSQL")
	url, stop, err := postgrestest.Start("", postgrestest.Quick("off")...)
	if errors.Is(err, postgrestest.ErrMissing) {
		return func() {}, nil // the tests say what they skip
	}
	if err != nil {
		return nil, err
	}
	r.env = append(r.env, postgrestest.SharedServer+"="+url)
	return stop, nil
}

// split sorts the packages into those that run with the race detector and
// those that run without. Without a C compiler there is no race detector.
func (r *run) split(all packages) (with, without []string) {
	detector := r.hasCompiler()
	if !detector {
		fmt.Fprintln(r.out, "*** No C compiler was found: the tests run WITHOUT the race detector. ***")
	}
	for _, line := range all {
		name := strings.TrimPrefix(line[0], module+"/")
		_, listed := withoutRace[name]
		if detector && (r.full || !listed) && !slices.Contains(pure, name) {
			with = append(with, line[0])
		} else {
			without = append(without, line[0])
		}
	}
	return with, without
}

func (r *run) hasCompiler() bool {
	cc, err := exec.CommandContext(r.ctx, r.goTool, "env", "CC").Output() //nolint:gosec // go itself
	if err != nil {
		return false
	}
	words := strings.Fields(string(cc))
	if len(words) == 0 {
		return false
	}
	_, err = exec.LookPath(words[0])
	return err == nil
}
