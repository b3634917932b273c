package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// owned creates a service token of the role as the actor does.
func (w *world) owned(a store.Act, name string, role identity.Role, org string) identity.ServiceToken {
	w.t.Helper()
	st, created, err := w.s.InsertServiceToken(w.t.Context(), a, identity.ServiceToken{Name: name, Role: role, OrgID: org}, "hash "+uuid.NewString())
	w.ok(err)
	if !created {
		w.t.Fatalf("%s exists", name)
	}
	w.clock.Advance(time.Millisecond)
	return st
}

// token is the service token of the name as a superadmin sees it; zero: revoked.
func (w *world) token(name string) (found identity.ServiceToken) {
	w.t.Helper()
	p, err := w.s.ServiceTokens(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{})
	w.ok(err)
	for _, st := range p.Items {
		if st.Name == name {
			found = st
		}
	}
	return found
}

// losses are the changes that need a decision about the service tokens of a user.
func losses() map[string]func(w *world, a store.Act, userID string) error {
	return map[string]func(w *world, a store.Act, userID string) error{
		"suspension": func(w *world, a store.Act, id string) error {
			_, err := w.s.SetStatus(w.t.Context(), a, id, identity.Suspended)
			return err
		},
		"demotion": func(w *world, a store.Act, id string) error {
			_, err := w.s.SetRole(w.t.Context(), a, id, identity.Viewer)
			return err
		},
		"deletion": func(w *world, a store.Act, id string) error { return w.s.DeleteUser(w.t.Context(), a, id) },
	}
}

func TestTheOwnerOfServiceTokensLeavesOnlyWithADecision(t *testing.T) {
	for name, lose := range losses() {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				boss, owner := w.add("boss", identity.OrgAdmin, "acme"), w.add("owner", identity.OrgAdmin, "acme")
				w.owned(act(owner), "one", identity.Viewer, "acme")
				w.owned(act(owner), "two", identity.OrgAdmin, "acme")
				w.owned(act(boss), "other", identity.Viewer, "acme")
				w.owned(system("s"), "adopted", identity.Viewer, "acme")

				before := w.dump()
				err := lose(w, act(boss), owner.ID)
				w.refused(err, fault.Conflict, "owns_service_tokens")
				var f *fault.Error
				errors.As(err, &f)
				want := []fault.Field{{Name: "service_tokens", Message: "one"}, {Name: "service_tokens", Message: "two"}}
				if diff := cmp.Diff(want, f.Fields); diff != "" {
					w.t.Errorf("named (-want +got):\n%s", diff)
				}
				if w.dump() != before {
					w.t.Error("a refusal changed something")
				}

				keep := act(boss)
				keep.Tokens = identity.KeepTokens
				w.ok(lose(w, keep, owner.ID))
				for _, name := range []string{"one", "two", "other"} {
					if got := w.token(name); got.OwnerID != boss.ID {
						w.t.Errorf("%s belongs to %q", name, got.OwnerID)
					}
				}
				if got := w.token("adopted"); got.ID == "" || got.OwnerID != "" {
					w.t.Errorf("the adopted one: %+v", got)
				}

				root := w.add("root", identity.Superadmin, "default")
				revoke := act(root)
				revoke.Tokens = identity.RevokeTokens
				w.ok(lose(w, revoke, boss.ID))
				for _, name := range []string{"one", "two", "other"} {
					if w.token(name).ID != "" {
						w.t.Errorf("%s is not revoked", name)
					}
				}
				if w.token("adopted").ID == "" {
					w.t.Error("the adopted one is revoked")
				}
			})
		})
	}
}

func TestADecisionIsInTheAuditLogOnceAToken(t *testing.T) {
	onEach(t, func(w *world) {
		root, owner := w.add("root", identity.Superadmin, "default"), w.add("owner", identity.OrgAdmin, "acme")
		st := w.owned(act(owner), "one", identity.Viewer, "acme")
		a := act(root)
		for _, c := range []struct {
			decision identity.TokenDecision
			action   identity.Action
		}{{identity.KeepTokens, identity.ActionTakeServiceToken}, {identity.RevokeTokens, identity.ActionRevokeServiceToken}} {
			w.ok(w.s.Write(w.t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec("UPDATE service_tokens SET owner_id = $1", owner.ID)
				return err
			}))
			a.Tokens = c.decision
			_, err := w.s.SetStatus(w.t.Context(), a, owner.ID, identity.Suspended)
			w.ok(err)
			events, err := w.s.Events(w.t.Context(), 2)
			w.ok(err)
			if !slices.ContainsFunc(events, func(ev store.Event) bool {
				return ev.Action == c.action && ev.TargetID == st.ID && ev.Detail == "one" && ev.ActorID == root.ID && ev.OrgID == "acme"
			}) {
				w.t.Errorf("%s: %+v", c.decision, events)
			}
		}
	})
}

func TestNoDecisionIsNeededForUnusableServiceTokensAndPromotions(t *testing.T) {
	onEach(t, func(w *world) {
		root, owner := w.add("root", identity.Superadmin, "default"), w.add("owner", identity.OrgAdmin, "acme")
		w.owned(act(owner), "revoked", identity.Viewer, "acme")
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(owner), "", "revoked"))
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(owner),
			identity.ServiceToken{Name: "expired", Role: identity.Viewer, ExpiresAt: w.clock.Now().Add(time.Second)}, "hash")
		w.ok(err)
		_, err = w.s.SetStatus(w.t.Context(), act(root), owner.ID, identity.Suspended)
		w.refused(err, fault.Conflict, "owns_service_tokens")
		_, err = w.s.SetRole(w.t.Context(), act(root), owner.ID, identity.Superadmin)
		w.ok(err)
		w.clock.Advance(time.Second)
		_, err = w.s.SetStatus(w.t.Context(), act(root), owner.ID, identity.Suspended)
		w.ok(err)
		_, err = w.s.SetStatus(w.t.Context(), act(root), owner.ID, identity.Active)
		w.ok(err)
	})
}

func TestKeptServiceTokensNeverHaveARoleAboveTheActors(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		boss, owner := w.add("boss", identity.OrgAdmin, "acme"), w.add("owner", identity.OrgAdmin, "acme")
		w.owned(system("s"), "mighty", identity.Superadmin, "acme")
		w.ok(w.s.Write(w.t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE service_tokens SET owner_id = $1", owner.ID)
			return err
		}))
		for _, decision := range []identity.TokenDecision{identity.KeepTokens, identity.RevokeTokens} {
			a := act(boss)
			a.Tokens = decision
			_, err := w.s.SetStatus(w.t.Context(), a, owner.ID, identity.Suspended)
			w.forbidden(err)
		}
		own := act(root) // one who leaves cannot keep
		w.owned(own, "mine", identity.Viewer, "acme")
		w.add("second", identity.Superadmin, "default")
		own.Tokens = identity.KeepTokens
		w.refused(w.s.DeleteUser(w.t.Context(), own, root.ID), fault.Conflict, "owns_service_tokens")
		own.Tokens = identity.RevokeTokens
		w.ok(w.s.DeleteUser(w.t.Context(), own, root.ID))
	})
}

func TestAServiceTokenThatAServiceTokenCreatesHasItsOwnerAndEnd(t *testing.T) {
	onEach(t, func(w *world) {
		owner := w.add("owner", identity.OrgAdmin, "acme")
		end := w.clock.Now().Add(time.Hour)
		parent, _, err := w.s.InsertServiceToken(w.t.Context(), act(owner),
			identity.ServiceToken{Name: "parent", Role: identity.OrgAdmin, ExpiresAt: end}, "hash of parent")
		w.ok(err)
		robot := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorServiceToken, ID: parent.ID}}
		child := w.owned(robot, "child", identity.Viewer, "")
		if child.OwnerID != owner.ID || !child.ExpiresAt.Equal(end) || child.OrgID != "acme" {
			w.t.Errorf("%+v", child)
		}
		_, _, err = w.s.InsertServiceToken(w.t.Context(), robot,
			identity.ServiceToken{Name: "longer", Role: identity.Viewer, ExpiresAt: end.Add(time.Microsecond)}, "hash of longer")
		w.refused(err, fault.Invalid, "validation_failed")
		w.clock.Advance(time.Hour)
		_, _, err = w.s.InsertServiceToken(w.t.Context(), robot, identity.ServiceToken{Name: "late", Role: identity.Viewer}, "hash of late")
		w.forbidden(err)
	})
}

func TestNamesOfServiceTokensAreUniqueWithinTheirOrganization(t *testing.T) {
	onEach(t, func(w *world) {
		a, b := w.add("a", identity.OrgAdmin, "acme"), w.add("b", identity.OrgAdmin, "globex")
		first, second := w.owned(act(a), "ci", identity.Viewer, ""), w.owned(act(b), "ci", identity.Viewer, "")
		if first.ID == second.ID || second.Name != "ci" || second.OrgID != "globex" {
			w.t.Errorf("%+v and %+v", first, second)
		}
		again, created, err := w.s.InsertServiceToken(w.t.Context(), act(b), identity.ServiceToken{Name: "ci", Role: identity.Viewer}, "x")
		w.ok(err)
		if created || again.ID != second.ID {
			w.t.Errorf("again: %+v", again)
		}
		w.notFound(w.s.RevokeServiceToken(w.t.Context(), act(b), "acme", "ci"))
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(b), "", "ci"))
		if got := w.token("ci"); got.ID != first.ID {
			w.t.Errorf("left: %+v", got)
		}
		w.owned(act(b), "ci", identity.Operator, "") // the name is free

		errs := race(8, func(i int) error {
			_, _, err := w.s.InsertServiceToken(w.t.Context(), system("s"),
				identity.ServiceToken{Name: "many", Role: identity.Viewer, OrgID: numbered("org", i%4)}, numbered("h", i))
			return err
		})
		for _, err := range errs {
			w.ok(err)
		}
		p, err := w.s.ServiceTokens(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.ListFilter{})
		w.ok(err)
		if p.Total != 6 { // two named ci, four named many
			w.t.Errorf("%d tokens", p.Total)
		}
	})
}

func TestTheNameOfAnExpiredServiceTokenIsFree(t *testing.T) {
	onEach(t, func(w *world) {
		st := identity.ServiceToken{Name: "ci", Role: identity.Viewer, OrgID: "acme", ExpiresAt: w.clock.Now().Add(time.Hour)}
		old, _, err := w.s.InsertServiceToken(w.t.Context(), system("s"), st, "old")
		w.ok(err)
		w.clock.Advance(time.Hour)
		st.ExpiresAt = time.Time{}
		fresh, created, err := w.s.InsertServiceToken(w.t.Context(), system("s"), st, "fresh")
		w.ok(err)
		if !created || fresh.ID == old.ID || !fresh.ExpiresAt.IsZero() {
			w.t.Errorf("%v %+v", created, fresh)
		}
	})
}

func TestTheLastUseOfAServiceTokenNeverGoesBack(t *testing.T) {
	onEach(t, func(w *world) {
		st := w.owned(system("s"), "ci", identity.Viewer, "acme")
		if !st.LastUsedAt.IsZero() {
			w.t.Errorf("used at %v", st.LastUsedAt)
		}
		at := w.clock.Now()
		w.ok(w.s.UsedServiceTokens(w.t.Context(), map[string]time.Time{st.ID: at, "unknown": at}))
		w.ok(w.s.UsedServiceTokens(w.t.Context(), map[string]time.Time{st.ID: at.Add(-time.Minute)})) // of another replica
		if got := w.token("ci").LastUsedAt; !got.Equal(at) {
			w.t.Errorf("used at %v, want %v", got, at)
		}
	})
}

// The statements of the previous release, which knows no name of an organization, no
// owner and no expiry.
func TestTheServiceTokensOfThePreviousReleaseAreValidHere(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		b := before{w}
		create := func(id, name, org string) int64 {
			b.exec("INSERT INTO organizations (id, status, created_at) VALUES ($1, 'active', $2) ON CONFLICT (id) DO NOTHING", org, b.at(0))
			return b.exec(`INSERT INTO service_tokens (id, name, token_hash, role, org_id, description, created_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING`,
				id, name, "hash of "+id, "viewer", org, "", b.at(0))
		}
		if create("s1", "ci", "acme") != 1 || create("s2", "ci", "acme") != 0 || create("s3", "ci", "globex") != 0 {
			w.t.Error("its insertions have another effect")
		}
		st, err := w.s.ServiceTokenByHash(w.t.Context(), []string{"hash of s1"})
		w.ok(err)
		if st.Name != "ci" || st.OwnerID != "" || !st.ExpiresAt.IsZero() || !identity.CanUseServiceToken(st, w.clock.Now()) {
			w.t.Errorf("%+v", st)
		}
		here := w.owned(system("s"), "ci", identity.Viewer, "globex")
		if _, created, err := w.s.InsertServiceToken(w.t.Context(), system("s"),
			identity.ServiceToken{Name: "ci", Role: identity.Viewer, OrgID: "acme"}, "x"); err != nil || created {
			w.t.Errorf("its token is not seen: %v, %v", created, err)
		}
		// It revokes by a name that is unique everywhere, and so never the wrong one.
		if b.exec("UPDATE service_tokens SET revoked_at = $1 WHERE id = (SELECT id FROM service_tokens WHERE name = 'ci' AND revoked_at IS NULL)", b.at(0)) != 1 {
			w.t.Error("nothing revoked")
		}
		if got := query("SELECT id FROM service_tokens WHERE revoked_at IS NULL"); len(got) != 1 || got[0] != here.ID {
			w.t.Errorf("left: %v", got)
		}
		o, err := w.s.Organization(w.t.Context(), identity.Actor{Kind: identity.ActorSystem}, "globex")
		w.ok(err)
		if o.Name != "globex" || o.Status != identity.Active {
			w.t.Errorf("%+v", o)
		}
	})
}

// An org_admin of the new organization could not decide about tokens of the former one.
func TestAUserWhoOwnsServiceTokensIsMovedOnlyWithADecision(t *testing.T) {
	onEach(t, func(w *world) {
		root, owner := w.add("root", identity.Superadmin, "default"), w.add("owner", identity.OrgAdmin, "acme")
		w.ok(w.organization(act(root), "globex"))
		w.owned(act(owner), "one", identity.Viewer, "acme")
		move := func(a store.Act, id string) error {
			_, err := w.s.UpdateUser(w.t.Context(), a, id, store.UserChange{OrgID: "globex"})
			return err
		}
		w.refused(move(act(root), owner.ID), fault.Conflict, "owns_service_tokens")
		keep := act(root)
		keep.Tokens = identity.KeepTokens
		w.ok(move(keep, owner.ID))
		if got := w.token("one"); got.OwnerID != root.ID || got.OrgID != "acme" || w.user(owner.ID).OrgID != "globex" {
			w.t.Errorf("%+v", got)
		}
		w.ok(move(act(root), root.ID)) // a superadmin decides in every organization
	})
}
