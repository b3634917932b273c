package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
)

func TestGroupsFromCreationToDeletion(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.OrgAdmin, "default")
	created := r.want(http.StatusOK, r.call("POST", "/api/v1/groups", admin, `{"name":"on-call","description":"pager"}`))
	wantFields(t, created, "id", "name", "org_id")
	if created.text("name") != "on-call" || created.text("org_id") != "default" {
		t.Errorf("%s", created.raw)
	}
	path := "/api/v1/groups/" + created.text("id")
	if a := r.want(http.StatusConflict, r.call("POST", "/api/v1/groups", admin, `{"name":" on-call "}`)); a.text("error") != "group_exists" {
		t.Errorf("%s", a.raw)
	}

	list := r.want(http.StatusOK, r.call("GET", "/api/v1/groups", admin, ""))
	wantFields(t, list, "groups", "total")
	wantFields(t, response{body: list.body["groups"].([]any)[0].(map[string]any)}, "id", "name", "description", "org_id")

	detail := r.want(http.StatusOK, r.call("GET", path, admin, ""))
	wantFields(t, detail, "id", "name", "description", "org_id", "members")
	if !strings.Contains(string(detail.raw), `"members":[]`) {
		t.Errorf("%s", detail.raw)
	}

	changed := r.want(http.StatusOK, r.call("PUT", path, admin, `{"description":"night shift"}`))
	wantFields(t, changed, "id", "name", "description")
	if changed.text("name") != "on-call" || changed.text("description") != "night shift" {
		t.Errorf("%s", changed.raw)
	}
	if a := r.want(http.StatusOK, r.call("PUT", path, admin, `{"name":"pager","description":null}`)); a.text("name") != "pager" || a.text("description") != "night shift" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("PUT", path, admin, `{}`))
	if a := r.want(http.StatusOK, r.call("PUT", path, admin, `{"description":""}`)); a.text("description") != "" {
		t.Errorf("%s", a.raw)
	}

	wantFields(t, r.want(http.StatusOK, r.call("DELETE", path, admin, "")), "message")
	r.want(http.StatusNotFound, r.call("GET", path, admin, ""))
	if a := r.want(http.StatusOK, r.call("GET", "/api/v1/groups", admin, "")); string(a.raw) != `{"groups":[],"total":0}`+"\n" {
		t.Errorf("%s", a.raw)
	}
}

func TestGroupRefusals(t *testing.T) {
	r := newRig(t)
	admin := r.as(identity.OrgAdmin, "default")
	path := "/api/v1/groups/" + r.group("default").ID
	for _, name := range []string{`""`, `" "`, `"a\u0000b"`, `"a\nb"`, `"` + strings.Repeat("x", 256) + `"`, `5`, `null`} {
		if a := r.call("POST", "/api/v1/groups", admin, `{"name":`+name+`}`); a.status != http.StatusUnprocessableEntity {
			t.Errorf("create %s: %d %s", name, a.status, a.raw)
		}
		if a := r.call("PUT", path, admin, `{"name":`+name+`}`); a.status != http.StatusUnprocessableEntity && name != "null" {
			t.Errorf("update %s: %d %s", name, a.status, a.raw)
		}
	}
	r.want(http.StatusUnprocessableEntity, r.call("POST", "/api/v1/groups", admin, `{"name":"x","description":"`+strings.Repeat("x", 501)+`"}`))
	r.want(http.StatusUnprocessableEntity, r.call("POST", "/api/v1/groups", admin, `"x"`))
}

func TestMembershipShowsInTheNextToken(t *testing.T) {
	r := newRig(t)
	admin, user := r.as(identity.OrgAdmin, "default"), r.user(identity.Viewer, "default")
	group := r.group("default")
	path := "/api/v1/groups/" + group.ID
	access, refresh := r.session(user)
	if got := claim(t, access, "groups"); got != "[]" {
		t.Errorf("groups %s", got)
	}
	wantFields(t, r.want(http.StatusOK, r.call("POST", path+"/members", admin, fmt.Sprintf("%q", user.ID))), "message")
	if a := r.want(http.StatusConflict, r.call("POST", path+"/members", admin, fmt.Sprintf(`{"user_id":%q}`, user.ID))); a.text("error") != "already_member" {
		t.Errorf("%s", a.raw)
	}
	detail := r.want(http.StatusOK, r.call("GET", path, access, ""))
	member := response{body: detail.body["members"].([]any)[0].(map[string]any)}
	wantFields(t, member, "user_id", "joined_at")
	if member.text("user_id") != user.ID || !strings.HasSuffix(member.text("joined_at"), "Z") {
		t.Errorf("%s", detail.raw)
	}
	a := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))
	if got := claim(t, a.text("access_token"), "groups"); got != fmt.Sprintf("[%s]", group.ID) {
		t.Errorf("groups %s", got)
	}
	wantFields(t, r.want(http.StatusOK, r.call("DELETE", path+"/members/"+user.ID, admin, "")), "message")
	r.want(http.StatusNotFound, r.call("DELETE", path+"/members/"+user.ID, admin, ""))
	// A user of another organization cannot join.
	outsider := r.user(identity.Viewer, "other")
	r.want(http.StatusNotFound, r.call("POST", path+"/members", admin, fmt.Sprintf("%q", outsider.ID)))
	r.want(http.StatusNotFound, r.call("POST", path+"/members", r.as(identity.Superadmin, "default"), fmt.Sprintf("%q", outsider.ID)))
	for _, body := range []string{`""`, `5`, `{}`, `{"user_id":5}`, `{"user":"x"}`} {
		if a := r.call("POST", path+"/members", admin, body); a.status != 422 && a.status != 404 {
			t.Errorf("%s: %d", body, a.status)
		}
	}
}

// claim returns one claim of an access token, unverified.
func claim(t *testing.T, access, name string) string {
	t.Helper()
	_, payload, err := jose.Inspect(access)
	if err != nil {
		t.Fatal(err)
	}
	a := response{}
	decode(t, payload, &a.body)
	return fmt.Sprint(a.body[name])
}

func TestGroupsOfAnotherOrganizationAreNotFound(t *testing.T) {
	r := newRig(t)
	mine, theirs := r.group("default"), r.group("other")
	admin, root := r.as(identity.OrgAdmin, "default"), r.as(identity.Superadmin, "default")
	list := r.want(http.StatusOK, r.call("GET", "/api/v1/groups", root, ""))
	if got := names(t, list, "groups", "id"); len(got) != 1 || got[0] != mine.ID {
		t.Errorf("a superadmin's own organization: %v", got)
	}
	list = r.want(http.StatusOK, r.call("GET", "/api/v1/groups?org_id=other", root, ""))
	if got := names(t, list, "groups", "id"); len(got) != 1 || got[0] != theirs.ID {
		t.Errorf("a superadmin's filter: %v", got)
	}
	for _, list := range []string{"/api/v1/groups", "/api/v1/auth/users", "/api/v1/auth/service-tokens"} {
		r.want(http.StatusNotFound, r.call("GET", list+"?org_id=other", admin, ""))
		r.want(http.StatusOK, r.call("GET", list+"?org_id=default", admin, ""))
	}
	created := r.want(http.StatusOK, r.call("POST", "/api/v1/groups", root, `{"name":"x","org_id":"other"}`))
	if created.text("org_id") != "other" {
		t.Errorf("%s", created.raw)
	}
	r.want(http.StatusNotFound, r.call("POST", "/api/v1/groups", admin, `{"name":"y","org_id":"other"}`))
	r.want(http.StatusNotFound, r.call("GET", "/api/v1/groups/"+theirs.ID, admin, ""))
	r.want(http.StatusOK, r.call("GET", "/api/v1/groups/"+theirs.ID, root, ""))
}
