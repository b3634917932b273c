//go:build linux

package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

const (
	fewUsers = 1000
	// knownUsers are those that act, evenly spread over all: enough that their
	// rows are not the same few pages.
	knownUsers = 1000
	// growthCost is the lowest: a dearer hash would hide what the database costs.
	growthCost = 10
)

// growth compares a thousand users with a million, each with a live session.
// One client asks at a time, so a latency is the work itself.
func (l *lab) growth() (err error) {
	algorithm, err := l.fastest()
	if err != nil {
		return err
	}
	env := map[string]string{"AUTH_ALGORITHM": algorithm}
	few, err := l.open(site.Seed{Users: fewUsers, Known: knownUsers, Cost: growthCost}, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, few.close()) }()
	begin := time.Now()
	many, err := l.open(site.Seed{Users: l.pace.users, Known: knownUsers, Cost: growthCost}, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, many.close()) }()
	filled := time.Since(begin)
	if err := errors.Join(enterAll(few.Addr, few.sessions), enterAll(many.Addr, many.sessions)); err != nil {
		return err
	}
	var sides []func() (float64, error)
	var results []*[]load.Result // of each kind: few, many
	kinds := []struct {
		name string
		path string
		next func(*session) load.Step
		long time.Duration
	}{
		{"login", "login", func(s *session) load.Step { return step(loginRequest(s.n)) }, l.pace.logins / 2},
		{"refresh", "refresh", func(s *session) load.Step { return s.refresh }, l.pace.window},
		{"me", "GET /me", func(s *session) load.Step { return step(s.me) }, l.pace.window},
	}
	for _, kind := range kinds {
		for _, w := range []*target{few, many} {
			kept := new([]load.Result)
			results = append(results, kept)
			sides = append(sides, closed(load.Closed{
				Addr: w.Addr, Clients: []load.Step{allUsers(w.sessions, kind.next)}, Warm: l.pace.warm, For: kind.long,
			}, kept))
		}
	}
	if _, err := l.round(sides...); err != nil {
		return err
	}
	if err := l.grown(few, many); err != nil {
		return err
	}
	chart := report.Chart{Name: "growth", Title: fmt.Sprintf("From %d to %d users: latency at the median", fewUsers, l.pace.users), Unit: "ratio; 1 is no growth at all"}
	for i, kind := range kinds {
		before, now := *results[2*i], *results[2*i+1]
		a, b := typical(before), typical(now)
		row := report.Row{
			Key: "growth." + kind.name, Path: fmt.Sprintf("%s, p50 with %d users and sessions over p50 with %d", kind.path, l.pace.users, fewUsers),
			AtMost: 1.3, Samples: over(each(now, p50), each(before, p50)),
			Context: fmt.Sprintf("p50 %s ms, before %s ms; p99 %s, before %s", short(b, 50), short(a, 50), short(b, 99), short(a, 99)),
		}
		if i == 0 {
			row.Context += fmt.Sprintf("; filled in %.0f s", filled.Seconds())
		}
		l.add(row)
		chart.Bars = append(chart.Bars, bar(kind.path, row))
	}
	l.charts = append(l.charts, chart)
	return nil
}

// grown measures what the users take, of memory after all of that load and on the disk.
func (l *lab) grown(few, many *target) error {
	small, err := few.Size()
	if err != nil {
		return err
	}
	large, err := many.Size()
	if err != nil {
		return err
	}
	resident := func(w *target) float64 { return float64(w.Resident()) / (1 << 20) }
	l.add(
		report.Row{
			Key: "growth.memory", Path: fmt.Sprintf("resident memory with %s users and sessions", grouped(l.pace.users)), Unit: "MiB", Sizes: true,
			Samples: []float64{resident(many)}, Context: fmt.Sprintf("with %s: %.1f MiB; nothing is kept in memory for a user or a session", grouped(fewUsers), resident(few)),
		},
		report.Row{
			Key: "growth.disk", Path: "disk of a user with one session", Unit: "bytes", Sizes: true,
			Samples: []float64{float64(large-small) / float64(l.pace.users-fewUsers)}, Context: fmt.Sprintf("a database of %.0f MB", float64(large)/1e6),
		},
	)
	return nil
}

// grouped writes 1000000 as 1,000,000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// allUsers is one client that acts as the next user each time, in an order
// that jumps about the tables.
func allUsers(sessions []*session, next func(*session) load.Step) load.Step {
	steps := make([]load.Step, len(sessions))
	for i, s := range sessions {
		steps[i] = next(s)
	}
	at := 0
	return func(c *load.Conn) error {
		at = (at + 619) % len(steps) // no divisor in common with knownUsers
		return steps[at](c)
	}
}

// postgres puts PostgreSQL beside SQLite.
func (l *lab) postgres() (err error) {
	url, stop, err := site.Postgres(l.ctx, l.dir)
	if errors.Is(err, postgrestest.ErrMissing) {
		l.add(report.Row{Key: "postgres.refresh", Path: "refresh on PostgreSQL over SQLite", Missing: "SKIPPED: " + err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	algorithm, err := l.fastest()
	if err != nil {
		return err
	}
	env := map[string]string{"AUTH_ALGORITHM": algorithm}
	seed := site.Seed{Users: manyClients, Cost: growthCost}
	lite, err := l.open(seed, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lite.close()) }()
	s, err := site.New(l.binary, l.dir, env)
	if err != nil {
		return err
	}
	s.URL = url
	post, err := l.openAt(s, seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, post.close()) }()
	if err := errors.Join(enterAll(lite.Addr, lite.sessions), enterAll(post.Addr, post.sessions)); err != nil {
		return err
	}
	var rotations, rotationsLite, reads, readsLite []load.Result
	side := func(w *target, clients []load.Step, kept *[]load.Result) func() (float64, error) {
		return closed(load.Closed{Addr: w.Addr, Clients: clients, Warm: l.pace.warm, For: l.pace.window, CPU: w.CPU}, kept)
	}
	m, err := l.round(
		side(lite, refreshes(lite.sessions), &rotationsLite), side(post, refreshes(post.sessions), &rotations),
		side(lite, readers(lite.sessions[:readClients]), &readsLite), side(post, readers(post.sessions[:readClients]), &reads),
	)
	if err != nil {
		return err
	}
	const alone = "that CPU is of the server alone, without PostgreSQL's own processes"
	l.add(
		report.Row{
			Key: "postgres.refresh", Path: "refresh, " + algorithm + ", 64 clients, PostgreSQL over SQLite", Samples: over(m[1], m[0]),
			Context: say(typical(rotations), "refreshes") + fmt.Sprintf("; %s; SQLite %.0f/s", alone, median(m[0])),
		},
		report.Row{
			Key: "postgres.me", Path: "GET /me, PostgreSQL over SQLite", Samples: over(m[3], m[2]),
			Context: say(typical(reads), "requests") + fmt.Sprintf("; %s; SQLite %.0f/s", alone, median(m[2])),
		},
	)
	return nil
}
