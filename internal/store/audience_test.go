package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// claims creates a client, or a service token, with the audience.
func (w *world) claims(u identity.User, service bool, name, audience string) error {
	if service {
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(u),
			identity.ServiceToken{Name: name, Role: identity.Viewer, Audiences: []string{audience}}, "hash of "+name, "shared")
		return err
	}
	_, err := w.s.InsertClient(w.t.Context(), act(u), oauth.Client{ID: name, Kind: oauth.KindWeb, Name: name, Audiences: []string{audience}}, "", everyActor)
	return err
}

func isTaken(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Code == "audience_taken"
}

func TestOneOrganizationWinsConcurrentFirstClaimsOfAnAudience(t *testing.T) {
	onEach(t, func(w *world) {
		const organizations = 6
		var bosses []identity.User
		for i := range organizations {
			bosses = append(bosses, w.add(numbered("boss", i), identity.OrgAdmin, numbered("org", i)))
		}
		for round := range 10 {
			claims := make([]error, organizations)
			w.atOnce(organizations, func(i int) error {
				name := fmt.Sprintf("r%d-%d", round, i)
				claims[i] = w.claims(bosses[i], i%2 == 0, name, numbered("https://api.example/", round))
				if isTaken(claims[i]) {
					return nil
				}
				return claims[i]
			})
			won := 0
			for _, err := range claims {
				if err == nil {
					won++
				}
			}
			if won != 1 {
				w.t.Fatalf("round %d: %d organizations have one audience: %v", round, won, claims)
			}
		}
	})
}

func TestAServiceTokenTakesNoAudienceOfOthersAndHoldsItsOwnWhileItIsUsable(t *testing.T) {
	onEach(t, func(w *world) {
		root := w.add("root", identity.Superadmin, "default")
		acme, other := w.add("boss", identity.OrgAdmin, "acme"), w.add("rival", identity.OrgAdmin, "other")
		taken := func(err error) {
			w.t.Helper()
			if !isTaken(err) {
				w.t.Errorf("got %v, want audience_taken", err)
			}
		}
		const api, web = "https://api.acme.example", "https://web.acme.example"
		w.ok(w.claims(acme, true, "ci", api))
		w.ok(w.claims(acme, false, "app", web))
		w.ok(w.claims(acme, true, "own", web))
		w.ok(w.claims(acme, false, "own-app", api))
		for i, audience := range []string{api, web} {
			taken(w.claims(other, true, numbered("t", i), audience))
			taken(w.claims(other, false, numbered("c", i), audience))
		}
		w.ok(w.claims(root, true, "of-all", "https://all.example"))
		taken(w.claims(other, true, "x", "https://all.example"))

		// An audience that all organizations share is claimed by none.
		w.ok(w.claims(acme, true, "shared-1", "shared"))
		w.ok(w.claims(other, true, "shared-2", "shared"))

		// What is revoked, or has expired, holds nothing.
		const short = "https://short.example"
		w.ok(w.claims(acme, true, "revoked", short))
		taken(w.claims(other, true, "y", short))
		w.ok(w.s.RevokeServiceToken(w.t.Context(), act(acme), "", "revoked"))
		_, _, err := w.s.InsertServiceToken(w.t.Context(), act(acme), identity.ServiceToken{
			Name: "short", Role: identity.Viewer, Audiences: []string{short}, ExpiresAt: w.clock.Now().Add(time.Hour),
		}, "hash of short")
		w.ok(err)
		taken(w.claims(other, false, "z", short))
		w.clock.Advance(time.Hour)
		w.ok(w.claims(other, false, "z", short))
		taken(w.claims(acme, true, "again", short))
	})
}

// A program could otherwise give itself tokens for resource servers that it was not given.
func TestOnlyUsersAndTheSystemGiveAudiencesToServiceTokens(t *testing.T) {
	onEach(t, func(w *world) {
		boss := w.add("boss", identity.OrgAdmin, "acme")
		st, _, err := w.s.InsertServiceToken(w.t.Context(), act(boss), identity.ServiceToken{Name: "ci", Role: identity.OrgAdmin}, "hash")
		w.ok(err)
		program := act(boss)
		program.By = identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}
		insert := func(name string, audiences ...string) error {
			_, _, err := w.s.InsertServiceToken(w.t.Context(), program,
				identity.ServiceToken{Name: name, Role: identity.Viewer, Audiences: audiences}, "hash of "+name, "shared")
			return err
		}
		w.forbidden(insert("a", "https://api.acme.example"))
		w.forbidden(insert("a", "shared", "https://api.acme.example"))
		w.ok(insert("a"))
		w.ok(insert("b", "shared"))
	})
}

func TestAServiceTokenCreatesNoneThatMayBeExchangedForMore(t *testing.T) {
	onEach(t, func(w *world) {
		const api, files = "https://api.acme.example", "https://files.acme.example"
		boss := w.add("boss", identity.OrgAdmin, "acme")
		st, _, err := w.s.InsertServiceToken(w.t.Context(), act(boss),
			identity.ServiceToken{Name: "ci", Role: identity.OrgAdmin, Audiences: []string{api, files}}, "hash", "shared")
		w.ok(err)
		program := store.Act{Action: "test", By: identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}}
		insert := func(name string, audiences ...string) ([]string, error) {
			made, _, err := w.s.InsertServiceToken(w.t.Context(), program,
				identity.ServiceToken{Name: name, Role: identity.Viewer, Audiences: audiences}, "hash of "+name, "shared")
			return made.Audiences, err
		}
		for _, more := range [][]string{{"shared"}, {api, "shared"}, {"https://other.example"}} {
			_, err := insert("more", more...)
			w.forbidden(err)
		}
		for name, audiences := range map[string][]string{"same": nil, "less": {files}} {
			got, err := insert(name, audiences...)
			w.ok(err)
			want := audiences
			if want == nil {
				want = st.Audiences
			}
			if !slices.Equal(got, want) {
				w.t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	})
}

// A program that could change audiences would give itself, or another one, more than it has.
func TestAudiencesOfAServiceTokenAreReplacedByThoseWhoMayGiveThem(t *testing.T) {
	onEach(t, func(w *world) {
		const api, files = "https://api.acme.example", "https://files.acme.example"
		root := w.add("root", identity.Superadmin, "default")
		boss, rival, operator := w.add("boss", identity.OrgAdmin, "acme"), w.add("rival", identity.OrgAdmin, "other"), w.add("op", identity.Operator, "acme")
		create := func(name string, role identity.Role, audiences ...string) identity.Actor {
			w.t.Helper()
			st, _, err := w.s.InsertServiceToken(w.t.Context(), act(root),
				identity.ServiceToken{Name: name, Role: role, OrgID: "acme", Audiences: audiences}, "hash of "+name, "shared")
			w.ok(err)
			return identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}
		}
		ci, mighty := create("ci", identity.OrgAdmin, api, files), create("mighty", identity.Superadmin)
		create("job", identity.Viewer, api)
		update := func(a store.Act, name string, audiences ...string) error {
			_, err := w.s.UpdateServiceToken(w.t.Context(), a, "acme", name, audiences, "shared")
			return err
		}
		for _, program := range []identity.Actor{ci, mighty, {Kind: identity.ActorClient, ID: "x"}, {}} {
			a := store.Act{Action: "test", By: program}
			for _, audiences := range [][]string{{files}, {api}, {"shared"}, {"https://new.example"}, nil} {
				w.forbidden(update(a, "job", audiences...))
				w.forbidden(update(a, "ci", audiences...))
			}
		}
		w.forbidden(update(act(operator), "job", api))
		w.forbidden(update(act(boss), "mighty", api)) // of a role above the own
		w.notFound(update(act(rival), "job", api))
		w.notFound(update(act(boss), "unknown", api))
		if got := w.tokens(root, "acme")["job"]; !slices.Equal(got, []string{api}) {
			w.t.Errorf("refused changes made the audiences %v", got)
		}

		w.ok(w.claims(rival, true, "theirs", "https://api.other.example"))
		if err := update(act(boss), "job", api, "https://api.other.example"); !isTaken(err) {
			w.t.Errorf("got %v, want audience_taken", err)
		}
		for _, audiences := range [][]string{{api, files}, {"shared", files}, {"https://new.acme.example"}, {}} {
			w.ok(update(act(boss), "job", audiences...))
			if got := w.tokens(root, "acme")["job"]; !slices.Equal(got, audiences) {
				w.t.Errorf("the audiences are %v, want %v", got, audiences)
			}
		}
		// What it has lost is free, and what a superadmin gave it may keep.
		w.ok(w.claims(rival, true, "theirs-2", "https://new.acme.example"))
		w.ok(update(act(root), "job", "https://api.other.example"))
		w.ok(update(act(boss), "job", "https://api.other.example", "shared"))
	})
}

// tokens are the audiences of the service tokens of the organization, by name.
func (w *world) tokens(u identity.User, orgID string) map[string][]string {
	w.t.Helper()
	page, err := w.s.ServiceTokens(w.t.Context(), by(u), store.ListFilter{OrgID: orgID})
	w.ok(err)
	audiences := map[string][]string{}
	for _, st := range page.Items {
		audiences[st.Name] = st.Audiences
	}
	return audiences
}
