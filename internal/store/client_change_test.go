package store_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// endsOfClient are the ways to end the client "app", or all that it holds.
var endsOfClient = map[string]func(w *world, may store.ClientRule) error{
	"suspension": func(w *world, may store.ClientRule) error {
		_, err := w.s.UpdateClient(w.t.Context(), system("x"), "app", store.ClientChange{Status: identity.Suspended}, may)
		return err
	},
	"deletion": func(w *world, may store.ClientRule) error {
		return w.s.DeleteClient(w.t.Context(), system("x"), "app", may)
	},
	"revocation of its tokens": func(w *world, may store.ClientRule) error {
		return w.s.RevokeClientTokens(w.t.Context(), system("x"), "app", may)
	},
	"rotation that revokes": func(w *world, may store.ClientRule) error {
		_, err := w.s.AddClientSecret(w.t.Context(), system("x"), "app", "hash", true, may)
		return err
	},
}

// Whatever ends a client, or all that it holds, ends its refresh token families, those
// of offline_access too, and nothing of another client.
func TestWhatEndsAClientEndsItsFamilies(t *testing.T) {
	for name, end := range endsOfClient {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				w.confidential("app", "other")
				u := w.add("u", identity.Viewer, "default")
				session := w.browse(u, "cookie", false).Session.ID
				w.of(u, session, "app", "openid", "one")
				w.of(u, session, "app", "openid offline_access", "offline")
				w.of(u, session, "other", "openid", "theirs")
				refused := func(identity.Principal, oauth.Client) error { return identity.ErrForbidden }
				w.forbidden(end(w, refused))
				w.ok(w.refresh("app", "one", "still"))
				w.holds("app", store.HeldByClient{Users: 1, Families: 2})
				w.ok(end(w, everyActor))
				w.holds("app", store.HeldByClient{})
				w.holds("other", store.HeldByClient{Users: 1, Families: 1})
				w.is(identity.ErrInvalidToken, w.refresh("app", "still", "x"))
				w.is(identity.ErrInvalidToken, w.refresh("app", "offline", "x"))
				w.ok(w.refresh("other", "theirs", "next"))
			})
		})
	}
}

// What the client could exchange for tokens ends too: otherwise its tokens end and it gets
// new ones a second later, for a code or a device that a user has allowed. A device that
// waits for its user, and codes of another client, stay.
func TestWhatEndsAClientEndsItsCodes(t *testing.T) {
	for name, end := range endsOfClient {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				w.confidential("app", "other")
				u := w.add("u", identity.Viewer, "default")
				for _, id := range []string{"app", "other"} {
					w.code(u, id, "cookie of "+id, "code of "+id)
					w.device("DEVICE-"+id, id)
					w.ok(w.decide(w.signedIn(u, "session of "+id), "DEVICE-"+id, true))
				}
				w.device("WAITS", "app")
				w.ok(end(w, everyActor))
				if name == "suspension" { // the activation revives nothing
					_, err := w.s.UpdateClient(w.t.Context(), system("x"), "app", store.ClientChange{Status: identity.Active}, everyActor)
					w.ok(err)
				}
				_, err := w.use("app", "code of app", "a")
				w.is(store.ErrNoCode, err)
				_, err = w.redeem("app", "DEVICE-app", "b")
				w.is(store.ErrNoDevice, err)
				if name != "deletion" {
					w.is(store.ErrDevicePending, w.poll("app", "WAITS"))
				}
				_, err = w.use("other", "code of other", "c")
				w.ok(err)
				_, err = w.redeem("other", "DEVICE-other", "d")
				w.ok(err)
			})
		})
	}
}

func (w *world) holds(client string, want store.HeldByClient) {
	w.t.Helper()
	held, err := w.s.HeldByClient(w.t.Context(), client)
	w.ok(err)
	if held != want {
		w.t.Errorf("%s holds %+v, want %+v", client, held, want)
	}
}

// The codes that end are found by their times, which the replica that issued them chose.
func TestWhatEndsAClientEndsTheCodesOfAReplicaWithAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{-50 * time.Second, 50 * time.Second} {
		storetest.EachURL(t, func(t *testing.T, url string) {
			clock, other := storetest.NewClock(), storetest.NewClock()
			other.Advance(time.Hour + ahead)
			clock.Advance(time.Hour)
			w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
			w.client("app")
			u := w.add("u", identity.Viewer, "default")
			replica := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(other)), clock: other}
			replica.code(u, "app", "one", "code")
			replica.code(u, "app", "two", "good")
			_, err := replica.use("app", "good", "a")
			w.ok(err)
			w.ok(w.s.RevokeClientTokens(t.Context(), system("x"), "app", everyActor))
			_, err = replica.use("app", "code", "b")
			w.is(store.ErrNoCode, err)
		})
	}
}

func TestACodeThatWouldOutliveWhatEndsCodesIsNotIssued(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		b := w.browse(w.add("u", identity.Viewer, "default"), "cookie", false)
		_, err := w.s.IssueCodeAtOnce(w.t.Context(), store.Act{Action: "code"}, request("r", "app", "n", ""), b.Session.ID,
			store.NewCode{Hash: "code", ExpiresAt: w.clock.Now().Add(3 * time.Minute), Ready: anyone})
		if err == nil {
			w.t.Error("a code of three minutes was issued")
		}
	})
}

// confidential stores clients that authenticate with a secret.
func (w *world) confidential(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		c := oauth.Client{ID: id, Kind: oauth.KindWeb, Name: id, GrantTypes: []string{oauth.GrantRefresh}, AuthMethod: oauth.AuthSecretBasic}
		_, err := w.s.InsertClient(w.t.Context(), system("x"), c, "first", everyActor)
		w.ok(err)
	}
}

func everyActor(identity.Principal, oauth.Client) error { return nil }

func TestPurgeRemovesClientAssertionsThatExpired(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		now := w.clock.Now()
		w.ok(w.s.UseClientAssertion(t.Context(), "app", "old", now.Add(month)))
		w.clock.Advance(2 * month)
		w.ok(w.s.UseClientAssertion(t.Context(), "app", "new", w.clock.Now().Add(month)))
		w.is(store.ErrAssertionUsed, w.s.UseClientAssertion(t.Context(), "app", "new", now))
		w.ok(w.s.UseClientAssertion(t.Context(), "other", "new", w.clock.Now().Add(month)))
		_, _, err := w.s.Purge(t.Context(), 0, 0)
		w.ok(err)
		if left := query("SELECT jti_hash FROM client_assertions"); len(left) != 2 {
			t.Errorf("%v", left)
		}
	})
}

// A client that authenticates often leaves more of them than one batch between two runs.
func TestPurgeGoesOnWhileThereAreClientAssertions(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		for i := range 7 {
			w.ok(w.s.UseClientAssertion(t.Context(), "app", itoa(i), w.clock.Now().Add(time.Minute)))
		}
		w.clock.Advance(time.Hour)
		for more := true; more; {
			var err error
			_, more, err = w.s.Purge(t.Context(), 0, 2)
			w.ok(err)
		}
		if left := query("SELECT jti_hash FROM client_assertions"); len(left) != 0 {
			t.Errorf("%v stay", left)
		}
	})
}
