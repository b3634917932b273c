package client_test

import (
	"errors"
	"maps"
	"net/url"
	"testing"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is the services of a rig and the short helpers that tests are written with.
type world struct {
	*testrig.Rig
	t *testing.T
}

// each runs test in a new world on each engine.
func each(t *testing.T, test func(w *world), opts ...testrig.Option) {
	t.Helper()
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) { test(&world{r, t}) }, opts...)
}

var (
	system = identity.Actor{Kind: identity.ActorSystem}
	remote = identity.Actor{Address: "192.0.2.7", Network: "192.0.2.0/24", RequestID: "req-1"}
)

const callback = "https://app.example/callback"

// user stores an active user and returns them as an actor.
func (w *world) user(name string, role identity.Role, org string) identity.Actor {
	w.t.Helper()
	u := identity.User{
		ID: store.NewID(), Email: name + "@example.org", EmailKey: name + "@example.org", DisplayName: name,
		PasswordHash: "hash", Role: role, OrgID: org,
	}
	w.ok(w.Store.CreateUser(w.t.Context(), store.Act{Action: identity.ActionCreateUser, By: system}, u))
	return identity.Actor{Kind: identity.ActorUser, ID: u.ID}
}

// client creates a client of the kind web unless the settings say otherwise.
func (w *world) client(s oauth.Settings) (oauth.Client, string) {
	w.t.Helper()
	settings := oauth.Settings{"kind": "web", "redirect_uris": []string{callback}}
	maps.Copy(settings, s)
	c, secret, err := w.Clients.Create(w.t.Context(), system, settings)
	w.ok(err)
	return c, secret
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused expects an OAuth error of the code.
func (w *world) refused(code oauth.Code, err error) {
	w.t.Helper()
	if refusal, ok := errors.AsType[*oauth.Error](err); !ok || refusal.Code != code {
		w.t.Errorf("%v, not %s", err, code)
	}
}

// with are credentials of the method.
func with(method, id, secret string) oauth.ClientCredentials {
	return oauth.ClientCredentials{Method: method, ClientID: id, Secret: oauth.Secret(secret)}
}

func parsed(t *testing.T, authorization []string, form url.Values) oauth.ClientCredentials {
	t.Helper()
	c, err := oauth.ParseClientCredentials(authorization, form)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) suspendOrganization(id string) {
	w.t.Helper()
	status := string(identity.Suspended)
	_, err := w.Directory.UpdateOrganization(w.t.Context(), system, id, directory.OrganizationChange{Status: &status})
	w.ok(err)
}
