package store_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Whatever ends a client, or all that it holds, ends its refresh token families, those
// of offline_access too, and nothing of another client.
func TestWhatEndsAClientEndsItsFamilies(t *testing.T) {
	for name, end := range map[string]func(w *world, may store.ClientRule) error{
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
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				for _, id := range []string{"app", "other"} {
					c := oauth.Client{ID: id, Kind: oauth.KindWeb, Name: id, GrantTypes: []string{oauth.GrantRefresh}, AuthMethod: oauth.AuthSecretBasic}
					_, err := w.s.InsertClient(w.t.Context(), system("x"), c, "first", everyActor)
					w.ok(err)
				}
				u := w.add("u", identity.Viewer, "default")
				session := w.browse(u, "cookie", false).Session.ID
				w.of(u, session, "app", "openid", "one")
				w.of(u, session, "app", "openid offline_access", "offline")
				w.of(u, session, "other", "openid", "theirs")
				refused := func(identity.Principal, oauth.Client) error { return identity.ErrForbidden }
				w.forbidden(end(w, refused))
				w.ok(w.refresh("app", "one", "still"))
				w.ok(end(w, everyActor))
				w.is(identity.ErrInvalidToken, w.refresh("app", "still", "x"))
				w.is(identity.ErrInvalidToken, w.refresh("app", "offline", "x"))
				w.ok(w.refresh("other", "theirs", "next"))
			})
		})
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
