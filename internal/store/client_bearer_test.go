package store_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

func (w *world) clientBearer(u identity.User, client, session, jti string) (store.ClientBearer, error) {
	return w.s.ClientBearer(w.t.Context(), store.ClientToken{ClientID: client, UserID: u.ID, SessionID: session, ID: jti})
}

func TestWhatAClientHoldsEndsWithItsFamilyAndWithoutOneWithTheSession(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("app", nil)
		u := w.add("u", identity.Viewer, "default")
		g := w.group("staff", "default")
		w.ok(w.s.AddMember(t.Context(), system("seed"), g.ID, u.ID))
		session := w.browse(u, "cookie", false).Session.ID
		w.of(u, session, "app", "openid", "one")
		w.of(u, session, "app", "openid", "two")
		w.of(u, session, "app", "openid offline_access", "offline")
		check := func(ended bool, jtis ...string) {
			t.Helper()
			for _, jti := range jtis {
				b, err := w.clientBearer(u, "app", session, jti)
				w.ok(err)
				if b.Ended != ended || b.User.ID != u.ID || b.Client.ID != "app" || len(b.Groups) != 1 {
					t.Errorf("%s: %+v", jti, b)
				}
			}
		}
		check(false, "jti-one", "jti-two", "jti-offline", "jti-none")
		w.ok(w.refresh("app", "one", "three")) // earlier tokens of the family stay valid
		check(false, "jti-one", "jti-three")
		client := identity.Actor{Kind: identity.ActorClient, ID: "app"}
		revoke := store.Act{Action: identity.ActionRevokeToken, By: client}
		w.ok(w.s.RevokeAccess(t.Context(), revoke, store.ClientToken{ClientID: "other", UserID: u.ID, SessionID: session, ID: "jti-three"}))
		check(false, "jti-one", "jti-three")
		w.ok(w.s.RevokeAccess(t.Context(), revoke, store.ClientToken{ClientID: "app", UserID: u.ID, SessionID: session, ID: "jti-three"}))
		check(true, "jti-one", "jti-three")
		check(false, "jti-two", "jti-offline")
		w.is(identity.ErrInvalidToken, w.s.RevokeRefresh(t.Context(), revoke, store.PresentedRefresh{ClientID: "other", Hashes: []string{"two"}}))
		check(false, "jti-two")
		w.ok(w.s.RevokeRefresh(t.Context(), revoke, store.PresentedRefresh{ClientID: "app", Hashes: []string{"two"}}))
		check(true, "jti-two")
		w.ok(w.s.EndUserSession(t.Context(), act(u), u.ID, session))
		check(true, "jti-none")
		check(false, "jti-offline")
		if _, err := w.clientBearer(u, "unknown", session, "jti-one"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown client: %v", err)
		}
	})
}

// A client acts with the weaker one of two roles, and only for users who may sign in.
func TestAClientActsWithTheRightsOfItsUserAtMostItsOwn(t *testing.T) {
	onEach(t, func(w *world) {
		w.registered("weak", func(c *oauth.Client) { c.Role = "viewer" })
		w.registered("strong", func(c *oauth.Client) { c.Role = "superadmin" })
		admin, viewer := w.add("a", identity.OrgAdmin, "default"), w.add("v", identity.Viewer, "default")
		for _, c := range []struct {
			client string
			of     identity.User
			want   identity.Role
		}{
			{"weak", admin, "viewer"},
			{"strong", admin, "org_admin"},
			{"strong", viewer, "viewer"},
			{"strong", identity.User{}, "superadmin"},
		} {
			p, err := w.s.Principal(t.Context(), identity.Actor{Kind: identity.ActorClient, ID: c.client, OnBehalfOf: c.of.ID})
			w.ok(err)
			if p.Role != c.want || p.Kind != identity.ActorClient || !p.Active {
				t.Errorf("%s for %s: %+v", c.client, c.of.Email, p)
			}
		}
		if p, err := w.s.Principal(t.Context(), identity.Actor{Kind: identity.ActorClient, ID: "weak"}); err != nil || p.Active {
			t.Errorf("a client of no organization administers one: %+v, %v", p, err)
		}
		for _, of := range []string{"nobody", ""} {
			if p, err := w.s.Principal(t.Context(), identity.Actor{Kind: identity.ActorClient, ID: "unknown", OnBehalfOf: of}); err == nil {
				t.Errorf("an unknown client acts: %+v", p)
			}
		}
		if p, err := w.s.Principal(t.Context(), identity.Actor{Kind: identity.ActorClient, ID: "strong", OnBehalfOf: "nobody"}); err == nil {
			t.Errorf("a client acts for an unknown user: %+v", p)
		}
	})
}
