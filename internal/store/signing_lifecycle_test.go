package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// A removed key keeps its history and nothing private.
func TestARemovedKeyKeepsItsHistoryOnly(t *testing.T) {
	onEach(t, func(w *world) {
		born := w.clock.Now().UTC()
		k := store.SigningKey{KID: "k1", Algorithm: "RS256", Public: `{"kid":"k1"}`, Sealed: "s1", TokenLifetime: time.Hour, CreatedAt: born}
		for i, status := range []store.KeyStatus{store.KeyPending, store.KeyActive, store.KeyRetiring, store.KeyRemoved} {
			k.Status = status
			k.TokenLifetime -= time.Minute // the stored one is never lowered
			at := born.Add(time.Duration(i) * time.Hour)
			switch status {
			case store.KeyActive:
				k.ActivatedAt = at
			case store.KeyRetiring:
				k.RetiredAt = at
			case store.KeyRemoved:
				k.RemovedAt = at
			case store.KeyPending:
			}
			w.ok(w.s.PutSigningKeys(t.Context(), int64(i), store.KeyChange{SigningKey: k, Act: system(identity.Action("key." + string(status)))}))
		}
		want := store.SigningKey{
			KID: "k1", Algorithm: "RS256", Public: `{"kid":"k1"}`, Status: store.KeyRemoved, TokenLifetime: 59 * time.Minute, CreatedAt: born,
			ActivatedAt: born.Add(time.Hour), RetiredAt: born.Add(2 * time.Hour), RemovedAt: born.Add(3 * time.Hour),
		}
		if diff := cmp.Diff([]store.SigningKey{want}, w.keys().Keys); diff != "" {
			t.Error(diff)
		}
		events, err := w.s.Events(t.Context(), 0)
		w.ok(err)
		if len(events) != 4 || events[0].Action != "key.removed" || events[3].Action != "key.next" || events[0].TargetID != "k1" {
			t.Errorf("audit %+v", events)
		}
	})
}

func TestTheTimeOfKeysIsCountedByOneReplica(t *testing.T) {
	onEach(t, func(w *world) {
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(
			store.SigningKey{KID: "a", Status: store.KeyActive}, store.SigningKey{KID: "n", Status: store.KeyPending})...))
		count := func(holder string, lifetime time.Duration, passed ...store.KeyTime) string {
			t.Helper()
			counted, held, err := w.s.CountKeyTime(t.Context(), holder, lifetime, passed...)
			w.ok(err)
			return fmt.Sprintf("%t/%t", counted, held)
		}
		const short = 10 * time.Millisecond // of a lease that has ended before the next step
		n := store.KeyTime{KID: "n", Status: store.KeyPending, Passed: 2 * time.Second}
		for i, step := range []struct {
			holder, want string
			lifetime     time.Duration
			passed       []store.KeyTime
			counted      time.Duration
		}{
			{"one", "false/true", time.Hour, []store.KeyTime{n}, 0}, // time measured before it was the counting replica
			{"one", "true/true", time.Hour, []store.KeyTime{n}, 2 * time.Second},
			{"two", "false/false", time.Hour, []store.KeyTime{n}, 2 * time.Second},
			{"one", "true/true", short, []store.KeyTime{{KID: "n", Status: store.KeyRetiring, Passed: time.Hour}, {KID: "a", Status: store.KeyPending, Passed: time.Hour}}, 2 * time.Second},
			{"one", "false/true", time.Hour, []store.KeyTime{n}, 2 * time.Second}, // late, for example after an outage
			{"one", "true/true", short, []store.KeyTime{n}, 4 * time.Second},
			{"two", "false/true", time.Hour, []store.KeyTime{n}, 4 * time.Second},
			{"one", "false/false", time.Hour, []store.KeyTime{n}, 4 * time.Second},
		} {
			if got := count(step.holder, step.lifetime, step.passed...); got != step.want {
				t.Errorf("step %d: %s, want %s", i, got, step.want)
			}
			if next := w.keys().First(store.KeyPending, ""); next.Counted != step.counted || w.keys().First(store.KeyActive, "").Counted != 0 {
				t.Errorf("step %d: counted %v, want %v", i, next.Counted, step.counted)
			}
			if step.lifetime == short {
				time.Sleep(2 * short)
			}
		}
		w.ok(w.s.StopCountingKeyTime(t.Context(), "two"))
		if got := count("one", time.Hour); got != "false/true" {
			t.Errorf("after its release: %s", got)
		}
		set := w.keys()
		active := *set.First(store.KeyPending, "")
		active.Status, set.Keys[0].Status = store.KeyActive, store.KeyRetiring
		w.ok(w.s.PutSigningKeys(t.Context(), set.Version, changed(*set.Key("a"), active)...))
		if got := w.keys().First(store.KeyActive, ""); got.KID != "n" || got.Counted != 0 {
			t.Errorf("after activation %+v", got)
		}
	})
}

func TestTokenLifetimeIsOnlyRaised(t *testing.T) {
	onEach(t, func(w *world) {
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(store.SigningKey{KID: "a", Status: store.KeyActive})...))
		for _, c := range [][2]time.Duration{{time.Minute, time.Minute}, {time.Hour, time.Hour}, {time.Minute, time.Hour}} {
			w.ok(w.s.RaiseTokenLifetime(t.Context(), "a", c[0]))
			if got := w.keys().First(store.KeyActive, "").TokenLifetime; got != c[1] || w.keys().Version != 1 {
				t.Errorf("%v: %v, want %v", c[0], got, c[1])
			}
		}
	})
}

func TestResealRewritesAllOrNothing(t *testing.T) {
	onEach(t, func(w *world) {
		a := store.SigningKey{KID: "a", Algorithm: "RS256", Status: store.KeyActive, Sealed: "old a", MAC: "old"}
		b := store.SigningKey{KID: "b", Algorithm: "RS256", Status: store.KeyPending, Sealed: "old b", MAC: "old"}
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(a, b)...))
		w.ok(w.s.SetLegacyHashKey(t.Context(), "old hash"))
		look := func(when, want string) {
			t.Helper()
			set := w.keys()
			legacy, err := w.s.LegacyHashKey(t.Context())
			w.ok(err)
			for got, wanted := range map[string]string{
				set.Key("a").Sealed: want + " a", set.Key("b").Sealed: want + " b", set.Key("a").MAC: want, legacy: want + " hash",
			} {
				if got != wanted {
					t.Errorf("%s: %q, want %q", when, got, wanted)
				}
			}
		}
		a.Sealed, a.MAC, b.Sealed, b.MAC = "new a", "new", "new b", "new"
		if err := w.s.ResealSigningKeys(t.Context(), 0, system("key.reseal"), "new hash", a, b); !errors.Is(err, store.ErrKeysChanged) {
			t.Errorf("%v", err)
		}
		second := b
		second.KID = "c" // a second pending key
		if err := w.s.ResealSigningKeys(t.Context(), 1, system("key.reseal"), "new hash", a, b, second); err == nil {
			t.Error("half of it was stored")
		}
		look("refused", "old")
		w.ok(w.s.ResealSigningKeys(t.Context(), 1, system("key.reseal"), "new hash", a, b))
		look("done", "new")
		if set := w.keys(); set.Version != 2 {
			t.Errorf("version %d: a process that read the keys before could overwrite them", set.Version)
		}
	})
}
