package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func TestServiceTokensFromCreationToRevocation(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.OrgAdmin, "default")
	const path = "/api/v1/auth/service-tokens"
	created := r.want(http.StatusOK, r.call("POST", path, admin, `{"name":"nightly billing/1","description":"invoices"}`))
	wantFields(t, created, "id", "name", "token", "already_exists")
	value := created.text("token")
	if !strings.HasPrefix(value, "pico_svc_") || created.body["already_exists"] != false {
		t.Errorf("%s", created.raw)
	}
	again := r.want(http.StatusOK, r.call("POST", path, admin, `{"name":"nightly billing/1"}`))
	wantFields(t, again, "id", "name", "already_exists")
	if again.text("id") != created.text("id") || again.body["already_exists"] != true {
		t.Errorf("%s", again.raw)
	}

	list := r.want(http.StatusOK, r.call("GET", path, admin, ""))
	wantFields(t, list, "tokens", "total")
	wantFields(t, response{body: list.body["tokens"].([]any)[0].(map[string]any)}, "id", "name", "role", "org_id", "description", "owner_id", "created_at", "expires_at", "last_used_at")
	if strings.Contains(string(list.raw), value) {
		t.Error("the list has the secret")
	}

	valid := r.want(http.StatusOK, r.call("POST", path+"/validate", "", fmt.Sprintf(`{"token":%q}`, value)))
	wantFields(t, valid, "valid", "name", "role", "org_id")
	if valid.body["valid"] != true || valid.text("role") != "operator" || valid.text("org_id") != "default" {
		t.Errorf("%s", valid.raw)
	}

	wantFields(t, r.want(http.StatusOK, r.call("DELETE", path+"/nightly%20billing%2f1", admin, "")), "message")
	r.want(http.StatusNotFound, r.call("DELETE", path+"/nightly%20billing%2f1", admin, ""))
	for _, token := range []string{value, "", "pico_svc_", "\u0000", strings.Repeat("x", 50_000)} {
		a := r.want(http.StatusOK, r.call("POST", path+"/validate", "", toJSON(t, map[string]string{"token": token})))
		if string(a.raw) != `{"valid":false}`+"\n" {
			t.Errorf("%s", a.raw)
		}
	}
}

func TestServiceTokenRefusals(t *testing.T) {
	r := newRig(t)
	admin, root := r.as(identity.OrgAdmin, "default"), r.as(identity.Superadmin, "default")
	const path = "/api/v1/auth/service-tokens"
	for _, c := range []struct {
		bearer, body string
		status       int
	}{
		{admin, `{"name":"a","role":"superadmin"}`, 403},
		{admin, `{"name":"a","org_id":"other"}`, 404},
		{admin, `{"name":""}`, 422},
		{admin, `{"name":"a","role":"emperor"}`, 422},
		{admin, `{"name":"a","description":"` + strings.Repeat("x", 501) + `"}`, 422},
		{admin, `{"name":"` + strings.Repeat("x", 256) + `"}`, 422},
		{admin, `{}`, 422},
		{root, `{"name":"a","role":"superadmin","org_id":"other"}`, 200},
	} {
		if a := r.call("POST", path, c.bearer, c.body); a.status != c.status {
			t.Errorf("%s: %d %s", c.body, a.status, a.raw)
		}
	}
	// One of another organization is not found, and its name is free in this one.
	r.want(http.StatusNotFound, r.call("DELETE", path+"/a", admin, ""))
	r.want(http.StatusNotFound, r.call("DELETE", path+"/a?org_id=other", admin, ""))
	if a := r.want(http.StatusOK, r.call("POST", path, admin, `{"name":"a"}`)); a.text("token") == "" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("DELETE", path+"/a?org_id=other", root, ""))
	r.want(http.StatusNotFound, r.call("DELETE", path+"/a?org_id=other", root, ""))
	r.want(http.StatusOK, r.call("DELETE", path+"/a", root, ""))
	for _, body := range []string{`{}`, `"x"`, `{"token":5}`} {
		r.want(http.StatusUnprocessableEntity, r.call("POST", path+"/validate", "", body))
	}
}

func TestRevokedTokensAreListedUntilTheyExpire(t *testing.T) {
	r := newRig(t)
	service := r.serviceToken()
	if a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/revoked-jtis", service, "")); string(a.raw) != `{"items":[]}`+"\n" {
		t.Errorf("%s", a.raw)
	}
	access, _ := r.session(r.user(identity.Viewer, "default"))
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/logout", access, ""))
	a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/revoked-jtis", service, ""))
	wantFields(t, a, "items")
	if got := names(t, a, "items", "jti"); !slices.Contains(got, claim(t, access, "jti")) {
		t.Errorf("%s", a.raw)
	}
}
