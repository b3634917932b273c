package store_test

import (
	"errors"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/engine"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Each user has such tokens, and none of their presentations is an unknown token that
// a limit counts.
func TestATokenOfAnEndedFamilyIsRefusedWithoutALock(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "used")
		_, err := w.rotate("used", "successor")
		w.ok(err)
		_, err = w.rotate("used", "reuse")
		w.is(store.ErrReuse, err)
		w.login(u, "unused")
		_, err = w.s.EndSessionByToken(t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"unused"}})
		w.ok(err)
		w.login(u, "other")
		tokens := []string{"used", "successor", "unused"}
		for _, token := range tokens { // finds it out
			_, err = w.rotate(token, "again")
			w.is(identity.ErrInvalidToken, err)
		}
		lock := "BEGIN IMMEDIATE"
		if w.s.Engine() == engine.Postgres {
			lock = "BEGIN; LOCK TABLE refresh_tokens, refresh_families"
		}
		release := storetest.Hold(t, url, lock)
		defer release()
		for _, token := range tokens { // one that waits is refused as unavailable after five seconds
			for range 40 {
				if _, err := w.rotate(token, "again"); !errors.Is(err, identity.ErrInvalidToken) {
					t.Fatal(token, err)
				}
			}
		}
	})
}
