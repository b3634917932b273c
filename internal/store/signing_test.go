package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func (w *world) keys() store.KeySet {
	w.t.Helper()
	set, err := w.s.SigningKeys(w.t.Context())
	w.ok(err)
	version, err := w.s.KeySetVersion(w.t.Context())
	w.ok(err)
	if version != set.Version {
		w.t.Errorf("the cheap version is %d, the whole one %d", version, set.Version)
	}
	return set
}

// changed makes changes of keys that nobody answers for.
func changed(keys ...store.SigningKey) (changes []store.KeyChange) {
	for _, k := range keys {
		changes = append(changes, store.KeyChange{SigningKey: k})
	}
	return changes
}

func TestSigningKeysAreKeptWithTheirTimes(t *testing.T) {
	onEach(t, func(w *world) {
		if set := w.keys(); set.Version != 0 || set.Active() != nil || len(set.Keys) != 0 {
			t.Fatalf("a new database has %+v", set)
		}
		born := w.clock.Now().UTC()
		first := store.SigningKey{KID: "k1", Algorithm: "RS256", Status: store.KeyActive, Public: `{"kid":"k1"}`, Sealed: "s1"}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(first)...))
		w.clock.Advance(time.Hour)
		retired, second := first, store.SigningKey{KID: "k2", Algorithm: "ML-DSA-65", Status: store.KeyActive, Public: `{"kid":"k2"}`}
		retired.Status = store.KeyRetiring
		w.ok(w.s.PutSigningKeys(t.Context(), 1, changed(retired, second)...))

		set := w.keys()
		if set.Version != 2 || set.Active() == nil || set.Active().KID != "k2" {
			t.Errorf("%+v", set)
		}
		retired.CreatedAt, second.CreatedAt = born, born.Add(time.Hour)
		retired.ActivatedAt, retired.RetiredAt, second.ActivatedAt = born, born.Add(time.Hour), born.Add(time.Hour)
		if diff := cmp.Diff([]store.SigningKey{retired, second}, set.Keys, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAtMostOneKeyIsActive(t *testing.T) {
	onEach(t, func(w *world) {
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(store.SigningKey{KID: "k1", Status: store.KeyActive})...))
		if err := w.s.PutSigningKeys(t.Context(), 1, changed(store.SigningKey{KID: "k2", Status: store.KeyActive})...); err == nil {
			t.Error("two keys are active")
		}
		if set := w.keys(); set.Version != 1 || len(set.Keys) != 1 {
			t.Errorf("the refused change left %+v", set)
		}
	})
}

func TestOneOfManyReplicasDecidesTheKey(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := storetest.OpenURL(t, url)
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				err := s.PutSigningKeys(t.Context(), 0, changed(store.SigningKey{KID: "k" + itoa(i), Status: store.KeyActive})...)
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrKeysChanged):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
	})
}

func TestForgottenKeysAreGoneAndItIsKnownWhoForgotThem(t *testing.T) {
	onEach(t, func(w *world) {
		if err := w.s.ForgetSigningKey(t.Context(), system("key.forget"), "k1"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown one: %v", err)
		}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(store.SigningKey{KID: "k1", Status: store.KeyActive})...))
		w.ok(w.s.ForgetSigningKey(t.Context(), system("key.forget"), "k1"))
		if set := w.keys(); set.Version != 2 || len(set.Keys) != 0 {
			t.Errorf("%+v", set)
		}
		events, err := w.s.Events(t.Context(), 1)
		w.ok(err)
		if len(events) != 1 || events[0].Action != "key.forget" || events[0].TargetID != "k1" {
			t.Errorf("audit %+v", events)
		}
	})
}

func TestTheLegacyHashKeyIsStoredOnce(t *testing.T) {
	onEach(t, func(w *world) {
		for want, given := range []string{"", "first", "second"} {
			if given != "" {
				w.ok(w.s.SetLegacyHashKey(t.Context(), given))
			}
			got, err := w.s.LegacyHashKey(t.Context())
			w.ok(err)
			if (want == 0) != (got == "") || (want > 0 && got != "first") {
				t.Errorf("%d: %q", want, got)
			}
		}
	})
}

func TestALeaseHasOneHolderAtATime(t *testing.T) {
	onEach(t, func(w *world) {
		take := func(holder string, life time.Duration) bool {
			t.Helper()
			held, err := w.s.TakeLease(t.Context(), "purge", holder, life)
			w.ok(err)
			return held
		}
		if !take("a", time.Hour) || take("b", time.Hour) || !take("a", 20*time.Millisecond) {
			t.Error("the first one does not hold it alone")
		}
		w.clock.Advance(-24 * time.Hour) // a replica's own clock is of no matter
		time.Sleep(40 * time.Millisecond)
		if !take("b", time.Hour) || take("a", time.Hour) {
			t.Error("it did not go on when it had expired")
		}
		w.ok(w.s.GiveLease(t.Context(), "purge", "a"))
		if take("a", time.Hour) {
			t.Error("a gave away what b holds")
		}
		w.ok(w.s.GiveLease(t.Context(), "purge", "b"))
		if !take("a", time.Hour) {
			t.Error("it was given back and cannot be taken")
		}
		if held, err := w.s.TakeLease(t.Context(), "other", "b", time.Hour); !held || err != nil {
			t.Errorf("another lease: %v %v", held, err)
		}
	})
}

func TestALeaseIsTakenByOneOfMany(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := storetest.OpenURL(t, url)
		var holders atomic.Int32
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				held, err := s.TakeLease(t.Context(), "purge", itoa(i), time.Hour)
				if err != nil {
					t.Error(err)
				}
				if held {
					holders.Add(1)
				}
			})
		}
		all.Wait()
		if holders.Load() != 1 {
			t.Errorf("%d holders", holders.Load())
		}
	})
}
