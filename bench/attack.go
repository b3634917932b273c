//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/bench/limit"
	"github.com/pico-auth/pico-auth/bench/load"
	"github.com/pico-auth/pico-auth/bench/report"
	"github.com/pico-auth/pico-auth/bench/site"
)

// The attack comes from two addresses of one network, since an address has at most
// 256 connections, and the user from another network.
const (
	attackers       = 225 // of each address
	attackAddress   = "127.0.0.1"
	attackNeighbour = "127.0.0.2"
	userAddress     = "127.0.1.1"
)

// attack measures the logins of a user while one network guesses passwords with 450
// connections: as configured by default, and with only the hashing queue to defend it.
func (l *lab) attack() error {
	return errors.Join(
		l.attackOn("attack.", "", nil),
		l.attackOn("attack.queue_", ", without throttling", map[string]string{"THROTTLE_ENABLED": "false"}),
	)
}

func (l *lab) attackOn(key, how string, env map[string]string) (err error) {
	w, err := l.open(site.Seed{Users: 4, Cost: loginCost}, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	alone, err := limit.Hash(loginCost)()
	if err != nil {
		return err
	}
	user := load.Closed{Addr: w.Addr, Clients: logins(1), For: l.pace.logins, Dial: load.DialFrom(userAddress)}
	var quiets, louds []load.Result
	var peak int64
	m, err := l.round(
		func() (float64, error) {
			d, err := limit.Lone(5, alone)
			return float64(d), err
		},
		func() (float64, error) {
			r, err := user.Run()
			quiets = append(quiets, r)
			return p50(r), err
		},
		func() (float64, error) {
			r, err := attacked(w, user)
			louds, peak = append(louds, r), max(peak, w.Resident())
			return p50(r), err
		},
	)
	if err != nil {
		return err
	}
	var allowed, succeeded []float64
	for i, r := range louds {
		allowed = append(allowed, m[0][i]+m[1][i])
		succeeded = append(succeeded, float64(r.Done)/float64(max(r.Done+r.Refused+r.Failed, 1)))
	}
	l.add(
		report.Row{
			Key: key + "succeeded", Path: "a user's logins while one network guesses with 450 connections" + how + ": share that succeeds",
			AtLeast: 0.95, Samples: succeeded, Context: say(typical(louds), "logins"),
		},
		report.Row{
			Key: key + "p50", Path: "the same p50 over the idle p50 and one hash", AtMost: 2, Samples: over(m[2], allowed),
			Context: fmt.Sprintf("idle p50 %s ms, a hash %.0f ms", short(typical(quiets), 50), median(m[0])*1e-6),
		},
		report.Row{
			Key: key + "memory", Path: "resident memory after it", Unit: "MiB", AtMost: 64, Samples: []float64{float64(peak) / (1 << 20)},
		},
	)
	return nil
}

// attacked runs the user in the middle of the attack.
func attacked(w *target, user load.Closed) (load.Result, error) {
	done := make(chan error, 2)
	guess := load.Request("POST", loginPath, "", fmt.Sprintf(`{"email":%q,"password":"a-wrong-passphrase"}`, site.Email(1)))
	for _, address := range []string{attackAddress, attackNeighbour} {
		go func() {
			_, err := load.Closed{
				Addr: w.Addr, Clients: slices.Repeat([]load.Step{guesser(guess)}, attackers),
				Warm: time.Second, For: user.For, Dial: load.DialFrom(address),
			}.Run()
			done <- err
		}()
	}
	time.Sleep(time.Second)
	r, err := user.Run()
	return r, errors.Join(err, <-done, <-done)
}

// guesser takes every response but 5xx.
func guesser(request []byte) load.Step {
	return func(c *load.Conn) error {
		status, body, err := c.Do(request)
		if status == 401 {
			return err
		}
		return judge(status, body, err)
	}
}
