//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/report"
)

// benchmark runs Go benchmarks of a package of the program once and returns
// one value of each by its name: the ns/op, or of another unit.
type benchmark struct {
	program string
	folder  string // of the package: its tests may need it
	pattern string
	time    time.Duration
	unit    string
}

// build compiles the tests of a package. It needs the go command and the
// sources, which make runs the bench in.
func (l *lab) build(pkg string) (benchmark, error) {
	b := benchmark{program: filepath.Join(l.dir, filepath.Base(pkg)+".test"), folder: pkg, unit: "ns/op"}
	command := exec.CommandContext(l.ctx, "go", "test", "-c", "-o", b.program, "./"+pkg) //nolint:gosec // one of two names below
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return b, fmt.Errorf("compile the benchmarks of %s: %w\n%s", pkg, err, out)
	}
	return b, nil
}

func (b benchmark) run(ctx context.Context, dir string) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, b.program, "-test.run", "^$", "-test.bench", b.pattern, "-test.benchtime", b.time.String()) //nolint:gosec // it was just built
	cmd.Dir = b.folder
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // the disk to be measured
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return parseBenchmarks(string(out), b.unit)
}

// parseBenchmarks takes the values of one unit from what go test prints: a
// name with the number of processors behind it, how often it ran, and pairs of
// value and unit.
func parseBenchmarks(out, unit string) (map[string]float64, error) {
	values := map[string]float64{}
	suffix := fmt.Sprintf("-%d", runtime.GOMAXPROCS(0)) // as go test appends it where it is not 1
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(fields[0], "Benchmark"), suffix)
		for i := 3; i < len(fields); i += 2 {
			if fields[i] != unit {
				continue
			}
			v, err := strconv.ParseFloat(fields[i-1], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			values[name] = v
		}
	}
	return values, nil
}

// store measures, without HTTP, what commits together are worth, what one
// statement is on PostgreSQL, and what a token costs beyond its signature. The
// benchmarks are the packages' own.
func (l *lab) store() error {
	rotations, err := l.build("internal/store")
	if err != nil {
		return err
	}
	rotations.time, rotations.unit = l.pace.window/2, "rotations/s"
	syncs, postgres := rotations, rotations
	rotations.pattern, postgres.pattern = "Rotations$/clients=64", "RotationsOnPostgreSQL$/away/clients=64"
	syncs.pattern, syncs.unit = "Rotations$/sync", "ns/op"
	var each, normal, sync, together, one []float64
	for range l.pace.rounds {
		rates, err := rotations.run(l.ctx, l.dir)
		if err != nil {
			return err
		}
		disk, err := syncs.run(l.ctx, l.dir)
		if err != nil {
			return err
		}
		server, err := postgres.run(l.ctx, l.dir)
		if err != nil {
			return err
		}
		mine := rates["Rotations/clients=64/together"]
		together = append(together, mine)
		each = append(each, mine/rates["Rotations/clients=64/each"])
		normal = append(normal, mine/rates["Rotations/clients=64/normal"])
		sync = append(sync, mine/(1e9/disk["Rotations/sync"]))
		if steps := server["RotationsOnPostgreSQL/away/clients=64/steps"]; steps > 0 { // else there is no PostgreSQL
			one = append(one, server["RotationsOnPostgreSQL/away/clients=64/one"]/steps)
		}
	}
	l.add(
		report.Row{
			Key: "store.together", Path: "rotations in the store, 64 writers, FULL, over one commit each", AtLeast: 2.8, Samples: each,
			Context: fmt.Sprintf("%.0f rotations/s", median(together)),
		},
		report.Row{Key: "store.sync", Path: "the same over the disk's syncs", AtLeast: 1.2, Samples: sync, Context: fmt.Sprintf("%.0f syncs/s", median(together)/median(sync))},
		report.Row{Key: "store.normal", Path: "the same over synchronous=NORMAL", AtLeast: 0.95, Samples: normal},
		report.Row{
			Key: "store.statement", Path: "rotations on PostgreSQL, 64 writers, 0.5 ms away, one statement over a transaction of five", AtLeast: 1.5,
			Samples: one, Context: "in the store, on a test server that does not sync",
		},
	)
	return l.mint()
}

// mint measures what assembling a token takes besides its signature: of each
// token the benchmark takes the whole time less that of the signature in it, so
// that signatures which vary by more than the rest do not hide it.
func (l *lab) mint() error {
	mint, err := l.build("internal/jose")
	if err != nil {
		return err
	}
	names := []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}
	mint.pattern, mint.time, mint.unit = "Mint$/^("+strings.Join(names, "|")+")$/mint", l.pace.window/4, "ns-around"
	around := map[string][]float64{}
	for range l.pace.rounds {
		costs, err := mint.run(l.ctx, l.dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			cost, found := costs["Mint/"+name+"/mint"]
			if !found {
				return fmt.Errorf("the benchmark has no %s of %s", mint.unit, name)
			}
			around[name] = append(around[name], cost/1000)
		}
	}
	for _, name := range names {
		l.add(report.Row{
			Key: "mint." + strings.ToLower(name), Path: "assembling a token, time around the signature in the same call, " + name, Unit: "us", AtMost: 3, Samples: around[name],
			Context: "of 500 tokens a round the fast end, the 5th percentile",
		})
	}
	return nil
}
