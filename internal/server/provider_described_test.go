package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

// The provider's endpoints write their responses themselves, and /openapi.json describes
// them in another package: each one that discovery names is described, each one described
// is served by that method, and the documents have exactly the described fields.
func TestTheDescribedProviderIsTheServedOne(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	var described struct {
		Paths map[string]map[string]struct {
			RequestBody *struct{ Content map[string]any }
			Responses   map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	_, text, _ := get(t, s.base+"/openapi.json", nil)
	if err := json.Unmarshal([]byte(text), &described); err != nil {
		t.Fatal(err)
	}
	properties := described.Components.Schemas["ProviderMetadata"].Properties
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		metadata := s.must("GET", path, "", nil)
		if got, want := slices.Sorted(maps.Keys(metadata)), slices.Sorted(maps.Keys(properties)); !slices.Equal(got, want) {
			t.Errorf("%s has %v, described are %v", path, got, want)
		}
		if described.Paths[path]["get"].Responses["200"].Content["application/json"].Schema.Ref != "#/components/schemas/ProviderMetadata" {
			t.Errorf("%s is not described", path)
		}
		for name, value := range metadata {
			if address, ok := value.(string); ok && strings.HasSuffix(name, "_endpoint") {
				if described.Paths[strings.TrimPrefix(address, "http://localhost:8100")] == nil {
					t.Errorf("%s %s is not described", name, address)
				}
			}
		}
	}
	if described.Paths["/.well-known/jwks-pqc.json"]["get"].Responses["200"].Content == nil {
		t.Error("the set of all keys is not described")
	}
	for path, methods := range described.Paths {
		if !strings.HasPrefix(path, "/oauth2/") {
			continue
		}
		for _, method := range []string{"get", "post"} {
			op, there := methods[method]
			req, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), s.base+path, strings.NewReader(url.Values{"a": {"b"}}.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if served := resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound; served != there {
				t.Errorf("%s %s is described: %t; the response is %d", method, path, there, resp.StatusCode)
			}
			if _, known := op.Responses[strconv.Itoa(resp.StatusCode)]; there && !known {
				t.Errorf("%s %s: the response %d is not described", method, path, resp.StatusCode)
			}
			if there && method == "post" && (op.RequestBody == nil || op.RequestBody.Content["application/x-www-form-urlencoded"] == nil) {
				t.Errorf("post %s takes a form", path)
			}
		}
	}
}

// The discovery document of picoauthtest is the server's, as far as it goes: what a test
// reads there is what the service will read here.
func TestTheIssuerOfTestsDescribesItselfAsTheServer(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	issuer := picoauthtest.NewIssuer(t)
	const path = "/.well-known/openid-configuration"
	_, text, _ := get(t, issuer.URL()+path, nil)
	var of map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, issuer.URL(), "http://localhost:8100")), &of); err != nil {
		t.Fatal(err)
	}
	served := s.must("GET", path, "", nil)
	for name, value := range of {
		if diff := cmp.Diff(served[name], value); diff != "" {
			t.Errorf("%s (-server +picoauthtest):\n%s", name, diff)
		}
	}
	for _, name := range []string{"issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "response_types_supported", "subject_types_supported"} {
		if of[name] == nil { // required by OpenID Connect Discovery 3
			t.Errorf("%s is missing", name)
		}
	}
}
