package server

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/web"
)

// Patience is how long tests wait for what must happen: long enough for a busy machine.
const Patience = 2 * time.Minute

// Stalled returns a function that says for how long this process did not run since then
// although it was due: what a busy machine adds to a time that a test measures.
func Stalled(t *testing.T) func() time.Duration {
	t.Helper()
	var sum atomic.Int64
	go func() {
		const nap = 20 * time.Millisecond
		for t.Context().Err() == nil {
			begin := time.Now()
			time.Sleep(nap)
			sum.Add(int64(time.Since(begin) - nap))
		}
	}()
	return func() time.Duration { return time.Duration(sum.Load()) }
}

// Eventually waits until the condition holds.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > Patience {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

const (
	// StopTimeout is after how long a stop waits for nothing any more.
	StopTimeout = stopTimeout
	// ChainLease is that of the server that links audit events.
	ChainLease = chainLease
)

// WriteCertificate puts a self-signed pair for localhost into a folder.
var WriteCertificate = writeCertificate

// Period is that of a job of a server with cfg, 0 when it has no such job.
func Period(t *testing.T, cfg config.Config, name string) time.Duration {
	t.Helper()
	s, err := New(t.Context(), Config{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, j := range s.work() {
		if j.Name == name {
			return j.Every
		}
	}
	return 0
}

// RoutesOf are all routes of a server with cfg.
func RoutesOf(t *testing.T, cfg config.Config) (routes []web.Route) {
	t.Helper()
	s, err := New(t.Context(), Config{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	routing, err := s.routing()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range routing.Groups {
		routes = append(routes, group.Routes...)
	}
	return routes
}

// Opened is closed when Run serves the API and is ready: until then other requests than
// those of probes wait.
func (s *Server) Opened() <-chan struct{} { return s.front.opened }
