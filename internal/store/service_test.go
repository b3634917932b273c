package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestServiceTokenIsValidUntilItIsRevoked(t *testing.T) {
	onEach(t, func(w *world) {
		boss := w.add("boss", identity.OrgAdmin, "acme")
		st, created, err := w.s.InsertServiceToken(w.t.Context(), act(boss),
			identity.ServiceToken{Name: "ci", Role: identity.Operator, Description: "d"}, "hash-1")
		w.ok(err)
		want := identity.ServiceToken{
			ID: st.ID, Name: "ci", Role: identity.Operator, OrgID: "acme", OrgStatus: identity.Active, Description: "d", OwnerID: boss.ID, CreatedAt: w.clock.Now(),
		}
		if diff := cmp.Diff(want, st); diff != "" || !created {
			w.t.Errorf("created %v (-want +got):\n%s", created, diff)
		}
		for _, hashes := range [][]string{{"hash-1"}, {"other", "hash-1"}, {"hash-1", "other"}} {
			got, err := w.s.ServiceTokenByHash(w.t.Context(), hashes)
			w.ok(err)
			if diff := cmp.Diff(want, got); diff != "" {
				w.t.Errorf("by hash (-want +got):\n%s", diff)
			}
		}
		again, created, err := w.s.InsertServiceToken(w.t.Context(), act(boss), identity.ServiceToken{Name: "ci", Role: identity.Viewer}, "hash-2")
		w.ok(err)
		if created || again.ID != st.ID {
			w.t.Errorf("a second token of one name: %+v", again)
		}
		_, err = w.s.ServiceTokenByHash(w.t.Context(), []string{"hash-2"})
		w.notFound(err)
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(boss), "", "ci"))
		_, err = w.s.ServiceTokenByHash(w.t.Context(), []string{"hash-1"})
		w.notFound(err)
		w.notFound(w.s.RevokeServiceToken(w.t.Context(), act(boss), "", "ci"))
		_, created, err = w.s.InsertServiceToken(w.t.Context(), act(boss), identity.ServiceToken{Name: "ci", Role: identity.Viewer}, "hash-3")
		w.ok(err)
		if !created {
			w.t.Error("the name of a revoked token cannot be used again")
		}
		if _, err := w.s.ServiceTokenByHash(w.t.Context(), nil); err == nil {
			w.t.Error("no hash at all found a token")
		}
	})
}

func TestServiceTokensStayWithinTheActorsReach(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		boss := w.add("boss", identity.OrgAdmin, "acme")
		viewer := w.add("viewer", identity.Viewer, "acme")
		insert := func(a store.Act, name string, role identity.Role, org string) error {
			_, _, err := w.s.InsertServiceToken(w.t.Context(), a, identity.ServiceToken{Name: name, Role: role, OrgID: org}, "hash of "+name)
			return err
		}
		w.ok(insert(act(root), "mighty", identity.Superadmin, "acme"))
		w.ok(insert(act(root), "far", identity.Viewer, "made-for-it"))
		w.ok(insert(act(boss), "near", identity.OrgAdmin, "acme"))
		w.forbidden(insert(act(boss), "x", identity.Superadmin, "acme"))
		w.notFound(insert(act(boss), "x", identity.Viewer, "default"))
		w.forbidden(insert(act(viewer), "x", identity.Viewer, "acme"))

		w.forbidden(w.s.RevokeServiceToken(w.t.Context(), act(viewer), "", "near"))
		w.forbidden(w.s.RevokeServiceToken(w.t.Context(), act(viewer), "", "nothing"))
		w.forbidden(w.s.RevokeServiceToken(w.t.Context(), act(boss), "acme", "mighty"))
		w.notFound(w.s.RevokeServiceToken(w.t.Context(), act(boss), "made-for-it", "far"))

		names := func(actor identity.Actor, org string) []string {
			w.t.Helper()
			p, err := w.s.ServiceTokens(w.t.Context(), actor, store.ListFilter{OrgID: org})
			w.ok(err)
			got := []string{}
			for _, st := range p.Items {
				got = append(got, st.Name)
			}
			return got
		}
		w.clock.Advance(1)
		if got := len(names(by(root), "")); got != 3 {
			w.t.Errorf("a superadmin sees %d", got)
		}
		if diff := cmp.Diff([]string{"far"}, names(by(root), "made-for-it")); diff != "" {
			w.t.Error(diff)
		}
		if got := len(names(by(boss), "")); got != 2 {
			w.t.Errorf("an org_admin sees %d", got)
		}
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(root), "acme", "mighty"))
		if diff := cmp.Diff([]string{"near"}, names(by(boss), "acme")); diff != "" {
			w.t.Errorf("revoked ones are listed: %s", diff)
		}
		_, err := w.s.ServiceTokens(w.t.Context(), by(viewer), store.ListFilter{})
		w.forbidden(err)
		_, err = w.s.ServiceTokens(w.t.Context(), by(boss), store.ListFilter{OrgID: "default"})
		w.notFound(err)
	})
}

func TestOneServiceTokenANameUnderConcurrency(t *testing.T) {
	onEach(t, func(w *world) {
		created := make([]bool, 8)
		errs := race(8, func(i int) (err error) {
			_, created[i], err = w.s.InsertServiceToken(w.t.Context(), system("s"), identity.ServiceToken{Name: "one", Role: identity.Viewer}, numbered("h", i))
			return err
		})
		n := 0
		for i, err := range errs {
			w.ok(err)
			if created[i] {
				n++
			}
		}
		if n != 1 {
			w.t.Errorf("%d tokens of one name were created", n)
		}
	})
}

func TestRegistrationSwitchIsForSuperadmins(t *testing.T) {
	onEach(t, func(w *world) {
		root, boss := w.add("root", identity.Superadmin, "default"), w.add("boss", identity.OrgAdmin, "default")
		enabled, set, err := w.s.Registration(w.t.Context())
		w.ok(err)
		if enabled || set {
			w.t.Error("the switch is set in a new database")
		}
		w.forbidden(w.s.SetRegistration(w.t.Context(), act(boss), true))
		for _, want := range []bool{true, false, true} {
			w.ok(w.s.SetRegistration(w.t.Context(), act(root), want))
			enabled, set, err = w.s.Registration(w.t.Context())
			w.ok(err)
			if enabled != want || !set {
				w.t.Errorf("got %v %v, want %v", enabled, set, want)
			}
		}
	})
}

func TestAdoptedKeyIsUnknownWithoutAnAdoption(t *testing.T) {
	onEach(t, func(w *world) {
		key, err := w.s.AdoptedKey(w.t.Context())
		w.ok(err)
		if key != (store.AdoptedKey{}) {
			w.t.Errorf("got %+v", key)
		}
		if err := w.s.SetAdoptedKey(w.t.Context(), "thumbprint"); err == nil {
			w.t.Error("a key was decided on without an adoption")
		}
	})
}

func TestEventsAreKeptNewestFirst(t *testing.T) {
	onEach(t, func(w *world) {
		for i := range 3 {
			w.clock.Advance(1e9)
			w.ok(w.s.InsertEvent(w.t.Context(), store.Event{Action: identity.Action(numbered("a", i)), Outcome: store.OutcomeRefused, Detail: "'; DROP TABLE users; --"}))
		}
		events, err := w.s.Events(w.t.Context(), 2)
		w.ok(err)
		if len(events) != 2 || events[0].Action != "a-002" || events[1].Action != "a-001" || !events[0].At.Equal(w.clock.Now()) {
			w.t.Errorf("got %+v", events)
		}
	})
}

func TestOnlyASuperadminRevokesAnAdoptedTokenOfAnUnknownRole(t *testing.T) {
	onEach(t, func(w *world) {
		root, boss := w.add("root", identity.Superadmin, "default"), w.add("boss", identity.OrgAdmin, "acme")
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(boss), identity.ServiceToken{Name: "old", Role: identity.Viewer}, "hash")
		w.ok(err)
		w.ok(w.s.Write(w.t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE service_tokens SET role = 'agent'")
			return err
		}))
		w.forbidden(w.s.RevokeServiceToken(w.t.Context(), act(boss), "acme", "old"))
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(root), "acme", "old"))
	})
}
