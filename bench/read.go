//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

// readClients saturate two cores with answers that wait for nothing.
const readClients = 32

// read measures what changes nothing: who am I, the key set, discovery, and
// the key set for those who have it.
func (l *lab) read() (err error) {
	w, err := l.open(site.Seed{Users: readClients, Cost: 10}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	bare, err := l.bare()
	if err != nil {
		return err
	}
	defer bare.Stop() //nolint:errcheck // it ends with the signal
	if err := enterAll(w.Addr, w.sessions); err != nil {
		return err
	}
	etag, err := keySetETag(w.Addr)
	if err != nil {
		return err
	}
	var static, livez, keys, discovery, known, me []load.Result
	side := func(p *site.Process, clients []load.Step, kept *[]load.Result) func() (float64, error) {
		return closed(load.Closed{Addr: p.Addr, Clients: clients, Warm: l.pace.warm, For: l.pace.window / 2, CPU: p.CPU}, kept)
	}
	get := func(path string, headers ...string) []load.Step {
		return same(readClients, load.Request("GET", path, "", "", headers...))
	}
	m, err := l.round(
		side(bare, get("/static"), &static),
		side(w.Process, get("/livez"), &livez),
		side(w.Process, get(keySetPath), &keys),
		side(w.Process, get(discoveryPath), &discovery),
		side(w.Process, get(keySetPath, "If-None-Match: "+etag), &known),
		side(w.Process, readers(w.sessions), &me),
	)
	if err != nil {
		return err
	}
	one := typical(me)
	generator := one.Generator.Seconds() / (one.Generator + one.Server).Seconds()
	l.add(
		report.Row{
			Key: "read.core", Path: "GET /me on one core", Unit: "a second", Sizes: true, Samples: times(m[5], 1/float64(runtime.NumCPU())),
			Context: fmt.Sprintf("of the CPU time %.0f %% is the load's", 100*generator),
		},
		report.Row{
			Key: "read.me", Path: "GET /me, CPU of a request", Unit: "us", AtMost: 50, Samples: each(me, cpu),
			Context: say(one, "requests") + fmt.Sprintf("; the generator took %.0f %% of the CPU time", 100*generator),
		},
		report.Row{
			Key: "read.me_cpu", Path: "CPU of GET /me over CPU of /livez", Samples: over(each(me, cpu), each(livez, cpu)),
			Context: fmt.Sprintf("%.0f over %.0f us", cpu(one), cpu(typical(livez))),
		},
		report.Row{
			// The aim of 50 us is from a machine on which the bare answer takes 15.
			Key: "read.me_bare", Path: "CPU of GET /me over that of a bare ServeMux with static bytes", AtMost: 3.3, Samples: over(each(me, cpu), each(static, cpu)),
			Context: fmt.Sprintf("%.0f over %.0f us; by rate %.2f of %.0f/s", cpu(one), cpu(typical(static)), median(over(m[5], m[0])), median(m[0])),
		},
		report.Row{
			Key: "read.keys", Path: "key set over static bytes behind the same middleware (/livez)", AtLeast: 0.9, Samples: over(m[2], m[1]),
			Context: say(typical(keys), "requests"),
		},
		report.Row{
			Key: "read.keys_cpu", Path: "CPU of /livez over CPU of the key set", AtLeast: 0.9, Samples: over(each(livez, cpu), each(keys, cpu)),
			Context: fmt.Sprintf("%.0f us; discovery %.0f us, 304 %.0f us", cpu(typical(keys)), cpu(typical(discovery)), cpu(typical(known))),
		},
		report.Row{
			Key: "read.discovery", Path: "discovery over the same", AtLeast: 0.9, Samples: over(m[3], m[1]),
			Context: say(typical(discovery), "requests"),
		},
		report.Row{
			Key: "read.known", Path: "key set answered 304 over the same", AtLeast: 0.9, Samples: over(m[4], m[1]),
			Context: say(typical(known), "requests"),
		},
		report.Row{
			Key: "read.middleware", Path: "the middleware: /livez over a bare ServeMux with static bytes", Samples: over(m[1], m[0]),
			Context: say(typical(livez), "requests"),
		},
	)
	return nil
}

// keySetETag asks for the key set's entity tag.
func keySetETag(addr string) (string, error) {
	c, err := load.Dial(addr)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing is on it any more
	status, _, err := c.Do(load.Request("GET", keySetPath, "", ""))
	if err := judge(status, nil, err); err != nil {
		return "", err
	}
	etag, found := c.Header("Etag")
	if !found {
		return "", errors.New("the key set has no entity tag")
	}
	return etag, nil
}

// The mix of a site whose users log in once, refresh for a day and are
// verified all the time.
const (
	mixLogins    = 1
	mixRefreshes = 20
	mixReads     = 200
	mixClients   = 24
)

// mixed measures the mix beside what its primitives cost alone.
func (l *lab) mixed() (err error) {
	w, err := l.open(site.Seed{Users: mixClients, Cost: loginCost}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	bare, err := l.bare()
	if err != nil {
		return err
	}
	defer bare.Stop() //nolint:errcheck // it ends with the signal
	if err := enterAll(w.Addr, w.sessions); err != nil {
		return err
	}
	static := same(readClients, load.Request("GET", "/static", "", ""))
	var answers, mixture []load.Result
	var hashes, signatures []limit.Speed
	_, err = l.round(
		bareRate(l.pace.logins/3, limit.Hash(loginCost), &hashes),
		bareRate(l.pace.window/2, limit.Sign("RS256"), &signatures),
		closed(load.Closed{Addr: bare.Addr, Clients: static, Warm: l.pace.warm, For: l.pace.window / 2, CPU: bare.CPU}, &answers),
		closed(load.Closed{Addr: w.Addr, Clients: mix(w.sessions), Warm: l.pace.window, For: l.pace.logins * 3 / 2, CPU: w.CPU}, &mixture),
	)
	if err != nil {
		return err
	}
	alone := make([]float64, len(mixture))
	for i := range alone {
		sum := mixLogins*micro(hashes[i].CPU) + mixRefreshes*micro(signatures[i].CPU) + mixReads*cpu(answers[i])
		alone[i] = sum / (mixLogins + mixRefreshes + mixReads)
	}
	l.add(report.Row{
		Key: "mixed.share", Path: "1 login : 20 refreshes : 200 reads: CPU of as many bare hashes, signatures and answers over theirs",
		Samples: over(alone, each(mixture, cpu)), Context: say(typical(mixture), "requests"),
	})
	return nil
}

// mix spreads the kinds evenly; each client begins elsewhere in it.
func mix(sessions []*session) []load.Step {
	const cycle = mixLogins + mixRefreshes + mixReads
	steps := make([]load.Step, len(sessions))
	for i, s := range sessions {
		at := i * cycle / len(sessions)
		enter, me := step(loginRequest(s.n)), step(s.me)
		steps[i] = func(c *load.Conn) error {
			at = (at + 1) % cycle
			switch {
			case at == 0:
				return enter(c)
			case at%(cycle/mixRefreshes) == 0:
				return s.refresh(c)
			default:
				return me(c)
			}
		}
	}
	return steps
}
