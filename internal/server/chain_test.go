package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// chainOf verifies the chain of a database whose servers have masterKey(1).
func chainOf(t *testing.T, database string) audit.Report {
	t.Helper()
	master, err := seal.Parse(masterKey(1))
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.NewChain(storetest.OpenURL(t, database), master, nil).Verify(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 {
		t.Errorf("the chain is not intact: %+v", report)
	}
	return report
}

// linked waits until every event is linked, and requires at least so many.
func linked(t *testing.T, database string, events int64) {
	t.Helper()
	begin := time.Now()
	for {
		report := chainOf(t, database)
		if report.Unlinked == 0 && report.Verified >= events {
			return
		}
		if time.Since(begin) > server.Patience {
			t.Fatalf("after %v: %+v, want %d events", server.Patience, report, events)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// A process that is killed leaves events without a link; the next one links them,
// when the lease of the killed one has expired.
func TestAKilledServerLeavesNoGapInTheChain(t *testing.T) {
	t.Parallel()
	path := program(t)
	for engine, database := range map[string]string{"sqlite": storetest.SQLite(t), "postgres": storetest.EmptyPostgres(t)} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, path, database, 1, "AUTH_MASTER_KEY="+masterKey(1))
			f.login(rootEmail, rootPassword)
			linked(t, database, 2)
			f.login(rootEmail, rootPassword)
			if err := f.replicas[0].cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = f.replicas[0].cmd.Wait()
			if left := chainOf(t, database); left.Unlinked == 0 {
				t.Logf("nothing was left: %+v", left) // the period ended just then
			}
			f.replicas[0].start()
			f.replicas[0].ready()
			f.login(rootEmail, rootPassword)
			linked(t, database, 4)
			f.login(rootEmail, rootPassword)
			f.replicas[0].stop()
			if last := chainOf(t, database); last.Unlinked > 0 {
				t.Errorf("a clean stop left events without a link: %+v", last)
			}
			if !strings.Contains(f.replicas[0].log.String(), `"head":"`+chainOf(t, database).Head+`"`) {
				t.Error("the last head is not in the log")
			}
		})
	}
}

// When the replica that links is killed, another one continues its chain.
func TestAReplicaTakesOverTheChain(t *testing.T) {
	t.Parallel()
	path, database, begin := program(t), storetest.EmptyPostgres(t), time.Now()
	f := newFleet(t, path, database, 2, "AUTH_MASTER_KEY="+masterKey(1))
	f.login(rootEmail, rootPassword)
	linked(t, database, 2)
	holder := 0
	server.Eventually(t, "a replica logs the head", func() bool {
		if strings.Contains(f.replicas[1].log.String(), "audit events linked") {
			holder = 1
		}
		return strings.Contains(f.replicas[holder].log.String(), "audit events linked")
	})
	// Later the lease may have ended while the machine had other work.
	if strings.Contains(f.replicas[1-holder].log.String(), "audit events linked") && time.Since(begin) < server.ChainLease {
		t.Error("both replicas link")
	}
	if err := f.replicas[holder].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = f.replicas[holder].cmd.Wait()
	f.login(rootEmail, rootPassword)
	linked(t, database, 3)
	server.Eventually(t, "the other replica logs the head", func() bool {
		return strings.Contains(f.replicas[1-holder].log.String(), "audit events linked")
	})
}
