//go:build unix

package storetest

import (
	"errors"
	"os"
	"testing"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

// Pair is a PostgreSQL server of one test and its synchronous standby.
type Pair struct {
	t                testing.TB
	primary, standby *postgrestest.Cluster
}

// NewPair starts both. They are removed when the test ends. Without the programs of
// PostgreSQL the test is skipped, or fails with REQUIRE_POSTGRES=1.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t: t}
	var err error
	p.primary, err = postgrestest.New("")
	switch {
	case errors.Is(err, postgrestest.ErrMissing) && os.Getenv("REQUIRE_POSTGRES") != "1":
		t.Skipf("SKIPPED, NO FAILOVER OF POSTGRESQL WAS TESTED: %v", err)
	case err != nil:
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	p.start(p.primary, "synchronous_standby_names='*'")
	if p.standby, err = p.primary.Standby(); err != nil {
		t.Fatal(err)
	}
	p.start(p.standby)
	return p
}

func (p *Pair) start(c *postgrestest.Cluster, settings ...string) {
	p.t.Helper()
	stop, err := c.Start(append(postgrestest.Quick("on"), settings...)...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		stop(postgrestest.Kept)
		if err := c.Remove(); err != nil {
			p.t.Error(err)
		}
	})
}

// URL names both servers.
func (p *Pair) URL() string { return postgrestest.URLOf(p.primary, p.standby) }

// KillPrimary ends the primary as the end of its machine would.
func (p *Pair) KillPrimary() { p.check(p.primary.Kill()) }

// Promote makes the standby the primary.
func (p *Pair) Promote() { p.check(p.standby.Promote()) }

func (p *Pair) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}
