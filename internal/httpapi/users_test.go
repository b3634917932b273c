package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// names are the values of that field of all elements of a list.
func names(t *testing.T, a response, list, member string) []string {
	t.Helper()
	things, ok := a.body[list].([]any)
	if !ok {
		t.Fatalf("no %s in %s", list, a.raw)
	}
	out := []string{}
	for _, thing := range things {
		out = append(out, thing.(map[string]any)[member].(string))
	}
	return out
}

func TestUsersAreListedByOrganizationAndPage(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	admin := r.as(identity.OrgAdmin, "other")
	for range 4 {
		r.user(identity.Viewer, "other")
	}
	all := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users", root, ""))
	wantFields(t, all, "users", "total")
	wantFields(t, response{body: all.body["users"].([]any)[0].(map[string]any)}, "id", "email", "display_name", "role", "org_id", "status", "last_login_at")
	if all.body["total"] != float64(6) || len(all.body["users"].([]any)) != 6 {
		t.Errorf("%s", all.raw)
	}
	for _, path := range []string{"?org_id=other", "?org_id=other&utm_source=x&utm_source=y"} {
		if a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users"+path, root, "")); a.body["total"] != float64(5) {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
	if a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users", admin, "")); a.body["total"] != float64(5) {
		t.Errorf("%s", a.raw)
	}

	seen := map[string]bool{}
	path := "/api/v1/auth/users?limit=2"
	for pages := 0; ; pages++ {
		a := r.want(http.StatusOK, r.call("GET", path, root, ""))
		for _, id := range names(t, a, "users", "id") {
			if seen[id] {
				t.Errorf("duplicate %s", id)
			}
			seen[id] = true
		}
		next := a.text("next_cursor")
		if next == "" {
			if _, there := a.body["next_cursor"]; there || pages != 2 {
				t.Errorf("page %d: %s", pages, a.raw)
			}
			break
		}
		path = "/api/v1/auth/users?limit=2&cursor=" + url.QueryEscape(next)
	}
	if len(seen) != 6 {
		t.Errorf("%d users on the pages", len(seen))
	}
}

func TestOneUserIsFoundByEmail(t *testing.T) {
	r := newRig(t)
	root, user := r.as(identity.Superadmin, "default"), r.user(identity.Viewer, "other")
	for _, email := range []string{user.Email, strings.ToUpper(user.Email)} {
		a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users?email="+url.QueryEscape(email), root, ""))
		if got := names(t, a, "users", "id"); len(got) != 1 || got[0] != user.ID {
			t.Errorf("%s: %s", email, a.raw)
		}
	}
	for _, email := range []string{"nobody@example.com", "%00", "'--"} {
		a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users?email="+email, root, ""))
		if string(a.raw) != `{"users":[],"total":0}`+"\n" {
			t.Errorf("%s: %s", email, a.raw)
		}
	}
	// Users of another organization are not found.
	admin := r.as(identity.OrgAdmin, "default")
	a := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/users?email="+url.QueryEscape(user.Email), admin, ""))
	if len(names(t, a, "users", "id")) != 0 {
		t.Errorf("%s", a.raw)
	}
}

func TestBadQueriesAreRefused(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for _, list := range []string{"/api/v1/auth/users", "/api/v1/groups", "/api/v1/auth/service-tokens"} {
		for _, query := range []string{
			"limit=0", "limit=-1", "limit=1001", "limit=x", "limit=1.5", "limit=99999999999999999999", "limit=", "limit=1&limit=2",
			"cursor=", "cursor=nonsense", "cursor=%00", "cursor=%ff", "cursor=a&cursor=b", "cursor=" + strings.Repeat("x", 600),
			"org_id=", "org_id=a&org_id=b", "org_id=%ff", "limit=%zz", "limit=1;cursor=2",
		} {
			a := r.call("GET", list+"?"+query, root, "")
			field, value, _ := strings.Cut(query, "=")
			want := `"location":"query.` + field + `"`
			if value == "%zz" || strings.Contains(value, ";") {
				want = `"location":"query"`
			}
			if a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.raw), want) {
				t.Errorf("%s?%s: %d %s", list, query, a.status, a.raw)
			}
		}
	}
	r.want(http.StatusUnprocessableEntity, r.call("GET", "/api/v1/auth/users?email=", root, ""))
}

func TestInvalidIdsAreNotFound(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for _, id := range []string{strings.Repeat("a", 37), "%00", "%ff", "%20", "a%2fb", "%e2%80%ae", "..%2f..", "'--", "nobody"} {
		for _, c := range []struct{ method, path, body string }{
			{"PUT", "/api/v1/auth/users/%s/role", `"viewer"`},
			{"PUT", "/api/v1/auth/users/%s/status", `{"status":"active"}`},
			{"PUT", "/api/v1/auth/users/%s/password", `{"new_password":"staple the other horse"}`},
			{"DELETE", "/api/v1/auth/users/%s", ""},
			{"GET", "/api/v1/groups/%s", ""},
			{"PUT", "/api/v1/groups/%s", `{"name":"x"}`},
			{"DELETE", "/api/v1/groups/%s", ""},
			{"POST", "/api/v1/groups/%s/members", `"x"`},
			{"DELETE", "/api/v1/groups/%s/members/x", ""},
			{"DELETE", "/api/v1/auth/service-tokens/%s", ""},
		} {
			path := strings.ReplaceAll(c.path, "%s", id)
			if a := r.call(c.method, path, root, c.body); a.status != http.StatusNotFound || a.text("error") != "not_found" {
				t.Errorf("%s %s: %d %s", c.method, path, a.status, a.raw)
			}
		}
	}
}

func TestAdministratorsCreateUsers(t *testing.T) {
	r := newRig(t)
	root, admin := r.as(identity.Superadmin, "default"), r.as(identity.OrgAdmin, "other")
	create := func(bearer, extra string) response {
		return r.call("POST", "/api/v1/auth/users", bearer,
			fmt.Sprintf(`{"email":"%s@example.com","password":%q%s}`, uuid.NewString(), testPassword, extra))
	}
	a := r.want(http.StatusOK, create(root, `,"role":"org_admin","org_id":"brand-new","display_name":"P"`))
	wantFields(t, a, "id", "email", "role", "status")
	if a.text("role") != "org_admin" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusOK, create(admin, "")); a.text("role") != "viewer" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, create(admin, `,"org_id":"other"`))
	r.want(http.StatusForbidden, create(admin, `,"role":"superadmin"`))
	r.want(http.StatusNotFound, create(admin, `,"org_id":"default"`))
	r.want(http.StatusUnprocessableEntity, create(root, `,"role":"emperor"`))
	r.want(http.StatusUnprocessableEntity, create(root, `,"org_id":"a b"`))
}

func TestRoleStatusPasswordAndDeletion(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	user := r.user(identity.Viewer, "default")
	path := "/api/v1/auth/users/" + user.ID
	for _, body := range []string{`"operator"`, `{"role":"operator"}`} {
		a := r.want(http.StatusOK, r.call("PUT", path+"/role", root, body))
		wantFields(t, a, "id", "email", "role")
		if a.text("id") != user.ID || a.text("role") != "operator" {
			t.Errorf("%s", a.raw)
		}
	}
	for _, body := range []string{`"emperor"`, `""`, `{"role":null}`, `{"role":"viewer","x":1}`, `5`} {
		r.want(http.StatusUnprocessableEntity, r.call("PUT", path+"/role", root, body))
	}

	access, refresh := r.session(user)
	a := r.want(http.StatusOK, r.call("PUT", path+"/status", root, `{"status":"suspended"}`))
	wantFields(t, a, "id", "email", "status")
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", access, ""))
	r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))
	r.want(http.StatusUnprocessableEntity, r.call("PUT", path+"/status", root, `{"status":"asleep"}`))
	r.want(http.StatusUnprocessableEntity, r.call("PUT", path+"/status", root, `"active"`))
	r.want(http.StatusOK, r.call("PUT", path+"/status", root, `{"status":"active"}`))

	_, refresh = r.session(user)
	wantFields(t, r.want(http.StatusOK, r.call("PUT", path+"/password", root, `{"new_password":"staple the other horse"}`)), "message")
	r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh)))

	wantFields(t, r.want(http.StatusOK, r.call("DELETE", path, root, "")), "message")
	r.want(http.StatusNotFound, r.call("DELETE", path, root, ""))
}

func TestLastSuperadminStays(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Superadmin, "default")
	root, _ := r.session(user)
	path := "/api/v1/auth/users/" + user.ID
	for _, a := range []response{
		r.call("PUT", path+"/role", root, `"viewer"`),
		r.call("PUT", path+"/status", root, `{"status":"suspended"}`),
		r.call("DELETE", path, root, ""),
	} {
		if a.status != http.StatusConflict || a.text("error") != "last_superadmin" {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
}

func TestOrgAdminNeverTouchesASuperadmin(t *testing.T) {
	r := newRig(t)
	r.user(identity.Superadmin, "default")
	target, admin := r.user(identity.Superadmin, "default"), r.as(identity.OrgAdmin, "default")
	path := "/api/v1/auth/users/" + target.ID
	for _, a := range []response{
		r.call("PUT", path+"/role", admin, `"viewer"`),
		r.call("PUT", path+"/status", admin, `{"status":"suspended"}`),
		r.call("PUT", path+"/password", admin, `{"new_password":"staple the other horse"}`),
		r.call("DELETE", path, admin, ""),
		r.call("PUT", "/api/v1/auth/users/"+r.user(identity.Viewer, "default").ID+"/role", admin, `"superadmin"`),
	} {
		if a.status != http.StatusForbidden || a.text("error") != "forbidden" {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
}

func TestRegistrationSwitch(t *testing.T) {
	r := newRig(t)
	root, admin := r.as(identity.Superadmin, "default"), r.as(identity.OrgAdmin, "default")
	const path = "/api/v1/auth/users/registration"
	if a := r.want(http.StatusOK, r.call("GET", path, admin, "")); string(a.raw) != `{"registration_enabled":true}`+"\n" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusForbidden, r.call("PUT", path, admin, `{"enabled":false}`))
	for _, body := range []string{`{}`, `{"enabled":"false"}`, `{"enabled":0}`, `{"enabled":null}`, `false`} {
		r.want(http.StatusUnprocessableEntity, r.call("PUT", path, root, body))
	}
	if a := r.want(http.StatusOK, r.call("PUT", path, root, `{"enabled":false}`)); string(a.raw) != `{"registration_enabled":false}`+"\n" {
		t.Errorf("%s", a.raw)
	}
	a := r.want(http.StatusForbidden, r.call("POST", "/api/v1/auth/register", "", `{"email":"a@example.com","password":"secret123"}`))
	if a.text("error") != "registration_disabled" {
		t.Errorf("%s", a.raw)
	}
}
