package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const (
	loseToAnother  = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$"
	loseConnection = "SELECT pg_terminate_backend(pg_backend_pid())"
)

func TestAnOperationThatDidNothingIsRepeated(t *testing.T) {
	for name, accident := range map[string]string{"conflict": loseToAnother, "connection": loseConnection} {
		t.Run(name, func(t *testing.T) {
			s := storetest.OpenURL(t, storetest.Postgres(t))
			attempts := 0
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				attempts++
				if err := note(tx, "once"); err != nil {
					return err
				}
				if attempts < 3 {
					_, err := tx.Exec(accident)
					return err
				}
				return nil
			})
			if err != nil || attempts != 3 || !noted(t, s, "once") || s.Stats().Retries != 2 {
				t.Errorf("%d attempts: %v", attempts, err)
			}
		})
	}
}

func TestRepeatingIsBounded(t *testing.T) {
	s := storetest.OpenURL(t, storetest.Postgres(t))
	attempts := 0
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		attempts++
		_, err := tx.Exec(loseToAnother)
		return err
	})
	if fault.KindOf(err) != fault.Unavailable || attempts != store.MaxAttempts {
		t.Errorf("%d attempts: %v", attempts, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = s.Write(ctx, func(tx *store.Tx) error {
		cancel()
		_, err := tx.Exec(loseToAnother)
		return err
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a cancelled request is still repeated: %v", err)
	}
}

func TestAPanicReleasesItsConnection(t *testing.T) {
	s := storetest.OpenURL(t, storetest.Postgres(t)+"&pool_max_conns=2")
	for range 5 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.Write(t.Context(), func(tx *store.Tx) error {
				_ = note(tx, "never")
				panic("act")
			})
		}()
	}
	if noted(t, s, "never") {
		t.Error("half an operation was stored")
	}
}

func TestAStatementThatTakesTooLongIsCancelled(t *testing.T) {
	s := storetest.OpenURL(t, storetest.Postgres(t)+"&statement_timeout=100ms")
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("SELECT pg_sleep(5)")
		return err
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// Callers wait for connections of a small pool and do not deadlock.
func TestASmallPoolServesManyCallers(t *testing.T) {
	s := storetest.OpenURL(t, storetest.Postgres(t)+"&pool_max_conns=2")
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 32 {
		wg.Go(func() {
			if err := s.Write(ctx, func(tx *store.Tx) error { return note(tx, itoa(i)) }); err != nil {
				t.Errorf("write: %v", err)
			}
			if _, err := s.Users(ctx, system("x").By, store.ListFilter{}); err != nil {
				t.Errorf("read: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestAReadSurvivesALostConnection(t *testing.T) {
	url := storetest.Postgres(t)
	s, other := storetest.OpenURL(t, url), storetest.OpenURL(t, url)
	for range 3 {
		if _, _, err := s.Registration(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := other.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Registration(t.Context()); err != nil {
			t.Errorf("read: %v", err)
		}
		if err := s.Write(t.Context(), func(*store.Tx) error { return nil }); err != nil {
			t.Errorf("write: %v", err)
		}
	}
}

func TestReadsEndWithTheirRequest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.UserByID(ctx, "u"); !errors.Is(err, context.Canceled) {
			t.Errorf("query: %v", err)
		}
		if _, err := s.Users(ctx, system("x").By, store.ListFilter{}); !errors.Is(err, context.Canceled) {
			t.Errorf("snapshot: %v", err)
		}
		if fault.KindOf(s.Ping(t.Context())) != fault.Internal { // nil has no kind
			t.Error("the next call fails")
		}
	})
}

// A lookup in a file ignores cancellation while it runs, so the context is checked
// before.
func TestALookupIsSkippedForACancelledRequest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := s.Bearer(ctx, "u", "", ""); fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		cancel()
		if _, err := s.Bearer(ctx, "u", "", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestALongReadIsInterruptedWithItsRequest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := s.Read(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000000)
				SELECT COUNT(*) FROM c`)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute { // it would take many minutes
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
