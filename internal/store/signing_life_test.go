package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// A removed key keeps its history and nothing private.
func TestARemovedKeyKeepsItsHistoryOnly(t *testing.T) {
	onEach(t, func(w *world) {
		k := store.SigningKey{KID: "k1", Algorithm: "RS256", Public: `{"kid":"k1"}`, Sealed: "s1", TokenLife: time.Hour}
		born := w.clock.Now().UTC()
		for i, status := range []store.KeyStatus{store.KeyNext, store.KeyActive, store.KeyRetiring, store.KeyRemoved} {
			k.Status = status
			k.TokenLife -= time.Minute // it is never lowered
			w.ok(w.s.PutSigningKeys(t.Context(), int64(i), store.KeyChange{SigningKey: k, Act: system(identity.Action("key." + string(status)))}))
			w.clock.Advance(time.Hour)
		}
		want := store.SigningKey{
			KID: "k1", Algorithm: "RS256", Public: `{"kid":"k1"}`, Status: store.KeyRemoved, TokenLife: 59 * time.Minute, CreatedAt: born,
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
			store.SigningKey{KID: "a", Status: store.KeyActive}, store.SigningKey{KID: "n", Status: store.KeyNext})...))
		count := func(holder string, passed ...store.KeyTime) string {
			t.Helper()
			counted, held, err := w.s.CountKeyTime(t.Context(), holder, time.Second, passed...)
			w.ok(err)
			return fmt.Sprintf("%t/%t", counted, held)
		}
		n := store.KeyTime{KID: "n", Status: store.KeyNext, Passed: 2 * time.Second}
		for i, step := range []struct {
			holder, want string
			wait         time.Duration
			passed       []store.KeyTime
			counted      time.Duration
		}{
			{"one", "false/true", 0, []store.KeyTime{n}, 0}, // what it saw before it was the one
			{"one", "true/true", 0, []store.KeyTime{n}, 2 * time.Second},
			{"two", "false/false", 0, []store.KeyTime{n}, 2 * time.Second},
			{"one", "true/true", 0, []store.KeyTime{{KID: "n", Status: store.KeyRetiring, Passed: time.Hour}, {KID: "a", Status: store.KeyNext, Passed: time.Hour}}, 2 * time.Second},
			{"one", "false/true", 1200 * time.Millisecond, []store.KeyTime{n}, 2 * time.Second}, // late, as after an outage
			{"one", "true/true", 0, []store.KeyTime{n}, 4 * time.Second},
			{"two", "false/true", 1200 * time.Millisecond, []store.KeyTime{n}, 4 * time.Second},
			{"one", "false/false", 0, []store.KeyTime{n}, 4 * time.Second},
		} {
			time.Sleep(step.wait)
			if got := count(step.holder, step.passed...); got != step.want {
				t.Errorf("step %d: %s, want %s", i, got, step.want)
			}
			if next := w.keys().Next(); next.Counted != step.counted || w.keys().Active().Counted != 0 {
				t.Errorf("step %d: counted %v, want %v", i, next.Counted, step.counted)
			}
		}
		w.ok(w.s.StopCountingKeyTime(t.Context(), "two"))
		if got := count("one"); got != "false/true" {
			t.Errorf("given back: %s", got)
		}
		set := w.keys()
		active := *set.Next()
		active.Status, set.Keys[0].Status = store.KeyActive, store.KeyRetiring
		w.ok(w.s.PutSigningKeys(t.Context(), set.Version, changed(*set.Key("a"), active)...))
		if got := w.keys().Active(); got.KID != "n" || got.Counted != 0 {
			t.Errorf("after activation %+v", got)
		}
	})
}

func TestTokenLifeIsOnlyRaised(t *testing.T) {
	onEach(t, func(w *world) {
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(store.SigningKey{KID: "a", Status: store.KeyActive})...))
		for _, c := range [][2]time.Duration{{time.Minute, time.Minute}, {time.Hour, time.Hour}, {time.Minute, time.Hour}} {
			w.ok(w.s.RaiseTokenLife(t.Context(), "a", c[0]))
			if got := w.keys().Active().TokenLife; got != c[1] || w.keys().Version != 1 {
				t.Errorf("%v: %v, want %v", c[0], got, c[1])
			}
		}
	})
}

func TestResealRewritesAllOrNothing(t *testing.T) {
	onEach(t, func(w *world) {
		w.ok(w.s.PutSigningKeys(t.Context(), 0, changed(
			store.SigningKey{KID: "a", Status: store.KeyActive, Sealed: "old a"},
			store.SigningKey{KID: "b", Status: store.KeyNext, Sealed: "new b"},
			store.SigningKey{KID: "c", Status: store.KeyRetiring})...))
		w.ok(w.s.SetLegacyHashKey(t.Context(), "old hash"))
		var places []string
		anew := func(s store.Sealed) (string, error) {
			places = append(places, s.Table+"."+s.Column+"."+s.Row)
			return strings.Replace(s.Text, "old", "new", 1), nil
		}
		broken := errors.New("damaged")
		if _, err := w.s.Reseal(t.Context(), system("key.reseal"), func(s store.Sealed) (string, error) {
			if s.Table == "settings" {
				return "", broken
			}
			return "lost", nil
		}); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		for _, want := range []int{2, 0} {
			places = nil
			if n, err := w.s.Reseal(t.Context(), system("key.reseal"), anew); err != nil || n != want {
				t.Errorf("%d %v, want %d", n, err, want)
			}
		}
		slices.Sort(places)
		if diff := cmp.Diff([]string{"settings.value.legacy_hash_key", "signing_keys.sealed_key.a", "signing_keys.sealed_key.b"}, places); diff != "" {
			t.Error(diff)
		}
		set := w.keys()
		legacy, err := w.s.LegacyHashKey(t.Context())
		w.ok(err)
		if set.Version != 3 || set.Key("a").Sealed != "new a" || set.Key("b").Sealed != "new b" || set.Key("c").Sealed != "" || legacy != "new hash" {
			t.Errorf("%+v %q", set, legacy)
		}
	})
}
