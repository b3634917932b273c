package client_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

func (w *world) works(c oauth.Client, secret string) bool {
	w.t.Helper()
	_, err := w.Clients.Authenticate(w.t.Context(), remote, with(oauth.AuthSecretBasic, c.ID, secret))
	return err == nil
}

// wants expects a fault of the kind and code.
func (w *world) wants(kind fault.Kind, code string, err error) {
	w.t.Helper()
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != kind || f.Code != code {
		w.t.Errorf("%v, not %d %s", err, kind, code)
	}
}

func TestTwoSecretsAreValidDuringARotation(t *testing.T) {
	each(t, func(w *world) {
		c, first := w.client(nil)
		_, second, err := w.Clients.AddSecret(t.Context(), system, c.ID, false)
		w.ok(err)
		if !w.works(c, first) || !w.works(c, second) {
			t.Error("one of two secrets does not work")
		}
		w.Clock.Advance(time.Second)
		third, thirdSecret, err := w.Clients.AddSecret(t.Context(), system, c.ID, false)
		w.ok(err)
		if w.works(c, first) || !w.works(c, second) || !w.works(c, thirdSecret) {
			t.Error("after a second rotation the oldest secret works, or one of the others does not")
		}
		d, err := w.Clients.Show(t.Context(), system, c.ID)
		w.ok(err)
		if len(d.Secrets) != 2 || d.Secrets[1].ID != third.ID {
			t.Fatalf("%+v", d.Secrets)
		}
		w.ok(w.Clients.RemoveSecret(t.Context(), system, c.ID, d.Secrets[0].ID))
		if w.works(c, second) || !w.works(c, thirdSecret) {
			t.Error("the removed secret works, or the other does not")
		}
		w.wants(fault.Conflict, "last_client_secret", w.Clients.RemoveSecret(t.Context(), system, c.ID, third.ID))
		w.wants(fault.NotFound, "not_found", w.Clients.RemoveSecret(t.Context(), system, c.ID, d.Secrets[0].ID))
	})
}

func TestARotationThatRevokesLeavesTheNewSecretOnly(t *testing.T) {
	each(t, func(w *world) {
		c, first := w.client(nil)
		_, second, err := w.Clients.AddSecret(t.Context(), system, c.ID, true)
		w.ok(err)
		got, err := w.Clients.Get(t.Context(), c.ID)
		w.ok(err)
		if w.works(c, first) || !w.works(c, second) || !got.NotBefore.Equal(w.Clock.Now().Truncate(time.Microsecond)) {
			t.Errorf("not before %v", got.NotBefore)
		}
		public, _ := w.client(oauth.Settings{"kind": "spa"})
		_, _, err = w.Clients.AddSecret(t.Context(), system, public.ID, false)
		w.wants(fault.Conflict, "no_client_secret", err)
	})
}

func TestASuspendedClientIsRefusedAndRevivedWithoutItsTokens(t *testing.T) {
	each(t, func(w *world) {
		c, secret := w.client(nil)
		got, err := w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"status": "suspended"})
		w.ok(err)
		if !got.Suspended || got.NotBefore.IsZero() || w.works(c, secret) {
			t.Errorf("%+v", got)
		}
		got, err = w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"status": "active"})
		w.ok(err)
		if got.Suspended || got.NotBefore.IsZero() || !w.works(c, secret) {
			t.Errorf("%+v", got)
		}
		for _, status := range []any{"other", "", 1, nil} {
			_, err = w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"status": status})
			w.wants(fault.Invalid, "validation_failed", err)
		}
	})
}

func TestUpdateChangesTheGivenFieldsOnly(t *testing.T) {
	each(t, func(w *world) {
		c, secret := w.client(oauth.Settings{"claims": map[string]any{"a": map[string]any{"path": "admin.a"}}})
		got, err := w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{
			"name": "New", "claims": map[string]any{"b": map[string]any{"value": 1}}, "require_pkce": false,
		})
		w.ok(err)
		if got.Name != "New" || got.RequirePKCE || len(got.Claims) != 1 || len(got.RedirectURIs) != 1 || !w.works(c, secret) {
			t.Errorf("%+v", got)
		}
		for _, s := range []oauth.Settings{
			{"kind": "spa"},
			{"client_id": "x"},
			{"org_id": "acme"},
			{"unknown": 1},
			{"Name": "x"},
			{"name": ""},
			{"name": 7},
			{"redirect_uris": []string{}},
			{"redirect_uris": []string{"https://app.example/#"}},
			{"created_by": "x"},
		} {
			_, err := w.Clients.Update(t.Context(), system, c.ID, s)
			t.Log(s)
			w.wants(fault.Invalid, "validation_failed", err)
		}
		public, err := w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"token_endpoint_auth_method": "none", "require_pkce": true})
		w.ok(err)
		if d, err := w.Clients.Show(t.Context(), system, c.ID); err != nil || len(d.Secrets) != 0 || !public.Public() {
			t.Errorf("a public client keeps its secrets: %+v, %v", d.Secrets, err)
		}
		w.ok(w.Clients.Delete(t.Context(), system, c.ID))
		_, err = w.Clients.Get(t.Context(), c.ID)
		w.wants(fault.NotFound, "not_found", err)
	})
}

// Every fault is named at once, so that a client is not registered by trial and error.
func TestAllFaultsOfAClientAreNamedAtOnce(t *testing.T) {
	w := &world{testrig.Open(t), t}
	_, _, err := w.Clients.Create(t.Context(), system, oauth.Settings{
		"kind": "web", "name": "\x00", "redirect_uris": []string{"javascript:x"}, "grant_types": []string{"password"}, "scopes": []string{"a b"},
		"audiences": []string{"x"}, "role": "boss", "allowed_roles": []string{"boss"}, "allowed_groups": []string{""}, "id_token_signed_response_alg": "none",
		"access_token_lifetime": 5, "refresh_token_lifetime": -1, "refresh_reuse_grace_seconds": 61, "allowed_origins": []string{"https://a.example/"},
		"claims": map[string]any{"sub": map[string]any{"value": "root"}}, "logo_uri": "https://a.example/logo.png", "policy_uri": "javascript:x",
		"frontchannel_logout_uri": "https://other.example/", "backchannel_logout_uri": "http://a.example/", "jwks": map[string]any{}, "surprise": true, "client_id": "mine",
	})
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, field := range f.Fields {
		found[field.Name] = true
		if !strings.HasPrefix(field.Message, field.Name) {
			t.Errorf("%s: %s", field.Name, field.Message)
		}
	}
	for name := range strings.FieldsSeq(`name redirect_uris grant_types scopes audiences role allowed_roles allowed_groups id_token_signed_response_alg
		access_token_lifetime refresh_token_lifetime refresh_reuse_grace_seconds allowed_origins claims logo_uri policy_uri frontchannel_logout_uri
		backchannel_logout_uri jwks surprise client_id`) {
		if !found[name] {
			t.Errorf("%s is not named: %v", name, found)
		}
	}
}

func TestWhoMayCreateWhichClient(t *testing.T) {
	each(t, func(w *world) {
		root := w.user("root", identity.Superadmin, "default")
		boss := w.user("boss", identity.OrgAdmin, "acme")
		viewer := w.user("viewer", identity.Viewer, "acme")
		st, _, err := w.Tokens.CreateServiceToken(t.Context(), system, newServiceToken("ci", "superadmin"))
		w.ok(err)
		service := identity.Actor{Kind: identity.ActorServiceToken, ID: st.ID}
		create := func(by identity.Actor, s oauth.Settings) (oauth.Client, error) {
			settings := oauth.Settings{"kind": "web", "redirect_uris": []string{callback}}
			maps.Copy(settings, s)
			c, _, err := w.Clients.Create(t.Context(), by, settings)
			return c, err
		}
		for _, by := range []identity.Actor{{}, remote, viewer, service, {Kind: identity.ActorClient, ID: "x"}} {
			_, err := create(by, oauth.Settings{"org_id": "acme"})
			w.wants(fault.Forbidden, "forbidden", err)
		}
		own, err := create(boss, nil)
		w.ok(err)
		if own.OrgID != "acme" || own.Role != string(identity.OrgAdmin) || own.CreatedBy != boss.ID {
			t.Errorf("%+v", own)
		}
		all, err := create(root, nil)
		w.ok(err)
		if all.OrgID != "" || all.Role != string(identity.Superadmin) {
			t.Errorf("%+v", all)
		}
		_, err = create(boss, oauth.Settings{"org_id": "default"})
		w.wants(fault.NotFound, "not_found", err)
		_, err = create(root, oauth.Settings{"org_id": "unknown"})
		w.wants(fault.NotFound, "not_found", err)
		for _, power := range []oauth.Settings{
			{"first_party": true}, {"scopes": []string{"openid", "account"}}, {"scopes": []string{"admin"}}, {"audiences": []string{testrig.Audience}}, {"role": "superadmin"},
		} {
			_, err := create(boss, power)
			w.wants(fault.Forbidden, "forbidden", err)
			power["org_id"] = "acme"
			mighty, err := create(root, power)
			w.ok(err)
			// One who could not create it must not be able to take it over.
			_, err = w.Clients.Update(t.Context(), boss, mighty.ID, oauth.Settings{"redirect_uris": []string{"https://evil.example/"}})
			w.wants(fault.Forbidden, "forbidden", err)
			_, _, err = w.Clients.AddSecret(t.Context(), boss, mighty.ID, false)
			w.wants(fault.Forbidden, "forbidden", err)
			delete(power, "org_id")
			_, err = w.Clients.Update(t.Context(), boss, own.ID, power)
			w.wants(fault.Forbidden, "forbidden", err)
		}
		for _, by := range []identity.Actor{boss, viewer} {
			kind := fault.NotFound
			if by == viewer {
				kind = fault.Forbidden
			}
			for _, err := range []error{
				w.Clients.Delete(t.Context(), by, all.ID), w.Clients.RevokeTokens(t.Context(), by, all.ID), w.Clients.RemoveSecret(t.Context(), by, all.ID, "x"),
			} {
				if fault.KindOf(err) != kind {
					t.Errorf("%v", err)
				}
			}
			if _, err := w.Clients.Show(t.Context(), by, all.ID); fault.KindOf(err) != kind {
				t.Errorf("%v", err)
			}
		}
		page, err := w.Clients.List(t.Context(), boss, client.Filter{})
		w.ok(err)
		for _, c := range page.Items {
			if c.OrgID != "acme" {
				t.Errorf("an org_admin sees %+v", c)
			}
		}
		if page, err = w.Clients.List(t.Context(), root, client.Filter{Limit: 2}); err != nil || len(page.Items) != 2 || page.Total != 7 || page.Next == "" {
			t.Errorf("%d of %d, %v", len(page.Items), page.Total, err)
		}
	})
}

// Nothing else limits what a client may do without a user.
func TestAClientWithTokensOfItsOwnHasTheWeakestRoleUnlessAnotherIsGiven(t *testing.T) {
	each(t, func(w *world) {
		both := []string{oauth.GrantCode, oauth.GrantClientCredentials}
		root, boss := w.user("root", identity.Superadmin, "default"), w.user("boss", identity.OrgAdmin, "acme")
		create := func(by identity.Actor, s oauth.Settings) oauth.Client {
			w.t.Helper()
			c, _, err := w.Clients.Create(t.Context(), by, s)
			w.ok(err)
			return c
		}
		web := func(more oauth.Settings) oauth.Settings {
			s := oauth.Settings{"kind": "web", "redirect_uris": []string{callback}}
			maps.Copy(s, more)
			return s
		}
		for _, c := range []struct {
			by   identity.Actor
			s    oauth.Settings
			want identity.Role
		}{
			{system, oauth.Settings{"kind": "machine"}, identity.Viewer},
			{root, oauth.Settings{"kind": "machine", "scopes": []string{"admin"}, "org_id": "acme"}, identity.Viewer},
			{boss, oauth.Settings{"kind": "machine"}, identity.Viewer},
			{root, web(oauth.Settings{"grant_types": both}), identity.Viewer},
			{root, oauth.Settings{"kind": "machine", "role": "operator"}, identity.Operator},
			{root, web(nil), identity.Superadmin},
			{root, web(oauth.Settings{"org_id": "acme"}), identity.OrgAdmin},
		} {
			if got := create(c.by, c.s); got.Role != string(c.want) {
				t.Errorf("%v has the role %s, want %s", c.s, got.Role, c.want)
			}
		}
		update := func(id string, s oauth.Settings) string {
			w.t.Helper()
			c, err := w.Clients.Update(t.Context(), root, id, s)
			w.ok(err)
			return c.Role
		}
		first, second := create(root, web(nil)), create(root, web(nil))
		if got := update(first.ID, oauth.Settings{"grant_types": both}); got != "viewer" {
			t.Errorf("a client that newly acts for itself has the role %s", got)
		}
		if got := update(second.ID, oauth.Settings{"grant_types": both, "role": "org_admin"}); got != "org_admin" {
			t.Errorf("the role that was given is %s", got)
		}
		if got := update(second.ID, oauth.Settings{"grant_types": both, "name": "Second"}); got != "org_admin" {
			t.Errorf("another change makes the role %s", got)
		}
		w.declare(client.Declared{Settings: oauth.Settings{"client_id": "job", "kind": "machine"}, Secret: chosen})
		if got, err := w.Clients.Get(t.Context(), "job"); err != nil || got.Role != "viewer" {
			t.Errorf("declared: %s, %v", got.Role, err)
		}
	})
}

func TestClientsAreChangedAfterARecentSignInOnly(t *testing.T) {
	each(t, func(w *world) {
		root := w.user("root", identity.Superadmin, "default")
		c, _ := w.client(nil)
		_, err := w.Clients.Update(t.Context(), root, c.ID, oauth.Settings{"name": "x"})
		w.wants(fault.Unauthenticated, "reauthentication_required", err)
		if _, err := w.Clients.Show(t.Context(), root, c.ID); err != nil {
			t.Error(err)
		}
	}, func(c *testrig.Config) { c.MaxAge = time.Minute })
}

func TestAnOrganizationWithClientsIsNotDeleted(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.Directory.CreateOrganization(t.Context(), system, directory.NewOrganization{ID: "acme", Name: "Acme"})
		w.ok(err)
		c, _ := w.client(oauth.Settings{"org_id": "acme"})
		w.wants(fault.Conflict, "organization_not_empty", w.Directory.DeleteOrganization(t.Context(), system, "acme"))
		w.suspendOrganization("acme")
		if got, err := w.Clients.Get(t.Context(), c.ID); err != nil || got.NotBefore.IsZero() {
			t.Errorf("the tokens of a client survive the suspension of its organization: %+v, %v", got, err)
		}
		w.ok(w.Clients.Delete(t.Context(), system, c.ID))
		w.ok(w.Directory.DeleteOrganization(t.Context(), system, "acme"))
	})
}

func TestGroupsOfAClientAreOfItsOrganization(t *testing.T) {
	each(t, func(w *world) {
		w.user("boss", identity.OrgAdmin, "acme")
		ours, err := w.Directory.CreateGroup(t.Context(), system, directory.NewGroup{Name: "ours", OrgID: "acme"})
		w.ok(err)
		theirs, err := w.Directory.CreateGroup(t.Context(), system, directory.NewGroup{Name: "theirs", OrgID: "default"})
		w.ok(err)
		c, _ := w.client(oauth.Settings{"org_id": "acme", "allowed_groups": []string{ours.ID}})
		for _, id := range []string{theirs.ID, "nothing"} {
			_, err := w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"allowed_groups": []string{id}})
			w.wants(fault.Invalid, "validation_failed", err)
		}
	})
}

func TestAClientSurvivesItsStorage(t *testing.T) {
	each(t, func(w *world) {
		const logo = "data:image/png;base64,iVBORw0KGgo="
		c, _ := w.client(oauth.Settings{
			"logo_uri": logo, "claims": map[string]any{"tier": map[string]any{"value": map[string]any{"a": []int{1}}}}, "tos_uri": "https://app.example/tos",
			"audiences": []string{"https://api.example"}, "access_token_lifetime": 60,
		})
		got, err := w.Clients.Get(t.Context(), c.ID)
		w.ok(err)
		a, _ := json.Marshal(c)
		b, _ := json.Marshal(got)
		if string(a) != string(b) || got.LogoURI != logo {
			t.Errorf("stored %s\nread   %s", a, b)
		}
	})
}

// Where auth.audience is the issuer, a client without audiences receives tokens for it.
func TestOnlySuperadminsGiveTheAudienceOfTheServerByDefault(t *testing.T) {
	each(t, func(w *world) {
		boss := w.user("boss", identity.OrgAdmin, "acme")
		clients := client.New(client.Config{Store: w.Store, Audit: w.Audit, Issuer: testrig.Issuer, Audience: testrig.Issuer, Now: w.Clock.Now})
		settings := oauth.Settings{"kind": "web", "redirect_uris": []string{callback}}
		_, _, err := clients.Create(t.Context(), boss, settings)
		w.wants(fault.Forbidden, "forbidden", err)
		settings["audiences"] = []string{"https://api.example"}
		_, _, err = clients.Create(t.Context(), boss, settings)
		w.ok(err)
	})
}

// Otherwise an organization could get tokens for the resource server of another one.
func TestAnOrgAdminTakesNoAudienceOfOthers(t *testing.T) {
	each(t, func(w *world) {
		acme, other := w.user("boss", identity.OrgAdmin, "acme"), w.user("rival", identity.OrgAdmin, "other")
		of := func(audiences ...string) oauth.Settings {
			return oauth.Settings{"redirect_uris": []string{callback}, "audiences": audiences}
		}
		_, _, err := w.Clients.Create(t.Context(), system, of("https://api.everyone.example"))
		w.ok(err)
		own, _, err := w.Clients.Create(t.Context(), acme, of("https://api.acme.example"))
		w.ok(err)
		_, _, err = w.Clients.Create(t.Context(), acme, of("https://api.acme.example", "https://more.acme.example"))
		w.ok(err)
		theirs, _, err := w.Clients.Create(t.Context(), other, of("https://api.other.example"))
		w.ok(err)
		for _, audience := range []string{"https://api.acme.example", "https://api.everyone.example"} {
			_, _, err = w.Clients.Create(t.Context(), other, of("https://api.other.example", audience))
			w.wants(fault.Conflict, "audience_taken", err)
			_, err = w.Clients.Update(t.Context(), other, theirs.ID, oauth.Settings{"audiences": []string{audience}})
			w.wants(fault.Conflict, "audience_taken", err)
		}
		// A superadmin decides otherwise, and what a client has stays.
		_, err = w.Clients.Update(t.Context(), system, theirs.ID, oauth.Settings{"audiences": []string{"https://api.acme.example"}})
		w.ok(err)
		_, err = w.Clients.Update(t.Context(), acme, own.ID, oauth.Settings{"name": "Renamed"})
		w.ok(err)
		_, err = w.Clients.Update(t.Context(), other, theirs.ID, oauth.Settings{"audiences": []string{"https://api.acme.example", "https://new.other.example"}})
		w.ok(err)
	})
}

// An organization would get tokens for what is for the server itself.
func TestOnlySuperadminsGiveTheIssuerAsAnAudience(t *testing.T) {
	each(t, func(w *world) {
		root, boss := w.user("root", identity.Superadmin, "default"), w.user("boss", identity.OrgAdmin, "acme")
		create := func(by identity.Actor, audience string) (oauth.Client, error) {
			c, _, err := w.Clients.Create(t.Context(), by, oauth.Settings{"redirect_uris": []string{callback}, "org_id": "acme", "audiences": []string{audience}})
			return c, err
		}
		const api = "https://api.acme.example"
		own, err := create(boss, api)
		w.ok(err)
		_, _, err = w.Tokens.CreateServiceToken(t.Context(), boss, token.NewServiceToken{Name: "ci"})
		w.ok(err)
		for _, audience := range []string{testrig.Issuer, testrig.Issuer + "/", strings.Replace(testrig.Issuer, "auth", "AUTH", 1)} {
			_, err := create(boss, audience)
			w.wants(fault.Forbidden, "forbidden", err)
			_, err = w.Clients.Update(t.Context(), boss, own.ID, oauth.Settings{"audiences": []string{api, audience}})
			w.wants(fault.Forbidden, "forbidden", err)
			_, _, err = w.Tokens.CreateServiceToken(t.Context(), boss, token.NewServiceToken{Name: "job", Audiences: []string{audience}})
			w.wants(fault.Forbidden, "forbidden", err)
			_, err = w.Tokens.UpdateServiceToken(t.Context(), boss, "", "ci", []string{audience})
			w.wants(fault.Forbidden, "forbidden", err)
		}
		for _, by := range []identity.Actor{root, system} {
			c, err := create(by, testrig.Issuer)
			w.ok(err)
			_, err = w.Clients.Update(t.Context(), boss, c.ID, oauth.Settings{"name": "Renamed", "audiences": []string{testrig.Issuer, api}}) // what it has stays
			w.ok(err)
			_, err = w.Tokens.UpdateServiceToken(t.Context(), by, "acme", "ci", []string{testrig.Issuer})
			w.ok(err)
		}
		w.declare(declaration("wiki", chosen, oauth.Settings{"audiences": []any{testrig.Issuer}})) // by the operator
	})
}

// These name no service, or are names of this server.
func TestTheNamesOfScopesAndOfThisServerAreNoAudiences(t *testing.T) {
	each(t, func(w *world) {
		c, _ := w.client(nil)
		for _, audience := range []string{"account", "admin", "openid", "*", c.ID, identity.FirstPartyClient, identity.FirstPartyClient + "#x", ""} {
			_, err := w.Clients.Update(t.Context(), system, c.ID, oauth.Settings{"audiences": []string{audience}})
			w.wants(fault.Invalid, "validation_failed", err)
			_, _, err = w.Tokens.CreateServiceToken(t.Context(), system, token.NewServiceToken{Name: "x", Audiences: []string{audience}})
			w.wants(fault.Invalid, "validation_failed", err)
			if wrong := w.Clients.CheckDeclared([]client.Declared{declaration("wiki", chosen, oauth.Settings{"audiences": []any{audience}})}); len(wrong[0]) != 1 || wrong[0][0].Name != "audiences" {
				t.Errorf("declared with %q: %v", audience, wrong)
			}
		}
	})
}
