//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

const (
	loginCost  = 12
	floodUsers = 16
)

// login measures logins beside the same hash by x/crypto: many at once, two
// waiting for each core, and one alone.
func (l *lab) login() (err error) {
	pairs := 2 * runtime.NumCPU()
	w, err := l.open(site.Seed{Users: max(floodUsers, pairs), Cost: loginCost}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	bare, err := l.bare()
	if err != nil {
		return err
	}
	defer bare.Stop() //nolint:errcheck // it ends with the signal
	alone, err := limit.Hash(loginCost)()
	if err != nil {
		return err
	}
	var hashes []limit.Speed
	var saturated, handler, twos, lone []load.Result
	hash := load.Request("POST", "/hash", "", "")
	m, err := l.round(
		bareRate(l.pace.logins/2, limit.Hash(loginCost), &hashes),
		closed(load.Closed{Addr: w.Addr, Clients: logins(floodUsers), Warm: time.Second, For: l.pace.logins, CPU: w.CPU}, &saturated),
		closed(load.Closed{Addr: bare.Addr, Clients: same(runtime.NumCPU(), hash), Warm: l.pace.warm, For: l.pace.logins / 2}, &handler),
		closed(load.Closed{Addr: w.Addr, Clients: logins(pairs), Warm: l.pace.warm, For: l.pace.logins / 2}, &twos),
		func() (float64, error) {
			d, err := limit.Lone(5, alone)
			return float64(d), err
		},
		closed(load.Closed{Addr: w.Addr, Clients: logins(1), For: l.pace.logins / 3}, &lone),
	)
	if err != nil {
		return err
	}
	l.add(
		report.Row{
			Key: "login.core", Path: "logins on one core, bcrypt cost 12", Unit: "a second", Sizes: true,
			Samples: times(m[1], 1/float64(runtime.NumCPU())), Context: fmt.Sprintf("16 clients, of which each waits %s ms; a lone login takes %s ms", short(typical(saturated), 50), short(typical(lone), 50)),
		},
		report.Row{
			Key: "login.saturated", Path: "logins, cost 12, 16 clients, over the bare x/crypto rate of all cores",
			AtLeast: 2.7, Samples: over(m[1], m[0]), Context: say(typical(saturated), "logins") + fmt.Sprintf("; x/crypto %.1f/s", median(m[0])),
		},
		report.Row{
			Key: "login.cpu", Path: "CPU of a bare x/crypto hash over CPU of such a login",
			AtLeast: 2.6, Samples: over(cpus(hashes), each(saturated, cpu)), Context: fmt.Sprintf("%.0f over %.0f ms", median(cpus(hashes))/1000, cpu(typical(saturated))/1000),
		},
		report.Row{
			Key: "login.handler", Path: "the same over x/crypto behind a bare net/http handler",
			Samples: over(m[1], m[2]), Context: fmt.Sprintf("the handler %.1f/s", median(m[2])),
		},
		report.Row{
			Key: "login.pairs", Path: "logins, two waiting for each core, over the bare x/crypto rate",
			AtLeast: 1.8, Samples: over(m[3], m[0]), Context: fmt.Sprintf("%d clients; %.1f logins/s", pairs, median(m[3])),
		},
		report.Row{
			Key: "login.lone", Path: "a lone login, time over that of a bare x/crypto hash",
			AtMost: 1.05, Samples: over(each(lone, p50), m[4]), Context: fmt.Sprintf("p50 %s ms", short(typical(lone), 50)),
		},
	)
	return nil
}

// flood measures what others notice while 16 clients log in without pause.
func (l *lab) flood() (err error) {
	w, err := l.open(site.Seed{Users: 64, Cost: loginCost}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := enterAll(w.Addr, w.sessions[:1]); err != nil {
		return err
	}
	bystanders := load.Open{Addr: w.Addr, Conns: 16, Step: step(w.sessions[0].me), Rate: 200, Warm: l.pace.flood / 4, For: l.pace.flood, First: true}
	var hashes []limit.Speed
	var quiets, louds, floods []load.Result
	m, err := l.round(
		bareRate(l.pace.logins/3, limit.Hash(loginCost), &hashes),
		func() (float64, error) {
			r, err := bystanders.Run()
			quiets = append(quiets, r)
			return p99(r), err
		},
		func() (float64, error) {
			r, f, err := flooded(w, bystanders)
			louds, floods = append(louds, r), append(floods, f)
			return p99(r), err
		},
	)
	if err != nil {
		return err
	}
	quiet, loud := middling(quiets), middling(louds)
	late := milliseconds(time.Duration(loud.Late.ValueAtQuantile(99)))
	l.add(
		report.Row{
			Key: "flood.ratio", Path: "/me at 200/s while 16 clients log in, p99 over its idle p99",
			AtMost: 2, Samples: over(m[2], m[1]),
			Context: fmt.Sprintf("p50 %s, p99 %s, p999 %s ms; idle %s, %s, %s ms", short(loud, 50), short(loud, 99), short(loud, 99.9), short(quiet, 50), short(quiet, 99), short(quiet, 99.9)),
		},
		report.Row{
			Key: "flood.p99", Path: "the same p99", Unit: "ms", AtMost: 3, Samples: times(m[2], 1e-6),
			Context: fmt.Sprintf("of it the generator itself was late by %.2f ms at p99", late),
		},
		report.Row{
			Key: "flood.cpu", Path: "CPU of a bare x/crypto hash over CPU of a login in the flood, /me included", Samples: over(cpus(hashes), each(floods, cpu)),
		},
		report.Row{
			Key: "flood.logins", Path: "logins at the same time, over the bare x/crypto rate of all cores", Samples: over(each(floods, load.Result.Rate), m[0]),
			Context: say(typical(floods), "logins"),
		},
	)
	l.charts = append(l.charts, report.Chart{
		Name: "flood", Title: "GET /me at 200 a second, with and without a flood of logins", Unit: "milliseconds from the intended start",
		Bars: []report.Bar{
			{Label: "idle, p50", Value: milliseconds(quiet.Quantile(50))},
			{Label: "idle, p99", Value: milliseconds(quiet.Quantile(99))},
			{Label: "16 clients log in, p50", Value: milliseconds(loud.Quantile(50))},
			{Label: "16 clients log in, p99", Value: milliseconds(loud.Quantile(99)), Aim: 3},
		},
	})
	return nil
}

// middling is the result with the median p99.
func middling(results []load.Result) load.Result {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b load.Result) int { return cmp.Compare(p99(a), p99(b)) })
	return sorted[len(sorted)/2]
}

// flooded runs the bystanders in the middle of a flood of logins.
func flooded(w *target, bystanders load.Open) (them, flood load.Result, err error) {
	type outcome struct {
		load.Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := load.Closed{
			Addr: w.Addr, Clients: logins(floodUsers), Warm: time.Second,
			For: bystanders.Warm + bystanders.For, CPU: w.CPU,
		}.Run()
		done <- outcome{r, err}
	}()
	time.Sleep(time.Second)
	them, err = bystanders.Run()
	o := <-done
	return them, o.Result, errors.Join(err, o.error)
}
