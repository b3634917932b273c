package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Outside clients need the issuer alone: go-oidc finds the endpoints, and x/oauth2 gets
// tokens there.
func TestOutsideClientsFindTheProviderByItsIssuer(t *testing.T) {
	s, issuer := startAtIssuer(t, "", nil)
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string]any
	if err := provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	endpoint := func(name string) string {
		address, _ := metadata[name+"_endpoint"].(string)
		return address
	}
	if provider.Endpoint().DeviceAuthURL != issuer+"/oauth2/device" || provider.UserInfoEndpoint() != issuer+"/oauth2/userinfo" {
		t.Errorf("%v", metadata)
	}
	admin, _ := s.login("admin@pico.local", "admin")
	status, c := s.call("POST", "/api/v1/clients", admin, map[string]any{"name": "Batch", "kind": "machine", "scopes": []string{"read"}})
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, c)
	}
	id, secret := c["client_id"].(string), c["client_secret"].(string)
	machine := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: provider.Endpoint().TokenURL}
	pair, err := machine.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(pair)); err == nil || !strings.Contains(err.Error(), "insufficient_scope") {
		t.Errorf("userinfo for a token without a user: %v", err)
	}
	post := func(address string) map[string]any {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(url.Values{"token": {pair.AccessToken}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body map[string]any
		if resp.ContentLength != 0 {
			err = json.NewDecoder(resp.Body).Decode(&body)
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", address, resp.StatusCode, err)
		}
		return body
	}
	if got := post(endpoint("introspection")); got["active"] != true || got["client_id"] != id || got["scope"] != "read" || got["iss"] != issuer {
		t.Errorf("introspection: %v", got)
	}
	post(endpoint("revocation"))
	if status, _ := s.call("GET", "/api/v1/auth/users", pair.AccessToken, nil); status != http.StatusForbidden {
		t.Errorf("the token of a client opens the API: %d", status)
	}
}
