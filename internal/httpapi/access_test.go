package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/token"
	"github.com/pico-auth/pico-auth/internal/web"
)

func TestEveryRouteHasItsOwnID(t *testing.T) {
	seen := map[string]bool{}
	for _, route := range newPublic(t).Group().Routes {
		if route.ID == "" || seen[route.ID] {
			t.Errorf("%s %s: ID %q", route.Method, route.Pattern, route.ID)
		}
		seen[route.ID] = true
	}
}

func TestUnknownRuleAdmitsNoCaller(t *testing.T) {
	a := newPublic(t)
	for _, rule := range []web.Access{0, web.Anonymous, 200} { // the router never passes these
		if _, err := a.authorize(httptest.NewRequest(http.MethodGet, "/", nil), rule); err == nil {
			t.Errorf("%v: admitted", rule)
		}
	}
}

// rules is the contract, repeated by hand, so that a change of the table is
// noticed.
var rules = map[string]rule{
	"POST /api/v1/auth/register":                           {web.Anonymous, web.NoCredential},
	"POST /api/v1/auth/login":                              {web.Anonymous, web.NoCredential},
	"POST /api/v1/auth/refresh":                            {web.Anonymous, web.RefreshToken},
	"POST /api/v1/auth/logout":                             {web.UserOrRefresh, web.Bearer | web.RefreshToken},
	"GET /api/v1/auth/me":                                  {web.UserProfile, web.Bearer},
	"PATCH /api/v1/auth/me":                                {web.Account, web.Bearer},
	"DELETE /api/v1/auth/me":                               {web.User, web.Bearer},
	"GET /api/v1/auth/users/{id}":                          {web.OrgAdmin, web.Bearer},
	"PATCH /api/v1/auth/users/{id}":                        {web.OrgAdmin, web.Bearer},
	"POST /api/v1/auth/me/password":                        {web.User, web.Bearer},
	"POST /api/v1/auth/reauthenticate":                     {web.User, web.Bearer},
	"GET /api/v1/auth/sessions":                            {web.Account, web.Bearer},
	"DELETE /api/v1/auth/sessions/{id}":                    {web.Account, web.Bearer},
	"GET /api/v1/auth/consents":                            {web.Account, web.Bearer},
	"DELETE /api/v1/auth/consents/{client_id}":             {web.Account, web.Bearer},
	"POST /api/v1/auth/logout-all":                         {web.Account, web.Bearer},
	"GET /api/v1/auth/users/{id}/sessions":                 {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/auth/users/{id}/sessions":              {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/auth/users/{id}/sessions/{session_id}": {web.OrgAdmin, web.Bearer},
	"GET /api/v1/auth/users":                               {web.OrgAdmin, web.Bearer},
	"POST /api/v1/auth/users":                              {web.OrgAdmin, web.Bearer},
	"GET /api/v1/auth/users/registration":                  {web.OrgAdmin, web.Bearer},
	"PUT /api/v1/auth/users/registration":                  {web.Superadmin, web.Bearer},
	"PUT /api/v1/auth/users/{id}/role":                     {web.OrgAdmin, web.Bearer},
	"PUT /api/v1/auth/users/{id}/status":                   {web.OrgAdmin, web.Bearer},
	"PUT /api/v1/auth/users/{id}/password":                 {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/auth/users/{id}":                       {web.OrgAdmin, web.Bearer},
	"POST /api/v1/organizations":                           {web.Superadmin, web.Bearer},
	"GET /api/v1/organizations":                            {web.OrgAdmin, web.Bearer},
	"GET /api/v1/organizations/{id}":                       {web.OrgAdmin, web.Bearer},
	"PATCH /api/v1/organizations/{id}":                     {web.Superadmin, web.Bearer},
	"DELETE /api/v1/organizations/{id}":                    {web.Superadmin, web.Bearer},
	"POST /api/v1/groups":                                  {web.OrgAdmin, web.Bearer},
	"GET /api/v1/groups":                                   {web.UserOrService, web.Bearer},
	"GET /api/v1/groups/{id}":                              {web.UserOrService, web.Bearer},
	"PUT /api/v1/groups/{id}":                              {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/groups/{id}":                           {web.OrgAdmin, web.Bearer},
	"POST /api/v1/groups/{id}/members":                     {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/groups/{id}/members/{user_id}":         {web.OrgAdmin, web.Bearer},
	"POST /api/v1/auth/service-tokens":                     {web.OrgAdmin, web.Bearer},
	"GET /api/v1/auth/service-tokens":                      {web.OrgAdmin, web.Bearer},
	"POST /api/v1/auth/service-tokens/exchange":            {web.Service, web.Bearer},
	"POST /api/v1/auth/service-tokens/validate":            {web.Anonymous, web.NoCredential},
	"PATCH /api/v1/auth/service-tokens/{name}":             {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/auth/service-tokens/{name}":            {web.OrgAdmin, web.Bearer},
	"GET /api/v1/auth/revoked-jtis":                        {web.UserOrService, web.Bearer},
	"POST /api/v1/clients":                                 {web.OrgAdmin, web.Bearer},
	"GET /api/v1/clients":                                  {web.OrgAdmin, web.Bearer},
	"GET /api/v1/clients/{client_id}":                      {web.OrgAdmin, web.Bearer},
	"PATCH /api/v1/clients/{client_id}":                    {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/clients/{client_id}":                   {web.OrgAdmin, web.Bearer},
	"POST /api/v1/clients/{client_id}/secrets":             {web.OrgAdmin, web.Bearer},
	"DELETE /api/v1/clients/{client_id}/secrets/{id}":      {web.OrgAdmin, web.Bearer},
	"GET /api/v1/audit":                                    {web.OrgAdmin, web.Bearer},
	"GET /api/v1/auth/jwks":                                {web.Anonymous, web.NoCredential},
	"GET /.well-known/jwks.json":                           {web.Anonymous, web.NoCredential},
	"GET /.well-known/jwks-pqc.json":                       {web.Anonymous, web.NoCredential},
	"GET /openapi.json":                                    {web.Anonymous, web.NoCredential},
	"GET /docs":                                            {web.Anonymous, web.NoCredential},
	"GET /docs/{file}":                                     {web.Anonymous, web.NoCredential},
}

type rule struct {
	access     web.Access
	credential web.Credential
}

func TestRoutesAreExactlyTheContract(t *testing.T) {
	routes := newPublic(t).Group().Routes
	for _, route := range routes {
		want, there := rules[route.Method+" "+route.Pattern]
		if got := (rule{route.Access, route.Credential}); !there || want != got {
			t.Errorf("%s %s: %v, want %v", route.Method, route.Pattern, got, want)
		}
	}
	if len(routes) != len(rules) {
		t.Errorf("%d routes, want %d", len(routes), len(rules))
	}
}

func (r *rig) serviceToken() string {
	_, secret := r.service(identity.Superadmin, "default", nil)
	return secret
}

// service creates a service token without an owner.
func (r *rig) service(role identity.Role, org string, end *time.Time) (t identity.ServiceToken, secret string) {
	t, secret, err := r.tokens.CreateServiceToken(context.Background(), system,
		token.NewServiceToken{Name: uuid.NewString(), Role: string(role), OrgID: org, ExpiresAt: end})
	if err != nil {
		r.t.Fatal(err)
	}
	return t, secret
}

// scene is a valid request for a route, about new objects of "default": a user of that
// role, or a group.
func (r *rig) scene(route web.Route, role identity.Role) (path, body string) {
	target, group := r.user(role, "default"), r.group("default")
	path = strings.NewReplacer("{id}", target.ID, "{user_id}", target.ID, "{$}", "", "{file}", "init.js").Replace(route.Pattern)
	if strings.HasPrefix(route.Pattern, "/api/v1/groups/") {
		path = strings.NewReplacer("{id}", group.ID, "{user_id}", target.ID).Replace(route.Pattern)
	}
	if strings.Contains(path, "/sessions/") {
		r.session(target)
		id := r.sessionIDs(target)[0]
		path = strings.NewReplacer("{session_id}", id, "/sessions/"+target.ID, "/sessions/"+id).Replace(path)
	}
	switch route.ID {
	case "create_organization":
		body = `{"name":"Acme"}`
	case "get_organization":
		path = "/api/v1/organizations/default"
	case "update_organization":
		path, body = "/api/v1/organizations/default", `{"name":"Acme"}`
	case "delete_organization":
		path = "/api/v1/organizations/" + r.organization().ID
	case "register", "create_user":
		body = fmt.Sprintf(`{"email":"%s@example.com","password":"%s"}`, uuid.NewString(), testPassword)
	case "login":
		body = fmt.Sprintf(`{"email":%q,"password":%q}`, target.Email, testPassword)
	case "refresh":
		_, refresh := r.session(target)
		body = fmt.Sprintf("%q", refresh)
	case "change_password":
		body = fmt.Sprintf(`{"old_password":%q,"new_password":"staple the other horse"}`, testPassword)
	case "update_me", "update_user":
		body = `{"nickname":"Ada"}`
	case "reauthenticate", "delete_me":
		body = fmt.Sprintf(`{"password":%q}`, testPassword)
	case "set_registration":
		body = `{"enabled":true}`
	case "set_role":
		body = `"operator"`
	case "set_status":
		body = `{"status":"suspended"}`
	case "reset_password":
		body = `{"new_password":"staple the other horse"}`
	case "create_group", "create_service_token":
		body = fmt.Sprintf(`{"name":%q}`, uuid.NewString())
	case "update_group":
		body = fmt.Sprintf(`{"name":%q}`, uuid.NewString())
	case "add_member":
		body = fmt.Sprintf(`{"user_id":%q}`, target.ID)
	case "remove_member":
		if err := r.directory.AddMember(context.Background(), system, group.ID, target.ID); err != nil {
			r.t.Fatal(err)
		}
	case "validate_service_token":
		body = fmt.Sprintf(`{"token":%q}`, r.serviceToken()) // unknown ones are limited
	case "revoke_service_token", "update_service_token":
		name := uuid.NewString()
		if _, _, err := r.tokens.CreateServiceToken(context.Background(), system, token.NewServiceToken{Name: name, Role: string(role)}); err != nil {
			r.t.Fatal(err)
		}
		path = strings.Replace(path, "{name}", name, 1) + "?org_id=default"
		if route.ID == "update_service_token" {
			body = `{"audiences":["https://other.example"]}`
		}
	}
	return path, body
}

// checkProblem compares a refusal with the form of the contract.
func checkProblem(t *testing.T, a response) {
	t.Helper()
	if a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.header)
	}
	if a.text("type") != "about:blank" || a.text("title") != http.StatusText(a.status) ||
		a.body["status"] != float64(a.status) || a.text("detail") == "" || a.text("error") == "" {
		t.Errorf("problem %s", a.raw)
	}
}

func TestRoleIsReadFromTheDatabase(t *testing.T) {
	r := newRig(t)
	user := r.user(identity.OrgAdmin, "default")
	access, _ := r.session(user)
	r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/users", access, ""))
	if _, err := r.directory.SetRole(t.Context(), system, user.ID, "viewer", ""); err != nil {
		t.Fatal(err)
	}
	r.want(http.StatusForbidden, r.call(http.MethodGet, "/api/v1/auth/users", access, ""))
	me := r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/me", access, ""))
	if me.text("role") != "viewer" {
		t.Errorf("me: %s", me.raw)
	}
}

func TestAuthorizationHeaderIsReadAsInRFC6750(t *testing.T) {
	r := newRig(t)
	access := r.as(identity.Viewer, "default")
	for _, c := range []struct {
		name      string
		header    []string
		status    int
		code      string
		challenge string
	}{
		{"none", nil, 401, "unauthenticated", "Bearer"},
		{"another scheme", []string{"Basic YTpi"}, 401, "unauthenticated", "Bearer"},
		{"the scheme in lower case", []string{"bearer " + access}, 200, "", ""},
		{"garbage", []string{"Bearer garbage"}, 401, "invalid_token", `Bearer error="invalid_token"`},
		{"a changed signature", []string{"Bearer " + access[:len(access)-4] + "AAAA"}, 401, "invalid_token", `Bearer error="invalid_token"`},
		{"no token", []string{"Bearer"}, 400, "invalid_request", `Bearer error="invalid_request"`},
		{"two headers", []string{"Bearer " + access, "Bearer " + access}, 400, "invalid_request", `Bearer error="invalid_request"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodGet, "/api/v1/auth/me", nil)
			req.Header["Authorization"] = c.header
			a := r.do(req)
			if a.status != c.status || a.text("error") != c.code || !strings.HasPrefix(a.header.Get("Www-Authenticate"), c.challenge) {
				t.Errorf("%d %v %s", a.status, a.header["Www-Authenticate"], a.raw)
			}
			if c.status != http.StatusOK && strings.Contains(string(a.raw), access) {
				t.Error("echoes the token")
			}
		})
	}
}

func TestRevokedListAcceptsServiceTokensOnly(t *testing.T) {
	r := newRig(t)
	secret := r.serviceToken()
	r.want(http.StatusOK, r.call(http.MethodGet, "/api/v1/auth/revoked-jtis", secret, ""))
	for _, bad := range []string{"pico_svc_", "pico_svc_unknown", secret + "x", secret + " x"} {
		a := r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/revoked-jtis", bad, ""))
		if a.text("error") != "invalid_token" {
			t.Errorf("%s", a.raw)
		}
	}
	// A service token is refused where the user is meant, with the reason.
	a := r.want(http.StatusUnauthorized, r.call(http.MethodGet, "/api/v1/auth/me", secret, ""))
	if a.text("error") != "invalid_token" || !strings.HasPrefix(a.text("detail"), "a service token has no account") {
		t.Errorf("%s", a.raw)
	}
}

func TestAServiceTokenIsAnActorOfItsOwn(t *testing.T) {
	r := newRig(t)
	secret := r.serviceToken()
	page, err := r.tokens.ServiceTokens(t.Context(), system, token.Filter{})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	ctx := web.WithFacts(t.Context(), web.Facts{Address: "192.0.2.7", RequestID: testRequest})
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/auth/revoked-jtis", nil)
	req.Header.Set("Authorization", "Bearer "+secret)
	who, err := r.authorize(req, web.UserOrService)
	want := identity.Actor{Kind: identity.ActorServiceToken, ID: page.Items[0].ID, Address: "192.0.2.7", RequestID: testRequest}
	if err != nil || who.actor != want || who.user != nil {
		t.Errorf("%+v, %v, want %+v", who, err, want)
	}
	req.Header.Set("Authorization", "Bearer "+secret+"x")
	if who, err := r.authorize(req, web.UserOrService); err == nil || who != nil {
		t.Errorf("an unknown one is %+v, %v", who, err)
	}
}

func TestARequestBeyondTheRoleIsLogged(t *testing.T) {
	r := newRig(t)
	u := r.user(identity.Viewer, "acme")
	access, _ := r.session(u)
	r.want(403, r.call("PUT", "/api/v1/auth/users/"+u.ID+"/role", access, `"superadmin"`))
	for _, want := range []string{"audit=true", "outcome=refused", "actor_id=" + u.ID, "PUT /api/v1/auth/users/{id}/role", "request_id=" + testRequest} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not hold %q:\n%s", want, r.log.String())
		}
	}
	if strings.Contains(r.log.String(), access) {
		t.Error("the log holds the token")
	}
}
