package httpapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/web"
)

// client creates a client of the kind web.
func (r *rig) client(more oauth.Settings) oauth.Client {
	r.t.Helper()
	settings := oauth.Settings{"kind": "web", "redirect_uris": []string{"https://app.example/callback"}}
	maps.Copy(settings, more)
	c, _, err := r.clients.Create(context.Background(), system, settings)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// clientRows are the requests of a route of clients, for clients that different users
// may manage.
func clientRows(route web.Route) (rows []row) {
	for _, target := range []struct {
		about    string
		settings oauth.Settings
	}{
		{"of default", oauth.Settings{"org_id": "default", "role": "viewer"}},
		{"first party, of default", oauth.Settings{"org_id": "default", "role": "viewer", "first_party": true}},
		{"with the role superadmin", oauth.Settings{"org_id": "default", "role": "superadmin", "consent": true}},
		{"of all organizations", oauth.Settings{"role": "viewer"}},
	} {
		switch privileged := len(target.settings) == 3; {
		case route.ID == "list_clients":
			return []row{{route, "", func(*rig) (string, string) { return route.Pattern, "" }}}
		case route.ID == "create_client" && target.settings["org_id"] == nil: // an org_admin creates one of the own organization
			continue
		case route.ID != "create_client" && route.ID != "update_client" && privileged: // as update_client
			continue
		}
		rows = append(rows, row{route, target.about, func(r *rig) (string, string) { return r.clientScene(route, target.settings) }})
	}
	return rows
}

func (r *rig) clientScene(route web.Route, settings oauth.Settings) (path, body string) {
	r.t.Helper()
	if route.ID == "create_client" {
		body = `{"kind":"web","redirect_uris":["https://app.example/callback"]`
		for name, value := range settings {
			body += fmt.Sprintf(`,%q:%#v`, name, value)
		}
		return route.Pattern, body + "}"
	}
	c := r.client(settings)
	secret, _, err := r.clients.AddSecret(context.Background(), system, c.ID, false)
	if err != nil {
		r.t.Fatal(err)
	}
	if route.ID == "update_client" {
		body = `{"name":"Wiki"}`
	}
	return strings.NewReplacer("{client_id}", c.ID, "{id}", secret.ID).Replace(route.Pattern), body
}

func TestClientsFromCreationToDeletion(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	const path = "/api/v1/clients"
	a := r.want(http.StatusCreated, r.call("POST", path, root, `{"kind":"web","redirect_uris":["https://wiki.example/callback"],"claims":{"tier":{"value":{"level":3}}}}`))
	id := a.text("client_id")
	if a.text("client_secret") == "" || a.text("name") != "wiki.example" || a.text("kind") != "web" || a.text("token_endpoint_auth_method") != "client_secret_basic" || id == "" {
		t.Errorf("%s", a.raw)
	}
	one := path + "/" + id
	a = r.want(http.StatusOK, r.call("GET", one, root, ""))
	if strings.Contains(string(a.raw), "client_secret\"") || a.text("status") != "active" || !strings.Contains(string(a.raw), `"claims":{"tier":{"value":{"level":3}}}`) {
		t.Errorf("%s", a.raw)
	}
	a = r.want(http.StatusOK, r.call("PATCH", one, root, `{"name":"Wiki","redirect_uris":["https://wiki.example/cb"],"claims":{},"status":"suspended","require_pkce":false}`))
	if a.text("name") != "Wiki" || a.text("status") != "suspended" || strings.Contains(string(a.raw), "tier") || !strings.Contains(string(a.raw), `"require_pkce":false`) {
		t.Errorf("%s", a.raw)
	}
	a = r.want(http.StatusCreated, r.call("POST", one+"/secrets", root, ""))
	first := a.text("id")
	if a.text("client_secret") == "" {
		t.Errorf("%s", a.raw)
	}
	a = r.want(http.StatusCreated, r.call("POST", one+"/secrets", root, `{"revoke":true}`))
	r.want(http.StatusNotFound, r.call("DELETE", one+"/secrets/"+first, root, ""))
	if a := r.want(http.StatusConflict, r.call("DELETE", one+"/secrets/"+a.text("id"), root, "")); a.text("error") != "last_client_secret" {
		t.Errorf("%s", a.raw)
	}
	wantFields(t, r.want(http.StatusOK, r.call("GET", path, root, "")), "clients", "total")
	r.want(http.StatusOK, r.call("DELETE", one, root, ""))
	r.want(http.StatusNotFound, r.call("GET", one, root, ""))
	r.want(http.StatusNotFound, r.call("GET", path+"/"+uuid.NewString(), root, ""))
}

func TestFaultsOfAClientAreNamedByTheirFields(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for _, body := range []string{
		`{}`, `{"kind":"web"}`, `{"kind":"other","redirect_uris":["https://a.example/"]}`, `{"kind":"web","redirect_uris":["https://a.example/#"]}`,
		`{"kind":"web","redirect_uris":["https://a.example/"],"surprise":1}`, `{"kind":"web","redirect_uris":["https://a.example/"],"client_id":"mine"}`,
		`{"kind":"web","redirect_uris":["https://a.example/"],"Name":"x"}`, `{"kind":"web","redirect_uris":"https://a.example/"}`,
		`{"kind":"web","redirect_uris":["https://a.example/"],"jwks":[1]}`, `{"kind":"web","redirect_uris":["https://a.example/"],"claims":{"sub":{"value":1}}}`,
		`{"kind":"web","redirect_uris":["https://a.example/"],"claims":{"x":{"value":1,"other":2}}}`,
	} {
		a := r.want(http.StatusUnprocessableEntity, r.call("POST", "/api/v1/clients", root, body))
		if a.text("error") != "validation_failed" {
			t.Errorf("%s: %s", body, a.raw)
		}
	}
}
