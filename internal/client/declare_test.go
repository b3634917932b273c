package client_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

const chosen = "a secret that an operator chose; it is long enough"

// declaration is a client of the kind web unless the settings say otherwise.
func declaration(id, secret string, more oauth.Settings) client.Declared {
	s := oauth.Settings{"client_id": id, "kind": "web", "redirect_uris": []any{callback}}
	maps.Copy(s, more)
	return client.Declared{Settings: s, Secret: secret}
}

func (w *world) declare(all ...client.Declared) []string {
	w.t.Helper()
	released, wrong, err := w.Clients.Declare(w.t.Context(), all)
	w.ok(err)
	if len(wrong) > 0 {
		w.t.Fatal(wrong)
	}
	return released
}

// What is wrong with one of the clients leaves all of them as they were, and is said of all
// at once.
func TestDeclaredClientsAreTakenOverTogetherOrNotAtAll(t *testing.T) {
	each(t, func(w *world) {
		w.declare(declaration("wiki", chosen, nil), declaration("old", chosen, nil))
		_, wrong, err := w.Clients.Declare(t.Context(), []client.Declared{
			declaration("wiki", chosen+"2", oauth.Settings{"name": "Wiki"}), declaration("new", chosen, nil),
			declaration("lost", chosen, oauth.Settings{"org_id": "unknown"}), declaration("group", chosen, oauth.Settings{"allowed_groups": []any{"unknown"}}),
		})
		w.ok(err)
		if len(wrong) != 2 || wrong[2][0].Name != "org_id" || wrong[3][0].Name != "allowed_groups" {
			t.Errorf("%v", wrong)
		}
		if got, err := w.Clients.Get(t.Context(), "wiki"); err != nil || got.Name == "Wiki" || !w.works(oauth.Client{ID: "wiki"}, chosen) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := w.Clients.Get(t.Context(), "old"); err != nil || !got.Declared {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err = w.Clients.Get(t.Context(), "new"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a client was created: %v", err)
		}
	})
}

// changes is how many audit events name the client.
func (w *world) changes(id string) int {
	w.t.Helper()
	return strings.Count(w.Log.String(), `"target_id":"`+id+`"`)
}

func TestADeclaredClientIsWhatTheConfigurationSays(t *testing.T) {
	each(t, func(w *world) {
		wiki := oauth.Client{ID: "wiki"}
		w.declare(declaration("wiki", chosen, nil), declaration("shop", "", oauth.Settings{"kind": "spa"}))
		if !w.works(wiki, chosen) {
			t.Fatal("the declared secret does not work")
		}
		created := w.changes("wiki")
		w.declare(declaration("wiki", chosen, nil), declaration("shop", "", oauth.Settings{"kind": "spa"}))
		if n := w.changes("wiki"); n != created || created == 0 {
			t.Errorf("%d audit events, and %d after the same declaration", created, n)
		}
		w.declare(declaration("wiki", chosen+"2", oauth.Settings{"name": "Wiki"}), declaration("shop", "", oauth.Settings{"kind": "spa"}))
		got, err := w.Clients.Get(t.Context(), "wiki")
		w.ok(err)
		if got.Name != "Wiki" || !got.Declared || w.works(wiki, chosen) || !w.works(wiki, chosen+"2") {
			t.Errorf("%+v", got)
		}
		for _, err := range []error{
			func() error {
				_, err := w.Clients.Update(t.Context(), system, "wiki", oauth.Settings{"name": "x"})
				return err
			}(),
			func() error { _, _, err := w.Clients.AddSecret(t.Context(), system, "wiki", false); return err }(),
		} {
			w.wants(fault.Conflict, "declared_client", err)
		}
		// A suspension is an administrator's, in an emergency.
		_, err = w.Clients.Update(t.Context(), system, "wiki", oauth.Settings{"status": "suspended"})
		w.ok(err)
		w.declare(declaration("wiki", chosen+"2", oauth.Settings{"name": "Wiki"}), declaration("shop", "", oauth.Settings{"kind": "spa"}))
		if w.works(wiki, chosen+"2") {
			t.Error("a declaration activates a suspended client")
		}
	})
}

func TestAClientThatIsNotDeclaredAnyMoreStays(t *testing.T) {
	each(t, func(w *world) {
		w.declare(declaration("wiki", chosen, nil))
		if released := w.declare(); len(released) != 1 || released[0] != "wiki" {
			t.Errorf("released %v", released)
		}
		if released := w.declare(); len(released) != 0 {
			t.Errorf("released again %v", released)
		}
		if !w.works(oauth.Client{ID: "wiki"}, chosen) {
			t.Error("the client does not work any more")
		}
		_, err := w.Clients.Update(t.Context(), system, "wiki", oauth.Settings{"name": "x"})
		w.ok(err)
		w.declare(declaration("wiki", chosen, nil))
		if got, err := w.Clients.Get(t.Context(), "wiki"); err != nil || !got.Declared || got.Name != "app.example" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// RFC 9700 section 4.15: a client_id is no id of a user.
func TestADeclaredClientIDIsOfNothingElse(t *testing.T) {
	each(t, func(w *world) {
		user := w.user("ada", identity.Viewer, "default")
		_, wrong, err := w.Clients.Declare(t.Context(), []client.Declared{declaration(user.ID, chosen, nil)})
		w.ok(err)
		if len(wrong[0]) != 1 || wrong[0][0].Name != "client_id" {
			t.Errorf("%v", wrong)
		}
		wrong = w.Clients.CheckDeclared([]client.Declared{
			declaration("pico-bot", chosen, nil), declaration("https://auth.example", chosen, nil), declaration("", chosen, nil), declaration("two words", chosen, nil),
			declaration("urn:pico-auth:client:first-party", chosen, nil), declaration("fine", chosen, nil), declaration("fine", chosen, nil), declaration("none", "", nil),
			declaration("public", chosen, oauth.Settings{"kind": "spa"}), declaration("good", chosen, nil), declaration("bad", chosen, oauth.Settings{"role": "boss", "scopes": "x"}),
		})
		for i, fields := range map[int]int{0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 6: 1, 7: 1, 8: 1, 10: 2} {
			if len(wrong[i]) != fields {
				t.Errorf("entry %d: %v", i, wrong[i])
			}
		}
		if len(wrong) != 9 {
			t.Errorf("%v", wrong)
		}
	})
}
