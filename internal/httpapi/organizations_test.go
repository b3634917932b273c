package httpapi

import (
	"net/http"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestOrganizationsFromCreationToDeletion(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	const path = "/api/v1/organizations"
	a := r.want(http.StatusCreated, r.call("POST", path, root, `{"id":"acme","name":"Acme"}`))
	wantFields(t, a, "id", "name", "status", "created_at")
	if again := r.want(http.StatusConflict, r.call("POST", path, root, `{"id":"acme","name":"Acme"}`)); again.text("error") != "organization_exists" {
		t.Errorf("%s", again.raw)
	}
	for _, body := range []string{`{}`, `{"name":" "}`, `{"name":"A","id":"two words"}`, `{"name":"A","status":"active"}`} {
		r.want(http.StatusUnprocessableEntity, r.call("POST", path, root, body))
	}
	user := r.user(identity.OrgAdmin, "acme")
	access, _ := r.session(user)
	list := r.want(http.StatusOK, r.call("GET", path, access, ""))
	wantFields(t, list, "organizations", "total")
	if got := names(t, list, "organizations", "id"); len(got) != 1 || got[0] != "acme" {
		t.Errorf("an org_admin sees %s", list.raw)
	}
	a = r.want(http.StatusOK, r.call("PATCH", path+"/acme", root, `{"name":"Acme GmbH","status":"suspended"}`))
	if a.text("name") != "Acme GmbH" || a.text("status") != "suspended" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusUnauthorized, r.call("GET", path+"/acme", access, ""))
	r.want(http.StatusOK, r.call("PATCH", path+"/acme", root, `{"status":"active"}`))
	r.want(http.StatusUnauthorized, r.call("GET", path+"/acme", access, "")) // activation revives nothing
	if a := r.want(http.StatusConflict, r.call("DELETE", path+"/acme", root, "")); a.text("error") != "organization_not_empty" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("DELETE", "/api/v1/auth/users/"+user.ID, root, ""))
	r.want(http.StatusOK, r.call("DELETE", path+"/acme", root, ""))
	r.want(http.StatusNotFound, r.call("GET", path+"/acme", root, ""))
	if a := r.want(http.StatusConflict, r.call("DELETE", path+"/default", root, "")); a.text("error") != "default_organization" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusConflict, r.call("PATCH", path+"/default", root, `{"status":"suspended"}`)); a.text("error") != "last_superadmin" {
		t.Errorf("%s", a.raw)
	}
}
