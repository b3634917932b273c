package store_test

import (
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// service stores a service token and returns it as an actor.
func (w *world) service(name string, role identity.Role, org string) identity.Actor {
	w.t.Helper()
	st, created, err := w.s.InsertServiceToken(w.t.Context(), system("seed"),
		identity.ServiceToken{Name: name, Role: role, OrgID: org}, "hash of "+name)
	if err != nil || !created {
		w.t.Fatalf("service token %s: %t, %v", name, created, err)
	}
	return identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID, Address: "192.0.2.8", RequestID: "req-2"}
}

func (w *world) suspendOrg(org string) {
	w.t.Helper()
	w.ok(w.s.Write(w.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE organizations SET status = 'suspended' WHERE id = $1", org)
		return err
	}))
}

func newUser(name string, role identity.Role, org string) identity.User {
	return identity.User{ID: name, Email: name, EmailKey: name, Role: role, OrgID: org}
}

func TestAServiceTokenActsWithItsRoleInItsOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.t.Context()
		admin, operator := w.service("admin", identity.OrgAdmin, "acme"), w.service("operator", identity.Operator, "acme")
		elsewhere := w.add("elsewhere", identity.Viewer, "other")
		by := store.Act{Action: "test", By: admin}

		w.ok(w.s.CreateUser(ctx, by, newUser("new", identity.Viewer, "")))
		if u := w.user("new"); u.OrgID != "acme" {
			w.t.Errorf("without an organization the user is in %q", u.OrgID)
		}
		_, err := w.s.SetRole(ctx, by, "new", identity.OrgAdmin)
		w.ok(err)
		ev := w.lastEvent()
		if ev.ActorKind != identity.ActorServiceToken || ev.ActorID != admin.ID || ev.TargetID != "new" || ev.Address != "192.0.2.8" {
			w.t.Errorf("audit row: %+v", ev)
		}
		if p, err := w.s.Users(ctx, admin, store.ListFilter{}); err != nil || p.Total != 1 {
			w.t.Errorf("it lists %d users: %v", p.Total, err)
		}

		w.forbidden(w.s.CreateUser(ctx, by, newUser("root", identity.Superadmin, "")))
		w.notFound(w.s.CreateUser(ctx, by, newUser("spy", identity.Viewer, "other")))
		w.notFound(w.s.DeleteUser(ctx, by, elsewhere.ID))
		by.By = operator
		w.forbidden(w.s.CreateUser(ctx, by, newUser("friend", identity.Viewer, "")))
		w.forbidden(w.s.DeleteUser(ctx, by, "new"))
		w.forbidden(w.s.SetRegistration(ctx, by, true))
	})
}

func TestAServiceTokenNeverReachesASuperadminOrAKey(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.t.Context()
		root, user := w.add("root", identity.Superadmin, "default"), w.add("user", identity.Viewer, "other")
		w.add("spare", identity.Superadmin, "default")
		w.service("strong", identity.Superadmin, "acme")
		w.ok(w.s.PutSigningKeys(ctx, 0, changed(store.SigningKey{KID: "k", Status: store.KeyActive})...))
		by := store.Act{Action: "test", By: w.service("machine", identity.Superadmin, "acme")}

		_, err := w.s.SetRole(ctx, by, user.ID, identity.OrgAdmin) // in every organization
		w.ok(err)

		before := w.eventCount()
		w.forbidden(w.s.CreateUser(ctx, by, newUser("new", identity.Superadmin, "acme")))
		_, err = w.s.SetRole(ctx, by, user.ID, identity.Superadmin)
		w.forbidden(err)
		_, err = w.s.SetRole(ctx, by, root.ID, identity.Viewer)
		w.forbidden(err)
		_, err = w.s.SetStatus(ctx, by, root.ID, identity.Suspended)
		w.forbidden(err)
		w.forbidden(w.s.DeleteUser(ctx, by, root.ID))
		w.forbidden(w.s.ResetPassword(ctx, by, root.ID, "hash"))
		_, err = w.s.ChangePassword(ctx, by, w.proof(root), "hash", w.family("", w.clock.Now(), w.next("never")))
		w.refused(err, fault.Unauthenticated, "invalid_token")
		_, _, err = w.s.InsertServiceToken(ctx, by, identity.ServiceToken{Name: "another", Role: identity.Superadmin}, "hash")
		w.forbidden(err)
		w.forbidden(w.s.RevokeServiceToken(ctx, by, "acme", "strong"))

		w.forbidden(w.s.PutSigningKeys(ctx, 1, store.KeyChange{SigningKey: store.SigningKey{KID: "mine", Status: store.KeyPending}, Act: by}))
		w.forbidden(w.s.NoteKey(ctx, by, "k"))
		w.forbidden(w.s.ResealSigningKeys(ctx, 1, by, ""))
		if set := w.keys(); len(set.Keys) != 1 || set.Version != 1 || w.eventCount() != before {
			w.t.Errorf("a refused operation changed something: %+v, %d events", set, w.eventCount()-before)
		}
	})
}

func TestOnlyValidActorsMayDoAnything(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.t.Context()
		root := w.add("root", identity.Superadmin, "default")
		revoked := w.service("revoked", identity.OrgAdmin, "acme")
		w.ok(w.s.RevokeServiceToken(ctx, system("test"), "acme", "revoked"))
		asleep := w.service("asleep", identity.OrgAdmin, "sleeping")
		w.suspendOrg("sleeping")
		machine := w.service("machine", identity.OrgAdmin, "acme")
		for name, by := range map[string]identity.Actor{
			"not authenticated":         {},
			"an id without a kind":      {ID: root.ID},
			"an unknown kind":           {Kind: "root", ID: root.ID},
			"an unknown user":           {Kind: identity.ActorUser, ID: "nobody"},
			"an unknown service token":  {Kind: identity.ActorServiceToken, ID: "nothing"},
			"a service token's id":      {Kind: identity.ActorUser, ID: machine.ID},
			"a user's id":               {Kind: identity.ActorServiceToken, ID: root.ID},
			"a client":                  {Kind: identity.ActorClient, ID: root.ID, OnBehalfOf: root.ID},
			"for a superadmin":          {OnBehalfOf: root.ID},
			"a revoked service token":   revoked,
			"a suspended organization":  asleep,
			"a token for a superadmin":  {Kind: identity.ActorServiceToken, ID: revoked.ID, OnBehalfOf: root.ID},
			"a user for the superadmin": {Kind: identity.ActorUser, OnBehalfOf: root.ID},
		} {
			before := w.eventCount()
			w.forbidden(w.s.CreateUser(ctx, store.Act{Action: "test", By: by}, newUser("new", identity.Viewer, "acme")))
			_, err := w.s.InsertGroup(ctx, store.Act{Action: "test", By: by}, identity.Group{Name: "new", OrgID: "acme"})
			w.forbidden(err)
			_, err = w.s.Users(ctx, by, store.ListFilter{})
			w.forbidden(err)
			_, err = w.s.Groups(ctx, by, store.ListFilter{})
			w.forbidden(err)
			w.forbidden(w.s.SetRegistration(ctx, store.Act{Action: "test", By: by}, true))
			w.forbidden(w.s.NoteKey(ctx, store.Act{Action: "test", By: by}, "k"))
			if p, err := w.s.Principal(ctx, by); err == nil && p.Active {
				w.t.Errorf("%s is active", name)
			}
			if w.eventCount() != before {
				w.t.Errorf("%s: an operation was recorded", name)
			}
		}
	})
}

func TestEventsOfThePreviousReleaseGetAKind(t *testing.T) {
	const insert = `INSERT INTO audit_events (id, at, action, outcome, actor_id) VALUES
	('1', '2026-11-21T12:00:00.000001Z', 'login', 'refused', ''), ('2', '2026-11-21T12:00:00.000002Z', 'login', 'success', 'ada'),
	('3', '2026-11-21T12:00:00.000003Z', 'key.rotate', 'success', 'system');`
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		goose := gooseSQLite
		if url[:6] != "sqlite" {
			goose = goosePostgres
		}
		storetest.Exec(t, url, versionOne(t)+insert+goose)
		s := storetest.OpenURL(t, url)
		check := func(when string) {
			t.Helper()
			events, err := s.Events(t.Context(), 0)
			if err != nil || len(events)%3 != 0 || len(events) == 0 {
				t.Fatalf("%s: %+v, %v", when, events, err)
			}
			for _, ev := range events {
				want := map[identity.Action]identity.Actor{
					"key.rotate": {Kind: identity.ActorSystem},
					"login":      {Kind: identity.ActorUser, ID: "ada"},
				}[ev.Action]
				if ev.Outcome == store.OutcomeRefused {
					want = identity.Actor{}
				}
				if ev.ActorKind != want.Kind || ev.ActorID != want.ID {
					t.Errorf("%s: %+v", when, ev)
				}
			}
		}
		check("before the migration")
		if written := storetest.Rows(t, url, "SELECT id FROM audit_events WHERE actor_kind <> ''"); len(written) > 0 {
			t.Errorf("the migration wrote %d rows, while others wait for it", len(written))
		}
		// A process of the previous release still runs during a rolling upgrade.
		storetest.Exec(t, url, `INSERT INTO audit_events (id, at, action, outcome, actor_id) VALUES
	('4', '2026-11-21T12:00:00.000004Z', 'login', 'refused', ''), ('5', '2026-11-21T12:00:00.000005Z', 'login', 'success', 'ada'),
	('6', '2026-11-21T12:00:00.000006Z', 'key.rotate', 'success', 'system');`)
		check("after the migration")
	})
}
