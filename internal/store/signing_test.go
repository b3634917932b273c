package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		w.t.Errorf("KeySetVersion is %d, that of SigningKeys %d", version, set.Version)
	}
	return set
}

// changed makes changes of keys without an audit event.
func changed(keys ...store.SigningKey) (changes []store.KeyChange) {
	for _, k := range keys {
		changes = append(changes, store.KeyChange{SigningKey: k})
	}
	return changes
}

func TestSigningKeysAreStoredWithTheirTimes(t *testing.T) {
	onEach(t, func(w *world) {
		if set := w.keys(); set.Version != 0 || set.First(store.KeyActive, "") != nil || len(set.Keys) != 0 {
			t.Fatalf("a new database has %+v", set)
		}
		born := w.clock.Now().UTC()
		first := store.SigningKey{
			KID: "k1", Algorithm: "RS256", Status: store.KeyActive, Public: `{"kid":"k1"}`, Sealed: "s1", MAC: "m1",
			CreatedAt: born, ActivatedAt: born,
		}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(first)...))
		later := born.Add(time.Hour)
		retired := first
		retired.Status, retired.RetiredAt, retired.MAC, retired.Public = store.KeyRetiring, later, "m2", `{"kid":"k1","x":1}`
		second := store.SigningKey{
			KID: "k2", Algorithm: "ML-DSA-65", Status: store.KeyActive, Public: `{"kid":"k2"}`, API: true,
			CreatedAt: later, ActivatedAt: later,
		}
		w.ok(w.s.PutSigningKeys(t.Context(), 1, changed(retired, second)...))

		set := w.keys()
		if active := set.First(store.KeyActive, ""); set.Version != 2 || active == nil || active.KID != "k2" {
			t.Errorf("%+v", set)
		}
		if diff := cmp.Diff([]store.SigningKey{retired, second}, set.Keys); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOneKeyOfAnAlgorithmIsActiveAndOneIsPending at most; any number may be
// retiring.
func TestOneKeyOfAnAlgorithmIsActiveAndOneIsPending(t *testing.T) {
	onEach(t, func(w *world) {
		key := func(kid, algorithm string, status store.KeyStatus) store.SigningKey {
			return store.SigningKey{KID: kid, Algorithm: algorithm, Status: status}
		}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(
			key("k1", "RS256", store.KeyActive), key("k2", "ES256", store.KeyActive),
			key("k3", "RS256", store.KeyPending), key("k4", "ES256", store.KeyPending),
			key("k5", "RS256", store.KeyRetiring), key("k6", "RS256", store.KeyRetiring))...))
		for _, status := range []store.KeyStatus{store.KeyActive, store.KeyPending} {
			if err := w.s.PutSigningKeys(t.Context(), 1, changed(key("k7", "RS256", status))...); err == nil {
				t.Errorf("two keys of an algorithm are %s", status)
			}
		}
		if set := w.keys(); set.Version != 1 || len(set.Keys) != 6 {
			t.Errorf("the refused change stored %+v", set)
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
			t.Errorf("%d succeeded", won.Load())
		}
	})
}

// TestRowsAreAuthenticatedOnce: from then on no server writes a row without a MAC,
// until keys are stored in files again.
func TestRowsAreAuthenticatedOnce(t *testing.T) {
	onEach(t, func(w *world) {
		authenticated := func() bool {
			t.Helper()
			done, err := w.s.KeyRowsAuthenticated(t.Context())
			w.ok(err)
			return done
		}
		k := store.SigningKey{KID: "k1", Algorithm: "RS256", Status: store.KeyActive}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(k)...))
		if held, err := w.s.TakeLease(t.Context(), "keys", "former", time.Hour); !held || err != nil || authenticated() {
			t.Fatal(held, err)
		}
		k.MAC = "m"
		w.ok(w.s.AuthenticateSigningKeys(t.Context(), 1, "this", time.Hour, changed(k)...))
		if !authenticated() || w.keys().Key("k1").MAC != "m" {
			t.Errorf("%+v", w.keys())
		}
		counted, held, err := w.s.CountKeyTime(t.Context(), "former", time.Hour)
		if counted || held || err != nil {
			t.Errorf("a process of the previous release still counts: %v", err)
		}
		if err := w.s.AuthenticateSigningKeys(t.Context(), 1, "late", time.Hour, changed(k)...); !errors.Is(err, store.ErrKeysChanged) {
			t.Errorf("a second time: %v", err)
		}
		w.ok(w.s.PutSigningKeys(t.Context(), 2, changed(k)...))
		if !authenticated() {
			t.Error("a change with MACs switched to keys in files")
		}
		k.MAC = ""
		w.ok(w.s.PutSigningKeys(t.Context(), 3, changed(k)...))
		if authenticated() {
			t.Error("a key without a MAC did not switch to keys in files")
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
		take := func(holder string, ttl time.Duration) bool {
			t.Helper()
			held, err := w.s.TakeLease(t.Context(), "purge", holder, ttl)
			w.ok(err)
			return held
		}
		if !take("a", time.Hour) || take("b", time.Hour) || !take("a", 20*time.Millisecond) {
			t.Error("the first holder does not hold it exclusively")
		}
		w.clock.Advance(-24 * time.Hour) // a replica's own clock does not matter
		time.Sleep(40 * time.Millisecond)
		if !take("b", time.Hour) || take("a", time.Hour) {
			t.Error("an expired lease was not taken")
		}
		w.ok(w.s.GiveLease(t.Context(), "purge", "a"))
		if take("a", time.Hour) {
			t.Error("a released the lease of b")
		}
		w.ok(w.s.GiveLease(t.Context(), "purge", "b"))
		if !take("a", time.Hour) {
			t.Error("a released lease cannot be taken")
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
