package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
)

func TestAPatchChangesWhatIsSentAndNullClears(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Viewer, "default")
	access, _ := r.session(user)
	a := r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", access,
		`{"display_name":" Ada L ","given_name":"Ada","birthdate":"0000-12-10","zoneinfo":"Europe/London","locale":"en-GB","picture":"https://example.com/a.png","phone_number":"+44 20 7946 0018","address":{"locality":"London","country":"GB"}}`))
	if got := a.body["address"]; !reflect.DeepEqual(got, map[string]any{"locality": "London", "country": "GB"}) {
		t.Errorf("address: %v", got)
	}
	for field, want := range map[string]string{
		"display_name": "Ada L", "given_name": "Ada", "birthdate": "0000-12-10", "zoneinfo": "Europe/London", "locale": "en-GB", "picture": "https://example.com/a.png",
		"phone_number": "+44 20 7946 0018",
	} {
		if a.text(field) != want {
			t.Errorf("%s: %s", field, a.raw)
		}
	}
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", access, `{"given_name":null,"birthdate":"","locale":"fr"}`))
	me := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", access, ""))
	_, given := me.body["given_name"]
	_, born := me.body["birthdate"]
	if given || born || me.text("locale") != "fr" || me.text("zoneinfo") != "Europe/London" || me.text("display_name") != "Ada L" || me.text("updated_at") == "" {
		t.Errorf("%s", me.raw)
	}
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", access, `{"display_name":null}`))
	if me := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", access, "")); me.body["display_name"] != "" {
		t.Errorf("%s", me.raw)
	}
}

// Each field of a PATCH is tried, so that one that is added later is too.
func TestNullClearsEachFieldThatAPatchSets(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Viewer, "default")
	own, _ := r.session(user)
	for _, c := range []struct{ path, access string }{{"/api/v1/auth/me", own}, {"/api/v1/auth/users/" + user.ID, r.as(identity.Superadmin, "default")}} {
		fields := map[string]string{
			"display_name": `"A"`, "given_name": `"A"`, "family_name": `"A"`, "middle_name": `"A"`, "nickname": `"A"`, "gender": `"A"`,
			"profile": `"https://example.com"`, "picture": `"https://example.com"`, "website": `"https://example.com"`,
			"birthdate": `"1815"`, "zoneinfo": `"Europe/London"`, "locale": `"en"`, "phone_number": `"+44 20 7946 0018"`,
			"address":  `{"formatted":"A\nB","street_address":"A","locality":"A","region":"A","postal_code":"A","country":"A"}`,
			"metadata": `{"user":{"theme":"dark"}}`,
		}
		for _, name := range patched(t, r, c.path) {
			value, known := fields[name]
			if !known && c.path != "/api/v1/auth/me" && (name == "email" || name == "email_verified" || name == "org_id" || name == "service_tokens") {
				continue // these are never empty
			}
			set := r.want(http.StatusOK, r.call("PATCH", c.path, c.access, fmt.Sprintf("{%q:%s}", name, value)))
			if got, err := json.Marshal(set.body[name]); err != nil || !known || !sameJSON(t, string(got), value) {
				t.Errorf("PATCH %s: %s is %s", c.path, name, got)
			}
			for _, a := range []response{
				r.want(http.StatusOK, r.call("PATCH", c.path, c.access, fmt.Sprintf("{%q:null}", name))),
				r.want(http.StatusOK, r.call("GET", c.path, c.access, "")),
			} {
				if left, there := a.body[name]; there && left != "" {
					t.Errorf("PATCH %s: null leaves %s: %v", c.path, name, left)
				}
			}
		}
	}
}

// patched are the fields that the document names for PATCH at the path.
func patched(t *testing.T, r *rig, path string) []string {
	t.Helper()
	schema := "OwnUpdate"
	if path != "/api/v1/auth/me" {
		schema = "UserUpdate"
	}
	document := r.want(http.StatusOK, r.call("GET", "/openapi.json", "", ""))
	fields := document.body["components"].(map[string]any)["schemas"].(map[string]any)[schema].(map[string]any)["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(fields))
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestAChangedUserIsReturnedWithTheMetadata(t *testing.T) {
	r := newRig(t)
	root, user := r.as(identity.Superadmin, "default"), r.user(identity.Viewer, "default")
	own, _ := r.session(user)
	one := "/api/v1/auth/users/" + user.ID
	for _, body := range []string{`{"metadata":{"admin":{"team":"engines"},"user":{"theme":"dark"}}}`, `{"nickname":"Ada"}`, `{}`} {
		a := r.want(http.StatusOK, r.call("PATCH", one, root, body))
		if !strings.Contains(string(a.raw), `"metadata":{"admin":{"team":"engines"},"user":{"theme":"dark"}}`) {
			t.Errorf("an administrator sends %s: %s", body, a.raw)
		}
	}
	for _, body := range []string{`{"metadata":{"user":{"theme":"dark"}}}`, `{"nickname":"A"}`, `{}`} {
		a := r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", own, body))
		if !strings.Contains(string(a.raw), `"metadata":{"user":{"theme":"dark"}}`) || strings.Contains(string(a.raw), "engines") {
			t.Errorf("the user sends %s: %s", body, a.raw)
		}
	}
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", own, `{"metadata":null}`))
	if a := r.want(http.StatusOK, r.call("PATCH", one, root, `{}`)); !strings.Contains(string(a.raw), `"metadata":{"admin":{"team":"engines"}}`) {
		t.Errorf("the user removed more than the own part: %s", a.raw)
	}
	if a := r.want(http.StatusOK, r.call("PATCH", one, root, `{"metadata":null}`)); a.body["metadata"] != nil {
		t.Errorf("%s", a.raw)
	}
}

func TestAPatchNamesEachInvalidFieldAndChangesNothing(t *testing.T) {
	r := newRig(t)
	access := r.as(identity.Viewer, "default")
	for body, fields := range map[string][]string{
		`{"display_name":"Ada","picture":"javascript:alert(1)","birthdate":"1815-02-30"}`: {"body.picture", "body.birthdate"},
		`{"website":"https://user@example.com"}`:                                          {"body.website"},
		`{"zoneinfo":"../../etc/passwd"}`:                                                 {"body.zoneinfo"},
		`{"locale":"en_GB"}`:                                                              {"body.locale"},
		`{"nickname":"a\nb"}`:                                                             {"body.nickname"},
		`{"nickname":7}`:                                                                  {"body.nickname"},
		`{"email":"ada@example.com"}`:                                                     {"body.email"},
		`{"org_id":"other"}`:                                                              {"body.org_id"},
		`{"phone_number":"12","address":{"country":"a\nb"}}`:                              {"body.phone_number", "body.address.country"},
		`{"role":"superadmin"}`:                                                           {"body.role"},
		`{"preferred_username":"root"}`:                                                   {"body.preferred_username"},
		`{"email_verified":true}`:                                                         {"body.email_verified"},
	} {
		a := r.want(http.StatusUnprocessableEntity, r.call("PATCH", "/api/v1/auth/me", access, body))
		var got []string
		for _, e := range a.body["errors"].([]any) {
			got = append(got, e.(map[string]any)["location"].(string))
		}
		if fmt.Sprint(got) != fmt.Sprint(fields) {
			t.Errorf("%s: %s", body, a.raw)
		}
	}
	if me := r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", access, "")); me.text("display_name") == "Ada" {
		t.Errorf("%s", me.raw)
	}
}

func TestAnAdministratorChangesUsersOfTheOwnOrganizationOnly(t *testing.T) {
	r := newRig(t)
	root, admin := r.as(identity.Superadmin, "default"), r.as(identity.OrgAdmin, "other")
	user, other, chief := r.user(identity.Viewer, "other"), r.user(identity.Viewer, "default"), r.user(identity.Superadmin, "other")
	path := func(u identity.User) string { return "/api/v1/auth/users/" + u.ID }

	access, _ := r.session(user)
	a := r.want(http.StatusOK, r.call("PATCH", path(user), admin, `{"email":" New.Name@B\u00dcCHER.example ","nickname":"N"}`))
	if a.text("email") != "New.Name@b\u00fccher.example" || a.text("nickname") != "N" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", access, ""))
	r.want(http.StatusOK, r.call("POST", "/api/v1/auth/login", "", fmt.Sprintf(`{"email":"new.name@xn--bcher-kva.example","password":%q}`, testPassword)))
	if a := r.want(http.StatusConflict, r.call("PATCH", path(user), admin, fmt.Sprintf(`{"email":%q}`, other.Email))); a.text("error") != "email_taken" {
		t.Errorf("%s", a.raw)
	}

	for _, method := range []string{"GET", "PATCH"} {
		body := map[string]string{"PATCH": `{"nickname":"x"}`}[method]
		r.want(http.StatusNotFound, r.call(method, path(other), admin, body))
		r.want(http.StatusNotFound, r.call(method, "/api/v1/auth/users/unknown", admin, body))
		r.want(http.StatusOK, r.call(method, path(other), root, body))
	}
	r.want(http.StatusForbidden, r.call("PATCH", path(chief), admin, `{"nickname":"x"}`))
	r.want(http.StatusForbidden, r.call("PATCH", path(user), admin, `{"org_id":"default"}`))
	r.want(http.StatusUnprocessableEntity, r.call("PATCH", path(user), root, `{"org_id":"unknown"}`))
	if a := r.want(http.StatusOK, r.call("PATCH", path(user), root, `{"org_id":"default"}`)); a.text("org_id") != "default" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusNotFound, r.call("GET", path(user), admin, ""))
}

func TestAUserDeletesTheirAccountWithThePassword(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.Superadmin, "default")
	access, _ := r.session(user)
	body := fmt.Sprintf(`{"password":%q}`, testPassword)
	if a := r.want(http.StatusForbidden, r.call("DELETE", "/api/v1/auth/me", access, `{"password":"wrong"}`)); a.text("error") != "invalid_credentials" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusConflict, r.call("DELETE", "/api/v1/auth/me", access, body)); a.text("error") != "last_superadmin" {
		t.Errorf("%s", a.raw)
	}
	r.user(identity.Superadmin, "default")
	if _, _, err := r.tokens.CreateServiceToken(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: user.ID}, token.NewServiceToken{Name: "mine"}); err != nil {
		t.Fatal(err)
	}
	if a := r.want(http.StatusConflict, r.call("DELETE", "/api/v1/auth/me", access, body)); a.text("error") != "owns_service_tokens" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("DELETE", "/api/v1/auth/me", access, fmt.Sprintf(`{"password":%q,"service_tokens":"revoke"}`, testPassword)))
	r.want(http.StatusUnauthorized, r.call("GET", "/api/v1/auth/me", access, ""))
	r.want(http.StatusUnauthorized, r.call("POST", "/api/v1/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, user.Email, testPassword)))
}

func TestTheOwnAccountNeedsNoPasswordSoonAfterASignIn(t *testing.T) {
	r := newRig(t)
	_, refresh := r.session(r.user(identity.Viewer, "default"))
	r.ahead.Store(int64(testMaxAge + time.Second))
	access := r.want(http.StatusOK, r.call("POST", "/api/v1/auth/refresh", "", fmt.Sprintf("%q", refresh))).text("access_token")
	if a := r.want(http.StatusUnauthorized, r.call("DELETE", "/api/v1/auth/me", access, "")); a.text("error") != "reauthentication_required" {
		t.Errorf("%s", a.raw)
	}
	access, _ = r.session(r.user(identity.Viewer, "default"))
	r.want(http.StatusOK, r.call("DELETE", "/api/v1/auth/me", access, ""))
}

func TestUsersAreSearchedFilteredAndSorted(t *testing.T) {
	r := newRig(t)
	root, admin := r.as(identity.Superadmin, "default"), r.as(identity.OrgAdmin, "other")
	for i, org := range []string{"other", "other", "default"} {
		if _, err := r.directory.CreateUser(t.Context(), system, directory.NewUser{
			Email: fmt.Sprintf("zoe%d@example.com", i), Password: testPassword, DisplayName: "Zo\u00eb", OrgID: org,
		}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(access, query string, status int) response {
		t.Helper()
		return r.want(status, r.call("GET", "/api/v1/auth/users?"+query, access, ""))
	}
	for _, c := range []struct{ access, query, want string }{
		{root, "q=ZOE", "[zoe0@example.com zoe1@example.com zoe2@example.com]"},
		{admin, "q=zo%C3%AB", "[zoe0@example.com zoe1@example.com]"},
		{root, "q=zoe&org_id=other&sort=-email", "[zoe1@example.com zoe0@example.com]"},
		{root, "q=zoe&role=operator", "[]"},
		{root, "q=zoe&status=active&limit=1", "[zoe0@example.com]"},
	} {
		a := list(c.access, c.query, http.StatusOK)
		if got := fmt.Sprint(names(t, a, "users", "email")); got != c.want {
			t.Errorf("%s: %s", c.query, a.raw)
		}
		if more := strings.Contains(c.query, "limit"); more != (a.text("next_cursor") != "") {
			t.Errorf("%s: %s", c.query, a.raw)
		}
	}
	for _, query := range []string{"q=", "q=" + strings.Repeat("x", 65), "sort=last_login_at", "role=root", "status=", "q=a&q=b", "sort=email&cursor=AAAA"} {
		list(root, query, http.StatusUnprocessableEntity)
	}
	list(admin, "q=zoe&org_id=default", http.StatusNotFound)
}

func TestMetadataAndVerifiedAddresses(t *testing.T) {
	r := newRig(t)
	root, user := r.as(identity.Superadmin, "default"), r.user(identity.Viewer, "default")
	own, _ := r.session(user)
	one := "/api/v1/auth/users/" + user.ID
	a := r.want(http.StatusOK, r.call("PATCH", one, root, `{"email_verified":true,"metadata":{"admin":{"team":"engines"},"user":{"theme":"dark"}}}`))
	if !strings.Contains(string(a.raw), `"email_verified":true`) {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", own, `{"metadata":{"user":{"theme":"light"}}}`))
	r.want(http.StatusOK, r.call("PATCH", "/api/v1/auth/me", own, `{"nickname":"Ada","metadata":{}}`))
	me := string(r.want(http.StatusOK, r.call("GET", "/api/v1/auth/me", own, "")).raw)
	if !strings.Contains(me, `"email_verified":true`) || !strings.Contains(me, `"metadata":{"user":{"theme":"light"}}`) || strings.Contains(me, "engines") {
		t.Errorf("the user sees %s", me)
	}
	for _, body := range []string{`{"metadata":{"admin":{}}}`, `{"email_verified":true}`, `{"metadata":{"user":[]}}`, `{"metadata":{"other":{}}}`, `{"metadata":[]}`} {
		r.want(http.StatusUnprocessableEntity, r.call("PATCH", "/api/v1/auth/me", own, body))
	}
	if a := r.want(http.StatusOK, r.call("GET", one, root, "")); !strings.Contains(string(a.raw), `"metadata":{"admin":{"team":"engines"},"user":{"theme":"light"}}`) {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusOK, r.call("PATCH", one, root, `{"metadata":{"admin":null,"user":null}}`))
	if a := r.want(http.StatusOK, r.call("GET", one, root, "")); strings.Contains(string(a.raw), "metadata") {
		t.Errorf("%s", a.raw)
	}
}
