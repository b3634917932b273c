package oidc_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

var system = identity.Actor{Kind: identity.ActorSystem}

// registered is a client with its secret.
type registered struct {
	oauth.Client
	secret string
}

// register registers a client of the kind web unless the settings say otherwise.
func (r *rig) register(settings oauth.Settings) registered {
	r.t.Helper()
	all := oauth.Settings{"kind": "web", "redirect_uris": []string{callback}, "consent": false, "first_party": true}
	maps.Copy(all, settings)
	c, secret, err := r.Clients.Create(r.t.Context(), system, all)
	if err != nil {
		r.t.Fatal(err)
	}
	return registered{c, secret}
}

// machine registers a client that acts for itself.
func (r *rig) machine(settings oauth.Settings) registered {
	r.t.Helper()
	all := oauth.Settings{"kind": "machine", "redirect_uris": []string{}}
	maps.Copy(all, settings)
	return r.register(all)
}

// token posts a form to the token endpoint as the client.
func (r *rig) token(c registered, pairs ...string) response {
	r.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if c.Public() {
		form.Set("client_id", c.ID)
	}
	req := r.request(http.MethodPost, "/oauth2/token", form)
	if !c.Public() {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.secret))
	}
	return r.do(req)
}

// claims verifies a token with the published keys and returns its header and claims.
func (r *rig) claims(token string) (header, claims map[string]any) {
	r.t.Helper()
	all := r.Keys.Published().AllJWKS()
	keys, err := jose.ParseJWKSet(all)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _, err = jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return keys[h.KeyID], nil })
	if err != nil {
		r.t.Fatalf("%q: %v", token, err)
	}
	h, payload, err := jose.Inspect(token)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, part := range []struct {
		text []byte
		to   *map[string]any
	}{{h, &header}, {payload, &claims}} {
		if err := json.Unmarshal(part.text, part.to); err != nil {
			r.t.Fatal(err)
		}
	}
	return header, claims
}

func TestRFC6749Section44ClientCredentials(t *testing.T) {
	r := newRig(t, "")
	c := r.machine(oauth.Settings{"scopes": []string{"read", "write", "roles"}, "role": "operator"})
	a := r.want(200, "", r.token(c, "grant_type", "client_credentials", "scope", "read"))
	if a.text("token_type") != "Bearer" || a.body["expires_in"] != 900.0 || a.text("scope") != "read" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", a.header, a.raw)
	}
	for _, name := range []string{"refresh_token", "id_token"} { // section 4.4.3
		if a.text(name) != "" {
			t.Errorf("it has %s", name)
		}
	}
	header, claims := r.claims(a.text("access_token"))
	if header["typ"] != "at+jwt" || claims["sub"] != c.ID || claims["client_id"] != c.ID || claims["scope"] != "read" || claims["aud"] != r.issuer {
		t.Errorf("%v %v", header, claims)
	}
	for _, name := range []string{"email", "role", "groups", "org_id", "auth_time", "sid"} {
		if _, there := claims[name]; there {
			t.Errorf("it has the claim %s", name)
		}
	}
	a = r.want(200, "", r.token(c, "grant_type", "client_credentials"))
	if _, claims := r.claims(a.text("access_token")); claims["scope"] != "read write roles" || claims["role"] != "operator" {
		t.Errorf("%v", claims)
	}
}

// RFC 6749 section 4.4: nothing about a user is in it. Public clients cannot be
// registered for it.
func TestRFC6749Section44Refusals(t *testing.T) {
	r := newRig(t, "")
	machine := r.machine(oauth.Settings{"scopes": []string{"read", "openid", "account", "offline_access"}})
	web := r.register(nil)
	wrong := machine
	wrong.secret = web.secret
	unknown := machine
	unknown.ID = "unknown"
	builtIn := machine
	builtIn.ID = identity.FirstPartyClient
	for name, a := range map[string]struct {
		response
		status int
		code   string
	}{
		"unregistered grant type":      {r.token(web, "grant_type", "client_credentials"), 400, "unauthorized_client"},
		"a scope it lacks":             {r.token(machine, "grant_type", "client_credentials", "scope", "read admin"), 400, "invalid_scope"},
		"openid":                       {r.token(machine, "grant_type", "client_credentials", "scope", "openid"), 400, "invalid_scope"},
		"offline_access":               {r.token(machine, "grant_type", "client_credentials", "scope", "offline_access"), 400, "invalid_scope"},
		"account":                      {r.token(machine, "grant_type", "client_credentials", "scope", "account"), 400, "invalid_scope"},
		"an audience it lacks":         {r.token(machine, "grant_type", "client_credentials", "resource", "https://api.example"), 400, "invalid_target"},
		"no grant type":                {r.token(machine), 400, "invalid_request"},
		"unknown grant type":           {r.token(machine, "grant_type", "password"), 400, "unsupported_grant_type"},
		"repeated parameter":           {r.token(machine, "grant_type", "client_credentials", "scope", "read", "scope", "read"), 400, "invalid_request"},
		"another client's secret":      {r.token(wrong, "grant_type", "client_credentials"), 401, "invalid_client"},
		"unknown client":               {r.token(unknown, "grant_type", "client_credentials"), 401, "invalid_client"},
		"the client of the JSON login": {r.token(builtIn, "grant_type", "client_credentials"), 401, "invalid_client"},
	} {
		if a.response.status != a.status || a.text("error") != a.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.response.status, a.raw, a.status, a.code)
		}
		if basic := strings.HasPrefix(a.header.Get("Www-Authenticate"), "Basic "); basic != (a.code == "invalid_client") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
}

// RFC 6749 section 3.2: the endpoint takes POST and a form in the body, of bounded length.
func TestRFC6749Section32TokenEndpoint(t *testing.T) {
	r := newRig(t, "")
	c := r.machine(nil)
	query := r.request(http.MethodPost, "/oauth2/token?grant_type=client_credentials", url.Values{})
	query.SetBasicAuth(c.ID, c.secret)
	long := r.request(http.MethodPost, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "x": {strings.Repeat("x", 16<<10)}})
	long.SetBasicAuth(c.ID, c.secret)
	jsonBody := r.request(http.MethodPost, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	jsonBody.Header.Set("Content-Type", "application/json")
	jsonBody.SetBasicAuth(c.ID, c.secret)
	r.want(400, "invalid_request", r.do(query))
	r.want(413, "invalid_request", r.do(long))
	r.want(415, "invalid_request", r.do(jsonBody))
	r.want(405, "invalid_request", r.get("/oauth2/token"))
}

// RFC 8707 section 2.2: a token has one audience, of those of the client.
func TestRFC8707Section22OneAudience(t *testing.T) {
	r := newRig(t, "")
	c := r.machine(oauth.Settings{"scopes": []string{"read", "admin"}, "audiences": []string{"https://one.example", "https://two.example"}})
	audience := func(pairs ...string) any {
		t.Helper()
		a := r.want(200, "", r.token(c, append([]string{"grant_type", "client_credentials", "scope", "read"}, pairs...)...))
		_, claims := r.claims(a.text("access_token"))
		return claims["aud"]
	}
	if got := audience(); got != "https://one.example" {
		t.Errorf("by default %v", got)
	}
	if got := audience("resource", "https://two.example"); got != "https://two.example" {
		t.Errorf("as asked %v", got)
	}
	more := []string{"grant_type", "client_credentials", "scope", "read", "resource", "https://one.example", "resource", "https://two.example"}
	r.want(400, "invalid_target", r.token(c, more...))
	// The scope admin is for the API of this server and no other.
	r.want(400, "invalid_target", r.token(c, "grant_type", "client_credentials", "scope", "admin", "resource", "https://one.example"))
	a := r.want(200, "", r.token(c, "grant_type", "client_credentials", "scope", "admin"))
	if _, claims := r.claims(a.text("access_token")); claims["aud"] != r.issuer {
		t.Errorf("for the API: %v", claims["aud"])
	}
}

// Services with the audience of the API decide by role and organization.
func TestATokenForTheAudienceOfTheAPIAlwaysHasRoleAndOrganization(t *testing.T) {
	r := newRig(t, "")
	for role, settings := range map[string]oauth.Settings{
		"operator": {"audiences": []string{"pico-bot"}, "role": "operator"},
		"viewer":   {"audiences": []string{"pico-bot"}}, // by default the weakest
	} {
		a := r.want(200, "", r.token(r.machine(settings), "grant_type", "client_credentials"))
		_, claims := r.claims(a.text("access_token"))
		if claims["aud"] != "pico-bot" || claims["role"] != role || claims["email"] != "" || claims["groups"] == nil || claims["org_id"] == nil {
			t.Errorf("%s: %v", role, claims)
		}
	}
}
