package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

const day = 24 * time.Hour

// browse signs the user in at a browser that has the cookie.
func (w *world) browse(u identity.User, cookie string, stay bool) store.BrowserSession {
	w.t.Helper()
	b, err := w.s.StartBrowserSession(w.t.Context(), store.Act{Action: "login"}, w.proof(w.user(u.ID)),
		store.BrowserSignIn{CookieHash: cookie, Stay: stay})
	w.ok(err)
	return b
}

// of gives the client a family in the session, named like its first token.
func (w *world) of(u identity.User, sessionID, client, scope, name string) {
	w.t.Helper()
	w.ok(w.s.StartFamily(w.t.Context(), u, sessionID, store.NewFamily{
		ID: name, ClientID: client, Granted: store.Granted{Scope: scope}, ExpiresAt: w.clock.Now().Add(3 * month), First: w.ofClient(name),
	}))
}

// refresh is a refresh of a registered client that every user may use.
func (w *world) refresh(client, use, next string) error {
	_, _ = w.s.InsertClient(w.t.Context(), system("seed"), oauth.Client{ID: client, Name: client, Kind: oauth.KindWeb}, "", func(identity.Principal, oauth.Client) error { return nil }) // it may exist
	_, err := w.s.RotateRefresh(w.t.Context(), identity.Actor{}, store.PresentedRefresh{
		ClientID: client, Hashes: []string{use}, Admit: func(store.Subject) error { return nil },
	}, w.ofClient(next))
	return err
}

// ofClient is next for a registered client, whose access tokens name the row.
func (w *world) ofClient(hash string) store.NewRefresh {
	next := w.next(hash)
	next.ID = next.AccessJTI
	return next
}

func TestARefreshIsAUseOfTheBrowserSession(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		plain, stays, offline := w.browse(u, "plain", false), w.browse(u, "stays", true), w.browse(u, "offline", false)
		w.of(u, plain.Session.ID, "app", "openid", "p0")
		w.of(u, stays.Session.ID, "app", "openid", "s0")
		w.of(u, offline.Session.ID, "app", "openid offline_access", "o0")
		w.clock.Advance(20 * time.Hour)
		now := w.clock.Now()
		for _, token := range []string{"p", "s", "o"} {
			w.ok(w.refresh("app", token+"0", token+"1"))
		}
		list, err := w.s.Sessions(w.t.Context(), by(u), u.ID, store.ListFilter{})
		w.ok(err)
		for _, s := range list.Items {
			used, ends := now, now.Add(day)
			switch s.ID {
			case "o0": // the family of offline_access
				ends = now.Add(week)
			case stays.Session.ID:
				ends = now.Add(week)
			case offline.Session.ID:
				used, ends = now.Add(-20*time.Hour), now.Add(4*time.Hour)
			}
			if !s.LastUsedAt.Equal(used) || !s.ExpiresAt.Equal(ends) {
				w.t.Errorf("%s: used at %s, ends at %s, now is %s", s.ID, s.LastUsedAt, s.ExpiresAt, now)
			}
		}
	})
}

func TestNoRefreshOutlivesTheBrowserSessionButOfflineAccess(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		b := w.browse(u, "c", false)
		w.of(u, b.Session.ID, "app", "openid", "p0")
		w.of(u, b.Session.ID, "app", "offline_access", "o0")
		w.clock.Advance(day)
		w.refused(w.refresh("app", "p0", "p1"), fault.Unauthenticated, "invalid_token")
		w.ok(w.refresh("app", "o0", "o1"))
	})
}

// The absolute end of the session bounds its idle end.
func TestARefreshDoesNotMoveTheAbsoluteEnd(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		b := w.browse(u, "c", false)
		w.of(u, b.Session.ID, "app", "openid", "0")
		end := w.clock.Now().Add(14 * day)
		for i := range 20 {
			w.clock.Advance(day - time.Second)
			if err := w.refresh("app", itoa(i), itoa(i+1)); err != nil {
				break
			}
		}
		if now := w.clock.Now(); now.Before(end) || now.After(end.Add(day)) {
			w.t.Errorf("the last refresh was at %s, the session ended at %s", now, end)
		}
	})
}

func TestTheUseOfABrowserSessionIsWrittenOnceAMinute(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		w.browse(u, "c", false)
		began := w.clock.Now()
		for range 5 {
			w.clock.Advance(25 * time.Second)
			b, err := w.s.BrowserSession(w.t.Context(), "c")
			w.ok(err)
			want := began
			if since := w.clock.Now().Sub(began); since >= 75*time.Second {
				want = began.Add(75 * time.Second)
			}
			if !b.Session.LastUsedAt.Equal(want) || !b.Session.ExpiresAt.Equal(want.Add(day)) {
				w.t.Errorf("after %s: last used %s", w.clock.Now().Sub(began), b.Session.LastUsedAt)
			}
		}
	})
}

// issue issues a code named like its hash at once, in the session.
func (w *world) issue(session, hash string, ready func(store.Authorization) error) error {
	_, err := w.s.IssueCodeAtOnce(w.t.Context(), store.Act{Action: "code"}, request("r-"+hash, "app", "n", ""), session,
		store.NewCode{Hash: hash, ExpiresAt: w.clock.Now().Add(time.Minute), Ready: ready})
	return err
}

func TestACodeIsAUseOfTheBrowserSessionOnceAMinute(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "c", false).Session.ID
		began := w.clock.Now()
		lastUse := func() time.Duration {
			w.t.Helper()
			list, err := w.s.Sessions(w.t.Context(), by(u), u.ID, store.ListFilter{})
			w.ok(err)
			s := list.Items[0]
			if ends := s.LastUsedAt.Add(day); !s.ExpiresAt.Equal(earliest(ends, began.Add(14*day))) {
				w.t.Errorf("used at %s, ends at %s", s.LastUsedAt, s.ExpiresAt)
			}
			return s.LastUsedAt.Sub(began)
		}
		for i, want := range []time.Duration{0, 0, 75 * time.Second, 75 * time.Second} {
			w.clock.Advance(25 * time.Second)
			if w.ok(w.issue(session, itoa(i), anyone)); lastUse() != want {
				w.t.Errorf("code %d: the last use is %s after the sign-in", i, lastUse())
			}
		}
		w.clock.Advance(time.Hour)
		refusal := errors.New("not ready")
		if err := w.issue(session, "refused", func(store.Authorization) error { return refusal }); !errors.Is(err, refusal) || lastUse() != 75*time.Second {
			w.t.Errorf("%v; the last use is %s after the sign-in", err, lastUse())
		}
		for i := 0; w.clock.Now().Before(began.Add(13*day + time.Hour)); i++ {
			w.clock.Advance(20 * time.Hour)
			w.ok(w.issue(session, "later-"+itoa(i), anyone))
			lastUse()
		}
	})
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Several tabs sign in at once: each transaction writes the use of the session, and none
// has to be repeated since two hold what the other needs.
func TestConcurrentCodesOfOneSessionDoNotDeadlock(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		session := w.browse(w.add("u", identity.Viewer, "default"), "c", false).Session.ID
		for round := range 5 {
			w.clock.Advance(2 * time.Minute)
			for _, err := range race(8, func(i int) error { return w.issue(session, itoa(8*round+i), anyone) }) {
				w.ok(err)
			}
		}
		if n := w.s.Stats().Retries; n != 0 {
			w.t.Errorf("%d transactions were repeated", n)
		}
	})
}

// Two sign-ins with the same cookie at once continue one session; only the last
// cookie opens it.
func TestConcurrentSignInsOfOneBrowserLeaveOneCookieASession(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.user(w.add("u", identity.Viewer, "default").ID)
		w.browse(u, "c", false)
		for _, err := range race(8, func(i int) error {
			_, err := w.s.StartBrowserSession(w.t.Context(), store.Act{Action: "login"}, w.proof(u),
				store.BrowserSignIn{CookieHash: "c" + itoa(i), PresentedHash: "c"})
			return err
		}) {
			w.ok(err)
		}
		if n := len(query("SELECT id FROM sessions")); n != 8 { // the first one continued, the others presented a former cookie
			w.t.Errorf("%d sessions", n)
		}
	})
}
