//go:build linux

package limit

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/bench/load"
)

// Speed is what all cores together can do.
type Speed struct {
	Rate float64       // works a second
	CPU  time.Duration // of one work
}

// Rate does the work on all cores over the time given. newWork makes the work
// of one core.
func Rate(over time.Duration, newWork func() (func() error, error)) (Speed, error) {
	cores := runtime.GOMAXPROCS(0)
	works := make([]func() error, cores)
	for i := range works {
		work, err := newWork()
		if err != nil {
			return Speed{}, err
		}
		works[i] = work
	}
	var stop atomic.Bool
	var all atomic.Int64
	rates, errs := make([]float64, cores), make([]error, cores)
	before := load.OwnCPU()
	var running sync.WaitGroup
	for i, work := range works {
		running.Go(func() {
			begin, done := time.Now(), 0
			for !stop.Load() && errs[i] == nil {
				errs[i] = work()
				done++
			}
			rates[i] = float64(done) / time.Since(begin).Seconds() // whole ones only: a hash takes long
			all.Add(int64(done))
		})
	}
	time.Sleep(over)
	stop.Store(true)
	running.Wait()
	speed := Speed{CPU: (load.OwnCPU() - before) / time.Duration(max(all.Load(), 1))}
	for _, r := range rates {
		speed.Rate += r
	}
	return speed, errors.Join(errs...)
}

// Lone is how long the work takes one core while the others idle: the median
// of n.
func Lone(n int, work func() error) (time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		begin := time.Now()
		if err := work(); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin)
	}
	return median(took), nil
}

// Hash compares a password by x/crypto's bcrypt.
func Hash(cost int) func() (func() error, error) {
	return func() (func() error, error) {
		password := []byte("a-long-enough-passphrase")
		hash, err := bcrypt.GenerateFromPassword(password, cost)
		return func() error { return bcrypt.CompareHashAndPassword(hash, password) }, err
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
