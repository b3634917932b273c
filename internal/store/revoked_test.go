package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// A verifier that refuses a session refuses all its tokens, so no family may remain.
func TestRevocationsNameASessionOnlyWhenNothingOfItRemains(t *testing.T) {
	onEach(t, func(w *world) {
		s := newScene(w, "r")
		named := func() string {
			var list []string
			w.ok(w.s.Revocations(t.Context(), time.Time{}, func(r store.Revocation) {
				kind := "token "
				if r.Session {
					kind = "session "
				}
				list = append(list, kind+strings.TrimPrefix(r.SessionID, "r.")+" "+strings.TrimPrefix(r.JTI, "jti-r."))
			}))
			slices.Sort(list)
			return strings.Join(list, ", ")
		}
		end := func(event store.EndReason, of store.Of) {
			t.Helper()
			if ended, err := w.s.End(t.Context(), event, of); err != nil || !ended {
				t.Errorf("%s: %t, %v", event, ended, err)
			}
		}
		end(store.EndReuse, store.Of{User: s.ada.ID, Family: "r.c3"})
		if got, want := named(), "token c c3"; got != want {
			t.Errorf("after the end of a family: %s, want %s", got, want)
		}
		end(store.EndLogout, store.Of{User: s.ada.ID, Session: "r.c"})
		if got, want := named(), "token c c, token c c1, token c c3"; got != want {
			t.Errorf("after a logout that leaves a family of offline_access: %s, want %s", got, want)
		}
		end(store.EndLogout, store.Of{User: s.ada.ID, Session: "r.a"})
		end(store.EndLogoutAll, store.Of{User: s.ada.ID})
		if got, want := named(), "session a a, session b b, session c c, session c c1, session c c2, session c c3"; got != want {
			t.Errorf("after the end of everything: %s, want %s", got, want)
		}
	})
}

func TestOwnRevocationsAreKeptUntilTheyAreRead(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("ada", identity.Viewer, "")
		read := func() (jtis []string) {
			w.ok(w.s.OwnRevocations(t.Context(), func(r store.Revocation) { jtis = append(jtis, r.JTI) }))
			return jtis
		}
		for _, session := range []string{"one", "two"} {
			_, err := w.start(u, session, w.clock.Now().Add(month), w.next(session))
			w.ok(err)
		}
		if w.s.HasOwnRevocations() || len(read()) > 0 {
			t.Error("something has ended")
		}
		failed := errors.New("rolled back")
		err := w.s.Write(t.Context(), func(*store.Tx) error { return failed })
		if !errors.Is(err, failed) || w.s.HasOwnRevocations() {
			t.Errorf("%v: an operation that ended nothing", err)
		}
		for _, session := range []string{"one", "two"} {
			_, err := w.s.End(t.Context(), store.EndLogout, store.Of{User: u.ID, Session: session})
			w.ok(err)
			w.clock.Advance(time.Minute)
		}
		if !w.s.HasOwnRevocations() {
			t.Error("nothing is noted")
		}
		if got := read(); !slices.Equal(got, []string{"jti-one", "jti-two"}) {
			t.Errorf("%v", got)
		}
		if w.s.HasOwnRevocations() || len(read()) > 0 {
			t.Error("read twice")
		}
	})
}
