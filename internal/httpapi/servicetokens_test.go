package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/picoauth"
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
	wantFields(t, response{body: list.body["tokens"].([]any)[0].(map[string]any)}, "id", "name", "role", "org_id", "description", "audiences", "owner_id", "created_at", "expires_at", "last_used_at")
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
	for _, token := range []string{value, "", "pico_svc_", "\u0000", strings.Repeat("x", 4_000)} {
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

func TestAServiceTokenNeverTouchesASuperadmin(t *testing.T) {
	r := newRig(t)
	secret := r.serviceToken()
	root, viewer := r.user(identity.Superadmin, "default"), r.user(identity.Viewer, "default")
	r.user(identity.Superadmin, "acme")
	other, _ := r.service(identity.Superadmin, "default", nil)
	const users, tokens = "/api/v1/auth/users", "/api/v1/auth/service-tokens"
	for _, c := range []struct{ method, path, body string }{
		{"PUT", users + "/" + root.ID + "/role", `"viewer"`},
		{"PUT", users + "/" + root.ID + "/status", `{"status":"suspended"}`},
		{"PUT", users + "/" + root.ID + "/password", `{"new_password":"staple the other horse"}`},
		{"DELETE", users + "/" + root.ID, ""},
		{"DELETE", users + "/" + root.ID + "?service_tokens=keep", ""},
		{"PUT", users + "/" + viewer.ID + "/role", `"superadmin"`},
		{"POST", users, `{"email":"new@example.com","password":"staple the other horse","role":"superadmin"}`},
		{"POST", tokens, `{"name":"mighty","role":"superadmin"}`},
		{"PATCH", tokens + "/" + other.Name, `{"audiences":[]}`},
		{"DELETE", tokens + "/" + other.Name, ""},
		{"PATCH", "/api/v1/organizations/acme", `{"status":"suspended"}`},
	} {
		if a := r.call(c.method, c.path, secret, c.body); a.status != http.StatusForbidden || a.text("error") != "forbidden" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.raw)
		}
	}
	// It has its role for the rest.
	r.want(http.StatusOK, r.call("PUT", users+"/"+viewer.ID+"/role", secret, `"org_admin"`))
	_, boss := r.service(identity.OrgAdmin, "default", nil)
	r.want(http.StatusForbidden, r.call("POST", tokens, boss, `{"name":"a","role":"superadmin"}`))
	r.want(http.StatusNotFound, r.call("POST", tokens, boss, `{"name":"a","org_id":"acme"}`))
	r.want(http.StatusOK, r.call("POST", tokens, boss, `{"name":"a","role":"org_admin"}`))
}

func TestAnExchangedTokenOpensOtherServicesOnly(t *testing.T) {
	r := newRig(t)
	st, secret := r.service(identity.Operator, "acme", nil)
	const path = "/api/v1/auth/service-tokens/exchange"
	for _, body := range []string{"", "{}", `{"audience":"` + testAudience + `"}`, `{"audience":null}`} {
		a := r.want(http.StatusOK, r.call("POST", path, secret, body))
		wantFields(t, a, "access_token", "token_type", "expires_in")
		who, err := r.guard.Verify(t.Context(), a.text("access_token"))
		if err != nil || who.ClientID != st.ID || who.Subject != st.ID || who.OrgID != "acme" || who.Role != picoauth.Operator || a.body["expires_in"] != 300.0 {
			t.Errorf("%+v, %v, %s", who, err, a.raw)
		}
		refused := r.want(http.StatusForbidden, r.call("GET", "/api/v1/auth/me", a.text("access_token"), ""))
		if refused.text("error") != "insufficient_scope" || !strings.HasPrefix(refused.header.Get("Www-Authenticate"), `Bearer error="insufficient_scope"`) {
			t.Errorf("%v %s", refused.header, refused.raw)
		}
		r.want(http.StatusForbidden, r.call("POST", path, a.text("access_token"), ""))
	}
	if a := r.want(http.StatusUnprocessableEntity, r.call("POST", path, secret, `{"audience":"other"}`)); a.text("error") != "invalid_target" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusUnauthorized, r.call("POST", path, secret+"0", "")); a.text("error") != "invalid_token" {
		t.Errorf("%s", a.raw)
	}
	access := r.as(identity.Superadmin, "default")
	if a := r.want(http.StatusForbidden, r.call("POST", path, access, "")); a.text("error") != "forbidden" {
		t.Errorf("%s", a.raw)
	}
}

func TestAServiceTokenIsCreatedForTheAudiencesOfItsOrganization(t *testing.T) {
	r := newRig(t)
	acme, other := r.as(identity.OrgAdmin, "acme"), r.as(identity.OrgAdmin, "other")
	const path = "/api/v1/auth/service-tokens"
	const body = `{"name":"ci","audiences":["https://api.example"]}`
	secret := r.want(http.StatusOK, r.call("POST", path, acme, body)).text("token")
	if a := r.want(http.StatusConflict, r.call("POST", path, other, body)); a.text("error") != "audience_taken" {
		t.Errorf("%s", a.raw)
	}
	list := r.want(http.StatusOK, r.call("GET", path, acme, ""))
	if got := list.body["tokens"].([]any)[0].(map[string]any)["audiences"]; fmt.Sprint(got) != "[https://api.example]" {
		t.Errorf("%v", got)
	}
	for _, request := range []string{"", `{"audience":"https://api.example"}`} {
		access := r.want(http.StatusOK, r.call("POST", path+"/exchange", secret, request)).text("access_token")
		if _, err := r.guard.Verify(t.Context(), access); err == nil {
			t.Error("a token for another audience is accepted here")
		}
		r.want(http.StatusForbidden, r.call("GET", path, access, ""))
	}
	if a := r.want(http.StatusUnprocessableEntity, r.call("POST", path+"/exchange", secret, `{"audience":"`+testAudience+`"}`)); a.text("error") != "invalid_target" {
		t.Errorf("%s", a.raw)
	}
	if a := r.want(http.StatusUnprocessableEntity, r.call("POST", path, acme, `{"name":"x","audiences":["api"]}`)); a.text("error") != "validation_failed" {
		t.Errorf("%s", a.raw)
	}
	r.want(http.StatusForbidden, r.call("POST", path, r.want(http.StatusOK, r.call("POST", path, acme, `{"name":"boss","role":"org_admin"}`)).text("token"), body))
}

func TestAServiceTokenGetsOtherAudiencesWithoutAnotherSecret(t *testing.T) {
	r := newRig(t)
	acme, root := r.as(identity.OrgAdmin, "acme"), r.as(identity.Superadmin, "default")
	const path, body = "/api/v1/auth/service-tokens", `{"audiences":["https://files.example"]}`
	secret := r.want(http.StatusOK, r.call("POST", path, acme, `{"name":"ci","role":"org_admin"}`)).text("token")
	exchange := func(audience string) int {
		return r.call("POST", path+"/exchange", secret, fmt.Sprintf(`{"audience":%q}`, audience)).status
	}
	if exchange(testAudience) != 200 || exchange("https://files.example") != 422 {
		t.Error("a service token without audiences is not for the server alone")
	}
	for bearer, status := range map[string]int{secret: 403, r.as(identity.OrgAdmin, "other"): 404, r.as(identity.Operator, "acme"): 403} {
		if a := r.call("PATCH", path+"/ci", bearer, body); a.status != status {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	for _, bad := range []string{`{}`, `{"audiences":null}`, `{"audiences":["files"]}`, `{"audiences":["https://files.example"],"role":"superadmin"}`} {
		r.want(http.StatusUnprocessableEntity, r.call("PATCH", path+"/ci", acme, bad))
	}
	r.want(http.StatusNotFound, r.call("PATCH", path+"/unknown", acme, body))
	changed := r.want(http.StatusOK, r.call("PATCH", path+"/ci", acme, body))
	wantFields(t, changed, "id", "name", "role", "org_id", "description", "audiences", "owner_id", "created_at", "expires_at", "last_used_at")
	if fmt.Sprint(changed.body["audiences"]) != "[https://files.example]" || exchange(testAudience) != 422 || exchange("https://files.example") != 200 {
		t.Errorf("%s", changed.raw)
	}
	r.want(http.StatusOK, r.call("PATCH", path+"/ci?org_id=acme", root, `{"audiences":[]}`))
	if exchange(testAudience) != 200 || exchange("https://files.example") != 422 {
		t.Error("no audiences are not the default")
	}
}

func TestTheOwnerOfServiceTokensIsNamedAndDecidedAbout(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	owner := r.user(identity.OrgAdmin, "acme")
	access, _ := r.session(owner)
	const users, tokens = "/api/v1/auth/users", "/api/v1/auth/service-tokens"
	r.want(http.StatusOK, r.call("POST", tokens, access, `{"name":"billing"}`))
	for _, c := range []struct{ method, path, body, place string }{
		{"PUT", "/role", `{"role":"viewer"}`, "body.service_tokens"},
		{"PUT", "/status", `{"status":"suspended"}`, "body.service_tokens"},
		{"DELETE", "", "", "query.service_tokens"},
	} {
		a := r.want(http.StatusConflict, r.call(c.method, users+"/"+owner.ID+c.path, root, c.body))
		if got := names(t, a, "errors", "message"); a.text("error") != "owns_service_tokens" || !slices.Equal(got, []string{"billing"}) {
			t.Errorf("%s %s: %s", c.method, c.path, a.raw)
		}
		if got := names(t, a, "errors", "location"); !slices.Equal(got, []string{c.place}) {
			t.Errorf("%s %s: %s", c.method, c.path, a.raw)
		}
	}
	r.want(http.StatusUnprocessableEntity, r.call("PUT", users+"/"+owner.ID+"/status", root, `{"status":"suspended","service_tokens":"drop"}`))
	r.want(http.StatusUnprocessableEntity, r.call("DELETE", users+"/"+owner.ID+"?service_tokens=drop", root, ""))
	r.want(http.StatusOK, r.call("PUT", users+"/"+owner.ID+"/status", root, `{"status":"suspended","service_tokens":"keep"}`))
	r.want(http.StatusOK, r.call("DELETE", users+"/"+owner.ID, root, ""))
	list := r.want(http.StatusOK, r.call("GET", tokens+"?org_id=acme", root, ""))
	if got := names(t, list, "tokens", "owner_id"); len(got) != 1 || got[0] == owner.ID || got[0] == "" {
		t.Errorf("%s", list.raw)
	}
}

// The zero time is what several languages send for none.
func TestAnExpiryInThePastIsRefused(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for _, at := range []string{"0001-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "1970-01-01T00:00:00Z", r.now().Format(time.RFC3339)} {
		r.want(http.StatusUnprocessableEntity, r.call("POST", "/api/v1/auth/service-tokens", root, fmt.Sprintf(`{"name":"old","expires_at":%q}`, at)))
	}
}

func TestWhatAPathNamesIsFoundThereUnderEachNameThatIsAccepted(t *testing.T) {
	r := newRig(t)
	root := r.as(identity.Superadmin, "default")
	for _, name := range []string{
		".", "..", "...", ".a", "a/b", "a/../b", "/", "//", "%2e", "%2F", "a?b", "a#b", "a;b", "a+b", "+", "a\\b", "'", `"`, "\u00e9", "e\u0301", "\U0001f600", "{id}", "*", "exchange", "validate",
	} {
		for _, c := range []struct{ create, body, one string }{
			{"/api/v1/auth/service-tokens", toJSON(t, map[string]string{"name": name}), "/api/v1/auth/service-tokens/"},
			{"/api/v1/organizations", toJSON(t, map[string]string{"name": "A", "id": name}), "/api/v1/organizations/"},
		} {
			switch a := r.call("POST", c.create, root, c.body); {
			case name == "." || name == ".." || name == "/":
				r.want(http.StatusUnprocessableEntity, a)
			case a.status >= 300:
				t.Errorf("POST %s of %q: %s", c.create, name, a.raw)
			default:
				if a := r.call("DELETE", c.one+url.PathEscape(name), root, ""); a.status != http.StatusOK {
					t.Errorf("DELETE %s of %q: %s", c.one, name, a.raw)
				}
			}
		}
	}
}
