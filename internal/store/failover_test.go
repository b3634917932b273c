//go:build unix

package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestADatabaseThatWasReadOnlyTakesWritesAgain without a restart of either side: every
// connection that was opened in that time refuses writes for ever.
func TestADatabaseThatWasReadOnlyTakesWritesAgain(t *testing.T) {
	url := storetest.Postgres(t)
	beside, name := storetest.Postgres(t), storetest.Rows(t, url, "SELECT current_database()")[0][0]
	s := storetest.OpenURL(t, url)
	storetest.Exec(t, beside, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	storetest.Exec(t, beside, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	write := func() error {
		return s.SetRegistration(t.Context(), store.Act{Action: "x", By: identity.Actor{Kind: identity.ActorSystem}}, true)
	}
	// As many connections as the pool has: a blocked table keeps them in use at the same time.
	release := storetest.Hold(t, url, "SET default_transaction_read_only = off; BEGIN; LOCK TABLE settings")
	var reads sync.WaitGroup
	for range 16 {
		reads.Go(func() { _, _, _ = s.Registration(t.Context()) })
	}
	for len(storetest.Rows(t, beside, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '"+name+"'")) < 16 {
		time.Sleep(10 * time.Millisecond)
	}
	release()
	reads.Wait()
	if err := write(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write while it is read-only: %v", err)
	}
	if err := s.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping while it is read-only: %v", err)
	}
	storetest.Exec(t, beside, "ALTER DATABASE "+name+" SET default_transaction_read_only = off")
	for deadline := time.Now().Add(time.Minute); errors.Join(write(), s.Ping(t.Context())) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays unavailable")
		}
	}
	for range 40 {
		if err := write(); err != nil {
			t.Errorf("a connection that takes no writes is still in use: %v", err)
		}
	}
}
