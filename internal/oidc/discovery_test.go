package oidc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// RFC 8414 section 3: the path of the issuer comes after the well-known one, in front of
// everything that is below the issuer.
func TestRFC8414Section3PathOfTheIssuer(t *testing.T) {
	for path, addresses := range map[string][]string{
		"":            {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
		"/auth":       {"/auth/.well-known/openid-configuration", "/auth/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/auth", "/.well-known/openid-configuration/auth"},
		"/auth/realm": {"/auth/realm/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth/realm"},
	} {
		r := newRig(t, path)
		var first response
		for _, address := range addresses {
			a := r.want(http.StatusOK, "", r.get(address))
			if a.text("issuer") != r.issuer || a.text("jwks_uri") != r.issuer+"/api/v1/auth/jwks" {
				t.Errorf("%s: %s", address, a.raw)
			}
			if first.body == nil {
				first = a
			}
			if diff := cmp.Diff(first.body, a.body); diff != "" {
				t.Errorf("%s: %s", address, diff)
			}
		}
		if path != "" {
			r.want(http.StatusNotFound, "", r.get("/.well-known/oauth-authorization-server/other"))
		}
	}
}

// RFC 8414 section 2, and OpenID Connect Discovery 3.
func TestRFC8414Section2RequiredMetadata(t *testing.T) {
	got := newRig(t, "").get("/.well-known/openid-configuration").body
	for _, name := range []string{"issuer", "jwks_uri", "token_endpoint", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if got[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, value := range got {
		if list, ok := value.([]any); ok && len(list) == 0 { // section 3.2: zero elements must be omitted
			t.Errorf("%s is empty", name)
		}
	}
	if got["request_uri_parameter_supported"] != false {
		t.Error("without request_uri_parameter_supported, clients take it for true")
	}
}

// An address in the document is one of a route, and every endpoint is in the document.
func TestDiscoveryListsExactlyWhatIsServed(t *testing.T) {
	r := newRig(t, "")
	got := r.get("/.well-known/openid-configuration").body
	for name, path := range map[string]string{
		"authorization_endpoint": "/oauth2/authorize", "token_endpoint": "/oauth2/token", "userinfo_endpoint": "/oauth2/userinfo",
		"introspection_endpoint": "/oauth2/introspect", "revocation_endpoint": "/oauth2/revoke", "end_session_endpoint": "/oauth2/logout",
		"device_authorization_endpoint": "/oauth2/device",
	} {
		served := r.get(path).status != http.StatusNotFound
		address, listed := got[name].(string)
		if listed != served || listed && address != r.issuer+path {
			t.Errorf("%s: %v, served: %t", name, got[name], served)
		}
	}
}

// OpenID Connect Discovery 4: scripts of clients fetch the document; it changes with
// the keys only.
func TestDiscoverySection4MayBeFetchedByScriptsAndCached(t *testing.T) {
	r := newRig(t, "")
	first := r.want(http.StatusOK, "", r.get("/.well-known/openid-configuration"))
	etag := first.header.Get("Etag")
	if first.header.Get("Content-Type") != "application/json" || first.header.Get("Access-Control-Allow-Origin") != "*" ||
		first.header.Get("Cache-Control") != "public, max-age=300" || !strings.HasPrefix(etag, `"`) {
		t.Errorf("%v", first.header)
	}
	again := r.request(http.MethodGet, "/.well-known/openid-configuration", nil)
	again.Header.Set("If-None-Match", etag)
	r.want(http.StatusNotModified, "", r.do(again))
	preflight := r.request(http.MethodOptions, "/.well-known/openid-configuration", nil)
	preflight.Header.Set("Origin", "https://any.example.org")
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	if a := r.want(http.StatusNoContent, "", r.do(preflight)); a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%v", a.header)
	}
}

// RFC 6749 section 5.2: refusals of the router have the form of the protocol, too.
func TestRFC6749Section52RefusalsOfTheRouter(t *testing.T) {
	r := newRig(t, "")
	r.want(http.StatusNotFound, "invalid_request", r.get("/oauth2/nothing"))
	a := r.want(http.StatusMethodNotAllowed, "invalid_request", r.post("/.well-known/openid-configuration", nil))
	if a.header.Get("Allow") != "GET, HEAD" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
}
