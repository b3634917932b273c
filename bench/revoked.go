//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

const (
	revokedPath    = "/api/v1/auth/revoked-jtis"
	revokedTokens  = 100_000
	revokedPollers = 10_000 // requests a second
	revokedConns   = 4      // enough for them; each is a thread that competes with the server for a core
)

// revoked measures the list of 100,000 revoked tokens, and what others notice of
// those that ask for it.
func (l *lab) revoked() (err error) {
	w, err := l.open(site.Seed{Users: revokedTokens + readClients, Known: 1, Ended: revokedTokens, Cost: 10}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := enterAll(w.Addr, w.sessions); err != nil {
		return err
	}
	idle := w.Resident()
	list := load.Request("GET", revokedPath, w.sessions[0].access, "")
	etag, size, err := measureList(w.Addr, list)
	if err != nil {
		return err
	}
	if size < revokedTokens*len(`{"jti":""}`) {
		return fmt.Errorf("the list has %d bytes: too few for %d tokens", size, revokedTokens)
	}
	known := step(load.Request("GET", revokedPath, w.sessions[0].access, "", "If-None-Match: "+etag))
	bystanders := load.Open{Addr: w.Addr, Conns: 16, Step: step(w.sessions[0].me), Rate: 200, Warm: l.pace.flood / 4, For: l.pace.flood, First: true}
	var me, lists, quiets, louds, polls []load.Result
	side := func(client load.Step, kept *[]load.Result) func() (float64, error) {
		clients := make([]load.Step, readClients)
		for i := range clients {
			clients[i] = client
		}
		return closed(load.Closed{Addr: w.Addr, Clients: clients, Warm: l.pace.warm, For: l.pace.window / 2, CPU: w.CPU}, kept)
	}
	m, err := l.round(
		side(step(w.sessions[0].me), &me),
		side(known, &lists),
		func() (float64, error) {
			r, err := bystanders.Run()
			quiets = append(quiets, r)
			return p99(r), err
		},
		func() (float64, error) {
			r, p, err := polled(w, bystanders, known)
			louds, polls = append(louds, r), append(polls, p)
			return p99(r), err
		},
	)
	if err != nil {
		return err
	}
	quiet, loud := middling(quiets), middling(louds)
	l.add(
		report.Row{
			Key: "revoked.cpu", Path: "CPU of the list of 100,000 revoked tokens answered 304 over CPU of GET /me", AtMost: 1.1,
			Samples: over(each(lists, cpu), each(me, cpu)), Context: say(typical(lists), "requests") + fmt.Sprintf("; the list has %.1f MB", float64(size)/1e6),
		},
		report.Row{
			Key: "revoked.p99", Path: "/me at 200/s while the list is asked for 10,000 times a second, p99 over its idle p99", AtMost: 2,
			Samples: over(m[3], m[2]), Context: fmt.Sprintf("p50 %s, p99 %s ms; idle %s, %s ms; the list %.0f/s, p99 %s ms",
				short(loud, 50), short(loud, 99), short(quiet, 50), short(quiet, 99), typical(polls).Rate(), short(typical(polls), 99)),
		},
		report.Row{
			Key: "revoked.memory", Path: "memory that the list takes", Unit: "MiB", Samples: []float64{float64(w.Resident()-idle) / (1 << 20)},
		},
	)
	return nil
}

// measureList returns the entity tag and the size of the list. The first response
// reads it from the database.
func measureList(addr string, list []byte) (etag string, size int, err error) {
	c, err := load.Dial(addr)
	if err != nil {
		return "", 0, err
	}
	defer c.Close() //nolint:errcheck // nothing is on it any more
	status, body, err := c.Do(list)
	if err := judge(status, body, err); err != nil {
		return "", 0, err
	}
	etag, found := c.Header("Etag")
	if !found {
		return "", 0, errors.New("the list has no entity tag")
	}
	return etag, len(body), nil
}

// polled runs the bystanders in the middle of the polls.
func polled(w *target, bystanders load.Open, poll load.Step) (them, polls load.Result, err error) {
	type outcome struct {
		load.Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := load.Open{
			Addr: w.Addr, Conns: revokedConns, Step: poll, Rate: revokedPollers, Warm: time.Second,
			For: bystanders.Warm + bystanders.For, CPU: w.CPU,
		}.Run()
		done <- outcome{r, err}
	}()
	time.Sleep(time.Second)
	them, err = bystanders.Run()
	o := <-done
	return them, o.Result, errors.Join(err, o.error)
}
