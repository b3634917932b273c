package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// told collects the events that a store passed to Committed.
type told struct {
	mu     sync.Mutex
	events []store.Event
}

func (o *told) tell(ev store.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, ev)
}

// details are the details of the events, in order.
func (o *told) details() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	details := []string{}
	for _, ev := range o.events {
		details = append(details, ev.Detail)
	}
	return details
}

func (o *told) option() storetest.Option {
	return func(cfg *store.Config) { cfg.Committed = o.tell }
}

// record writes an audit event with that detail.
func record(tx *store.Tx, detail string) error {
	return tx.Audit(store.Event{Action: "test", Outcome: store.OutcomeSuccess, Detail: detail})
}

func wantTold(t *testing.T, o *told, want ...string) {
	t.Helper()
	if got := o.details(); !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

func TestAMethodReturnsAfterItsEventsWereTold(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := new(told)
		s := storetest.OpenURL(t, url, o.option())
		for _, detail := range []string{"a", "b", "c"} {
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return errors.Join(record(tx, detail), record(tx, detail+detail)) }); err != nil {
				t.Fatal(err)
			}
		}
		wantTold(t, o, "a", "aa", "b", "bb", "c", "cc")
		rows, err := s.Events(t.Context(), 0)
		slices.Reverse(rows)
		if err != nil || !slices.Equal(rows, o.events) {
			t.Errorf("rows %+v, told %+v, %v", rows, o.events, err)
		}
	})
}

func TestWhatWasRolledBackIsNotTold(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := new(told)
		s := storetest.OpenURL(t, url, o.option())
		err := s.Write(t.Context(), func(tx *store.Tx) error { return errors.Join(record(tx, "refused"), errAct) })
		if !errors.Is(err, errAct) {
			t.Errorf("got %v", err)
		}
		_ = s.Write(t.Context(), func(tx *store.Tx) error {
			_, _ = tx.Exec("DELETE FROM no_such_table") // fails, and is ignored
			return record(tx, "after a failure")
		})
		wantTold(t, o)
	})
}

func TestOfABatchOnlyCommittedEventsAreTold(t *testing.T) {
	o := new(told)
	s := storetest.Open(t, o.option())
	_ = together(t, s,
		func(tx *store.Tx) error { return record(tx, "a") },
		func(tx *store.Tx) error { return errors.Join(record(tx, "b"), errAct) },
		func(tx *store.Tx) error { _ = record(tx, "c"); panic("act") },
		func(tx *store.Tx) error { return record(tx, "d") },
	)
	wantTold(t, o, "a", "d")
}

func TestOfALostBatchNothingIsTold(t *testing.T) {
	o := new(told)
	s := storetest.Open(t, o.option())
	errs := together(t, s,
		func(tx *store.Tx) error { return record(tx, "a") },
		func(tx *store.Tx) error {
			_, err := tx.Exec("ROLLBACK") // as an operation on a full disk does
			return err
		},
	)
	if fault.KindOf(errs[0]) != fault.Unavailable {
		t.Errorf("got %v", errs[0])
	}
	wantTold(t, o)
}

func TestARepeatedOperationIsToldOnce(t *testing.T) {
	for name, accident := range map[string]string{"conflict": loseToAnother, "connection": loseConnection} {
		t.Run(name, func(t *testing.T) {
			o := new(told)
			s := storetest.OpenURL(t, storetest.Postgres(t), o.option())
			attempts := 0
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				attempts++
				if err := record(tx, itoa(attempts)); err != nil || attempts == 3 {
					return err
				}
				_, err := tx.Exec(accident)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			wantTold(t, o, "3")
		})
	}
}

func TestAKeptRefusalIsTold(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := new(told)
		s := storetest.OpenURL(t, url, o.option())
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if err := record(tx, "reuse"); err != nil {
				return err
			}
			return store.Keep(errAct)
		})
		if !errors.Is(err, errAct) {
			t.Errorf("got %v", err)
		}
		wantTold(t, o, "reuse")
	})
}

func TestEventsAreToldInTheOrderOfTheCommits(t *testing.T) {
	o := new(told)
	s := storetest.Open(t, o.option())
	var want []string // written by the one writer
	var wg sync.WaitGroup
	for range 400 {
		wg.Go(func() {
			err := s.Write(context.Background(), func(tx *store.Tx) error {
				want = append(want, itoa(len(want)))
				return record(tx, want[len(want)-1])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantTold(t, o, want...)
}

// A slow log must not keep other operations from being committed.
func TestTheWriterDoesNotWaitForCommitted(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := new(told)
		telling, release := make(chan struct{}), make(chan struct{})
		s, err := store.Open(t.Context(), store.Config{URL: url, Committed: func(ev store.Event) {
			if ev.Detail == "first" {
				close(telling)
				<-release
			}
			o.tell(ev)
		}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		write := func(detail string) {
			wg.Go(func() {
				if err := s.Write(context.Background(), func(tx *store.Tx) error { return record(tx, detail) }); err != nil {
					t.Error(err)
				}
			})
		}
		write("first")
		<-telling
		write("second")
		for start := time.Now(); ; time.Sleep(time.Millisecond) {
			rows, err := s.Events(t.Context(), 0)
			if err != nil || time.Since(start) > time.Minute {
				t.Fatalf("the second operation is not committed: %v", err)
			}
			if len(rows) == 2 {
				break
			}
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		select {
		case err := <-closed:
			t.Fatal(err, "closed before everything was told")
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		wantTold(t, o, "first", "second")
		wg.Wait()
	})
}

func TestARefreshIsToldAndNotStored(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o, clock := new(told), storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock), o.option()), clock: clock}
		u := w.add("ada", identity.Viewer, "acme")
		w.login(u, "t1")
		stored := w.eventCount()
		if _, err := w.rotate("t1", "t2"); err != nil {
			t.Fatal(err)
		}
		ev := o.events[len(o.events)-1]
		if ev.Action != identity.ActionRefresh || ev.ActorKind != identity.ActorUser || ev.ActorID != u.ID || ev.TargetID != u.ID ||
			ev.OrgID != "acme" || ev.Detail != "family family-t1" || ev.Address != "192.0.2.9" {
			t.Errorf("told %+v", ev)
		}
		if _, err := w.rotate("t1", "t3"); err == nil {
			t.Error("a used token was accepted")
		}
		if ev := o.events[len(o.events)-1]; ev.Action != identity.ActionReuse || ev.Outcome != store.OutcomeRefused {
			t.Errorf("told %+v", ev)
		}
		if n := w.eventCount(); n != stored+1 || len(o.events) != n+1 {
			t.Errorf("%d rows, %d before, %d told", n, stored, len(o.events))
		}
	})
}
