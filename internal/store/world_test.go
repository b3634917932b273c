package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// world is a store with users in it, and the short helpers that tests are
// written with.
type world struct {
	t     *testing.T
	s     *store.Store
	clock *storetest.Clock
}

const (
	month = 30 * 24 * time.Hour
	week  = 7 * 24 * time.Hour
)

// onEach runs a test on both engines, each with its own clock.
func onEach(t *testing.T, test func(w *world)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		test(&world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock})
	})
}

// rows runs a query of one column without the store.
type rows func(query string) []string

// onEachURL is onEach for tests that read what is stored.
func onEachURL(t *testing.T, test func(w *world, query rows)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		test(w, func(query string) []string { return column(storetest.Rows(t, url, query)) })
	})
}

func (w *world) version(u identity.User) int64 {
	w.t.Helper()
	return w.user(u.ID).CredentialsVersion
}

func system(action identity.Action) store.Act {
	return store.Act{Action: action, By: identity.Actor{Kind: identity.ActorSystem}}
}

func by(u identity.User) identity.Actor {
	return identity.Actor{Kind: identity.ActorUser, ID: u.ID, Address: "192.0.2.7", RequestID: "req-1"}
}

func act(u identity.User) store.Act { return store.Act{Action: "test", By: by(u)} }

// add stores an active user and returns them as the store reads them.
func (w *world) add(name string, role identity.Role, org string) identity.User {
	w.t.Helper()
	u := identity.User{
		ID: uuid.Must(uuid.NewV7()).String(), Email: name + "@Example.org", EmailKey: name + "@example.org", DisplayName: name,
		PasswordHash: identity.PasswordHash("hash of " + name), Role: role, OrgID: org,
	}
	w.ok(w.s.CreateUser(w.t.Context(), system("seed"), u))
	w.clock.Advance(time.Millisecond) // so that lists have a fixed order
	return w.user(u.ID)
}

func (w *world) user(id string) identity.User {
	w.t.Helper()
	u, err := w.s.UserByID(w.t.Context(), id)
	w.ok(err)
	return u
}

func (w *world) group(name, org string) identity.Group {
	w.t.Helper()
	g, err := w.s.InsertGroup(w.t.Context(), system("seed"), identity.Group{Name: name, OrgID: org})
	w.ok(err)
	w.clock.Advance(time.Millisecond)
	return g
}

// next is a refresh token valid for a week, and an access token for 15 minutes.
func (w *world) next(hash string) store.NewRefresh {
	now := w.clock.Now()
	return store.NewRefresh{
		Hash: hash, ExpiresAt: now.Add(week), AccessJTI: "jti-" + hash, AccessExpiresAt: now.Add(15 * time.Minute),
	}
}

// family is one of the JSON login that starts with the token of the hash.
func (w *world) family(id string, end time.Time, first store.NewRefresh) store.NewFamily {
	return store.NewFamily{ID: id, ClientID: identity.FirstPartyClient, ExpiresAt: end, First: first}
}

// proof is a proof of the credentials that u was read with.
func (w *world) proof(u identity.User) identity.Proof {
	return identity.NewProof(u, w.clock.Now(), identity.MethodPassword)
}

// start starts a session of the user with the credentials that u was read with.
func (w *world) start(u identity.User, id string, end time.Time, first store.NewRefresh) (store.Subject, error) {
	return w.s.StartSession(w.t.Context(), store.Act{Action: "login"}, w.proof(u), w.family(id, end, first))
}

// login starts a session named like its first token's hash.
func (w *world) login(u identity.User, hash string) store.Subject {
	w.t.Helper()
	g, err := w.start(w.user(u.ID), "family-"+hash, w.clock.Now().Add(3*month), w.next(hash))
	w.ok(err)
	return g
}

func (w *world) rotate(use, next string) (store.Rotation, error) {
	return w.s.RotateRefresh(w.t.Context(), identity.Actor{Address: "192.0.2.9"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{use}}, w.next(next))
}

// change changes the user's own password with an access token of the session; next
// is the hash of the new refresh token.
func (w *world) change(u identity.User, session, tokenID, next string) (store.Subject, error) {
	self := by(u)
	self.SessionID, self.TokenID = session, tokenID
	return w.s.ChangePassword(w.t.Context(), store.Act{Action: "user.change_password", By: self}, w.proof(u), "new hash",
		w.family("", w.clock.Now().Add(3*month), w.next(next)))
}

// reason is why the session ended, as requests with an access token see it.
func (w *world) reason(u identity.User, session string) store.EndReason {
	w.t.Helper()
	return w.bearer(u, session, "").Ended
}

func (w *world) bearer(u identity.User, session, tokenID string) *store.Bearer {
	w.t.Helper()
	b, err := w.s.Bearer(w.t.Context(), u.ID, session, tokenID)
	w.ok(err)
	return b
}

// lastEvent is the newest row of the audit log.
func (w *world) lastEvent() store.Event {
	w.t.Helper()
	events, err := w.s.Events(w.t.Context(), 1)
	w.ok(err)
	if len(events) == 0 {
		w.t.Fatal("the audit log is empty")
	}
	return events[0]
}

func (w *world) eventCount() int {
	w.t.Helper()
	events, err := w.s.Events(w.t.Context(), 0)
	w.ok(err)
	return len(events)
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("unexpected error: %v", err)
	}
}

// refused checks kind and code of an error.
func (w *world) refused(err error, kind fault.Kind, code string) {
	w.t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind || f.Code != code {
		w.t.Fatalf("got %v (%+v), want kind %d code %q", err, f, kind, code)
	}
}

func (w *world) forbidden(err error) { w.t.Helper(); w.refused(err, fault.Forbidden, "forbidden") }
func (w *world) notFound(err error)  { w.t.Helper(); w.refused(err, fault.NotFound, "not_found") }

func itoa(n int) string { return strconv.Itoa(n) }

func numbered(name string, n int) string { return fmt.Sprintf("%s-%03d", name, n) }

// holdLock takes SQLite's write lock on the file until the function returned is
// called.
func holdLock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
