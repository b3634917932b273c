package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func (w *world) purge(batch int) int {
	w.t.Helper()
	n, _, err := w.s.Purge(w.t.Context(), 0, batch)
	w.ok(err)
	return n
}

func TestPurgeKeepsWhatIsStillNeeded(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "a0")
		_, err := w.rotate("a0", "a1")
		w.ok(err)
		w.clock.Advance(6 * 24 * time.Hour)
		_, err = w.rotate("a1", "a2")
		w.ok(err)
		w.clock.Advance(48*time.Hour - time.Second) // a0 expired almost a day ago
		if n := w.purge(0); n != 0 {
			w.t.Fatalf("%d tokens were purged too early", n)
		}
		w.clock.Advance(2 * time.Second)
		if n := w.purge(0); n != 2 { // a0 and a1: both from the first day
			w.t.Fatalf("%d tokens were purged, want 2", n)
		}
		_, err = w.rotate("a0", "x")
		if !errors.Is(err, identity.ErrInvalidToken) || errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a purged token: %v", err)
		}
		_, err = w.rotate("a2", "a3")
		w.ok(err) // the family has not ended
		_, err = w.rotate("a2", "a4")
		if !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("a used token that was kept: %v", err)
		}
	})
}

func TestPurgeWaitsForTheAccessTokens(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		next := w.next("t")
		next.AccessExpiresAt = w.clock.Now().Add(72 * time.Hour) // longer than the audit window
		_, err := w.start(u, "f", w.clock.Now().Add(month), next)
		w.ok(err)
		w.ok(w.s.EndSession(w.t.Context(), act(u), "f"))
		w.clock.Advance(71 * time.Hour)
		if n := w.purge(0); n != 0 {
			w.t.Fatal("a family was purged whose access token is still valid")
		}
		jtis, err := w.s.RevokedJTIs(w.t.Context())
		w.ok(err)
		if len(jtis) != 1 || w.reason(u, "f") != store.EndLogout {
			w.t.Errorf("revoked: %v", jtis)
		}
		w.clock.Advance(2 * time.Hour)
		if n := w.purge(0); n != 1 {
			w.t.Errorf("%d tokens were purged, want 1", n)
		}
		if w.reason(u, "f") != "" {
			w.t.Error("the empty family still exists")
		}
	})
}

func TestPurgeUsesSmallBatchesAndKeepsTheAuditLog(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		for i := range 12 {
			w.login(u, numbered("t", i))
		}
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "new"))
		events := w.eventCount()
		w.clock.Advance(25 * time.Hour)
		for _, want := range []int{5, 5, 2, 0} {
			if n := w.purge(5); n != want {
				w.t.Fatalf("a batch of %d, want %d", n, want)
			}
		}
		if w.eventCount() != events {
			w.t.Error("audit rows were purged")
		}
	})
}

// A family of offline_access keeps the row of its session for months after that has
// ended. Purges do not read all of these again and again, and miss none.
func TestAnEndedBrowserSessionGoesWithItsLastFamily(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		for _, name := range []string{"offline", "plain", "none"} {
			session := w.browse(u, name, false).Session.ID
			switch name {
			case "offline":
				w.of(u, session, "app", "openid offline_access", "o0")
			case "plain":
				w.of(u, session, "app", "openid", "p0")
			}
		}
		w.purgeAll()
		w.clock.Advance(25 * time.Hour)
		_, err := w.s.EndExpired(w.t.Context(), 100)
		w.ok(err)
		for range 4 {
			w.clock.Advance(25 * time.Hour)
			w.purgeAll()
		}
		if left := query("SELECT id FROM sessions"); len(left) != 1 {
			t.Errorf("%d sessions are left, want that of offline_access", len(left))
		}
		w.ok(w.refresh("app", "o0", "o1"))
		w.clock.Advance(30 * 24 * time.Hour)
		w.purgeAll()
		if left := query("SELECT id FROM refresh_families UNION ALL SELECT id FROM sessions"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}
