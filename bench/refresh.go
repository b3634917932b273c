//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
	"github.com/pico-auth/pico-auth/internal/jose"
)

// manyClients is the concurrency at which refreshes are measured.
const manyClients = 64

// algorithms are those that auth.algorithm accepts, RS256 first: the program
// itself is asked.
func (l *lab) algorithms() ([]string, error) {
	names := []string{string(jose.RS256)}
	for _, name := range jose.Algorithms() {
		if name == jose.RS256 {
			continue
		}
		s, err := site.New(l.binary, l.dir, map[string]string{"AUTH_ALGORITHM": string(name)})
		if err != nil {
			return nil, err
		}
		if s.Accepts(l.ctx) {
			names = append(names, string(name))
		}
		if err := s.Remove(); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// fastest is the algorithm that hides least of what is not signing.
func (l *lab) fastest() (string, error) {
	names, err := l.algorithms()
	if err != nil {
		return "", err
	}
	for _, wanted := range []jose.Algorithm{jose.EdDSA, jose.ES256, jose.MLDSA65} {
		for _, name := range names {
			if name == string(wanted) {
				return name, nil
			}
		}
	}
	return names[0], nil
}

// signed is what was measured with one algorithm.
type signed struct {
	name     string
	target   *target
	bare     []float64 // signatures a second of all cores; none where no bare one is known
	speeds   []limit.Speed
	handler  []float64 // bare signatures behind net/http, a second
	runs     []load.Result
	newLimit func() (func() error, error)
}

// refresh measures refreshes of 64 clients with every algorithm, on SQLite with
// synchronous=FULL, beside bare signatures of it.
func (l *lab) refresh() (err error) {
	names, err := l.algorithms()
	if err != nil {
		return err
	}
	bare, err := l.bare()
	if err != nil {
		return err
	}
	defer bare.Stop() //nolint:errcheck // it ends with the signal
	var all []*signed
	for _, name := range names {
		w, err := l.open(site.Seed{Users: manyClients, Cost: 10}, map[string]string{"AUTH_ALGORITHM": name})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }() //nolint:gocritic // all of them run until the end
		all = append(all, &signed{name: name, target: w, newLimit: limit.Sign(name)})
	}
	for range l.pace.rounds {
		for _, s := range all {
			if err := l.ctx.Err(); err != nil {
				return err
			}
			if err := s.round(l.pace, bare); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	l.refreshRows(all)
	return nil
}

func (s *signed) round(p pace, bare *site.Process) error {
	window := s.window(p)
	if s.newLimit != nil {
		rate, err := bareRate(window/2, s.newLimit, &s.speeds)()
		if err != nil {
			return err
		}
		s.bare = append(s.bare, rate)
		r, err := load.Closed{
			Addr: bare.Addr, Clients: same(manyClients, load.Request("POST", "/sign/"+s.name, "", "")), Warm: p.warm, For: window / 2,
		}.Run()
		if err != nil {
			return err
		}
		s.handler = append(s.handler, r.Rate())
	}
	r, err := load.Closed{Addr: s.target.Addr, Clients: refreshes(s.target.sessions), Warm: p.warm, For: window, CPU: s.target.CPU}.Run()
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	return nil
}

// window is half as long for algorithms that nothing depends on: there are eight.
func (s *signed) window(p pace) time.Duration {
	switch jose.Algorithm(s.name) {
	case jose.RS256, jose.EdDSA, jose.MLDSA65:
		return p.window
	default:
		return p.window / 2
	}
}

func (s *signed) rates() []float64 { return each(s.runs, load.Result.Rate) }

func (l *lab) refreshRows(all []*signed) {
	rs256 := all[0]
	used, bareCPU := each(rs256.runs, cpu), cpus(rs256.speeds)
	var others []string
	for _, s := range all {
		switch jose.Algorithm(s.name) {
		case jose.ES256, jose.EdDSA, jose.MLDSA65:
			others = append(others, fmt.Sprintf("%s %.0f", s.name, median(s.rates())/float64(runtime.NumCPU())))
		default:
		}
	}
	l.add(
		report.Row{
			Key: "refresh.core", Path: "refreshes on one core, RS256, each durable", Unit: "a second", Sizes: true,
			Samples: times(rs256.rates(), 1/float64(runtime.NumCPU())), Context: strings.Join(others, ", "),
		},
		report.Row{
			Key: "refresh.RS256", Path: "refresh, RS256, 64 clients, over the bare signing rate of all cores",
			AtLeast: 0.8, Samples: over(rs256.rates(), rs256.bare), Doubt: doubt(over(rs256.rates(), rs256.bare), 0, 1), Context: say(typical(rs256.runs), "refreshes") + fmt.Sprintf("; %.0f signatures/s", median(rs256.bare)),
		},
		report.Row{
			Key: "refresh.handler", Path: "the same over bare signatures behind a bare net/http handler",
			Samples: over(rs256.rates(), rs256.handler), Context: fmt.Sprintf("the handler %.0f/s", median(rs256.handler)),
		},
		report.Row{
			Key: "refresh.cpu", Path: "CPU of a refresh, RS256, over that of a bare signature",
			AtMost: 1.2, Samples: over(used, bareCPU), Doubt: doubt(over(used, bareCPU), 1, 0), Context: fmt.Sprintf("%.0f over %.0f us", median(used), median(bareCPU)),
		},
		report.Row{
			Key: "refresh.tail", Path: "refresh, RS256, 64 clients, p99 over p50",
			AtMost: 3, Samples: over(each(rs256.runs, p99), each(rs256.runs, p50)),
		},
	)
	aims := map[string]float64{"EdDSA": 3, "ES256": 3, "ML-DSA-65": 2.5}
	chart := report.Chart{Name: "refresh", Title: "Refreshes a second by algorithm", Unit: "64 clients, 2 cores shared with the load, SQLite with synchronous=FULL"}
	for _, s := range all {
		r := report.Row{Samples: s.rates()}
		chart.Bars = append(chart.Bars, bar(s.name, r))
		if s == rs256 {
			continue
		}
		row := report.Row{
			Key: "refresh." + s.name, Path: "refresh, " + s.name + ", over RS256",
			AtLeast: aims[s.name], Samples: over(s.rates(), rs256.rates()), Context: say(typical(s.runs), "refreshes"),
		}
		if len(s.bare) > 0 {
			row.Doubt = doubt(over(s.rates(), s.bare), 0, 1)
			row.Context += fmt.Sprintf("; %.2f of %.0f bare signatures/s, whose CPU is %.0f us", median(over(s.rates(), s.bare)), median(s.bare), median(cpus(s.speeds)))
		}
		l.add(row)
	}
	l.charts = append(l.charts, chart)
}

// bar shows a row's median with its spread.
func bar(label string, r report.Row) report.Bar {
	samples := measured(r.Samples)
	if len(samples) == 0 {
		return report.Bar{Label: label}
	}
	return report.Bar{Label: label, Value: median(samples), Least: slices.Min(samples), Most: slices.Max(samples), Aim: max(r.AtLeast, r.AtMost)}
}

// memoryTime bounds the scenario on slow machines.
const memoryTime = 45 * time.Second

// memory looks at the program after very many refreshes, and a login for every
// 400 of them.
func (l *lab) memory() (err error) {
	algorithm, err := l.fastest()
	if err != nil {
		return err
	}
	w, err := l.open(site.Seed{Users: manyClients, Cost: 10}, map[string]string{"AUTH_ALGORITHM": algorithm})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	clients := refreshes(w.sessions)
	for i := range clients {
		refresh, enter, n := clients[i], step(loginRequest(i+1)), i
		clients[i] = func(c *load.Conn) error {
			if n++; n%400 == 0 {
				return enter(c)
			}
			return refresh(c)
		}
	}
	var resident []float64
	begin, done := time.Now(), int64(0)
	for part := range 4 {
		for done < int64(l.pace.many)*int64(part+1)/4 && time.Since(begin) < memoryTime*time.Duration(part+1)/4 {
			r, err := load.Closed{Addr: w.Addr, Clients: clients, For: l.pace.window / 2}.Run()
			if err != nil {
				return err
			}
			done += r.Done
		}
		resident = append(resident, float64(w.Resident())/(1<<20))
	}
	l.add(report.Row{
		Key: "memory.after", Path: fmt.Sprintf("resident memory after %d refreshes and logins", done), Unit: "MiB", AtMost: 45, Samples: resident[3:],
		Context: fmt.Sprintf("%s, in %.0f s; %d were to be done; at each quarter %.1f MiB", algorithm, time.Since(begin).Seconds(), l.pace.many, resident),
	})
	return nil
}
