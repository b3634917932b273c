//go:build unix

package storetest

import (
	"errors"
	"os"
	"testing"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

// Outage is a PostgreSQL server of one test, which stops and starts it.
type Outage struct {
	t       testing.TB
	cluster *postgrestest.Cluster
	stop    func(postgrestest.Fate) // nil: it is stopped
}

// NewOutage starts a server that is removed when the test ends. Without the
// programs of PostgreSQL the test is skipped, or fails with REQUIRE_POSTGRES=1.
func NewOutage(t testing.TB) *Outage {
	t.Helper()
	c, err := postgrestest.New("")
	switch {
	case errors.Is(err, postgrestest.ErrMissing) && os.Getenv("REQUIRE_POSTGRES") != "1":
		t.Skipf("SKIPPED, NO OUTAGE OF POSTGRESQL WAS TESTED: %v", err)
	case err != nil:
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	o := &Outage{t: t, cluster: c}
	t.Cleanup(func() {
		o.Stop()
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	o.Start()
	return o
}

// URL is the URL of the server's first database.
func (o *Outage) URL() string { return o.cluster.URL() }

// Socket is where the server listens.
func (o *Outage) Socket() string { return o.cluster.Socket() }

// Start starts the server.
func (o *Outage) Start() {
	o.t.Helper()
	stop, err := o.cluster.Start(postgrestest.Quick("on")...)
	if err != nil {
		o.t.Fatal(err)
	}
	o.stop = stop
}

// Stop stops the server at once, as a crash would.
func (o *Outage) Stop() {
	if o.stop != nil {
		o.stop(postgrestest.Kept)
		o.stop = nil
	}
}
