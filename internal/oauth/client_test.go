package oauth_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestPublicClientsAlwaysNeedPKCE(t *testing.T) {
	for _, required := range []bool{true, false} {
		c := oauth.Client{AuthMethod: oauth.AuthNone, RequirePKCE: required}
		if !c.NeedsPKCE() {
			t.Errorf("require_pkce %t: a public client needs no code challenge", required)
		}
	}
	if (oauth.Client{AuthMethod: oauth.AuthSecretBasic}).NeedsPKCE() {
		t.Error("a confidential client without require_pkce needs a code challenge")
	}
}

// A decoder that does not tell case apart must not read another role or subject.
func TestNoCustomClaimIsReadAsOneOfTheServer(t *testing.T) {
	for _, name := range []string{"role", "Role", "ROLE", "Sub", "Email_Verified", "sCOPE"} {
		_, problems := oauth.NewClient(oauth.Settings{
			"redirect_uris": []string{"https://app.example/"}, "claims": map[string]any{name: map[string]any{"value": 1}},
		})
		if !oauth.ReservedClaim(name) || len(problems) != 1 {
			t.Errorf("%s may be set", name)
		}
	}
	if oauth.ReservedClaim("department") {
		t.Error("department is reserved")
	}
}

func TestAClaimIsReadFromAPathOfTheMetadata(t *testing.T) {
	longest := strings.Repeat("a", 64)
	for path, want := range map[string]bool{
		"admin.department": true, "user.theme.color": true, "user." + longest + "." + longest: true, "user.1.2.3.4.5.6.7.8": true,
		"admin": false, "email": false, "admin.": false, "admin.a b": false, "user.a..b": false, "user.a" + longest: false,
		"user.1.a" + longest + ".3": false, "user.1.2.3.4.5.6.7.8.9": false,
	} {
		_, problems := oauth.NewClient(oauth.Settings{
			"redirect_uris": []string{"https://app.example/"}, "claims": map[string]oauth.Claim{"tier": {Path: path}},
		})
		if (problems == nil) != want {
			t.Errorf("%s: %v", path, problems)
		}
	}
}

// A claim is never null (OpenID Connect Core 5.3.2), so as a constant it would be none.
func TestAConstantClaimHasAValue(t *testing.T) {
	for value, want := range map[string]bool{"null": false, "false": true, `""`: true, "[null]": true} {
		_, problems := oauth.NewClient(oauth.Settings{
			"redirect_uris": []string{"https://app.example/"}, "claims": map[string]oauth.Claim{"tier": {Value: json.RawMessage(value)}},
		})
		if (problems == nil) != want {
			t.Errorf("%s: %v", value, problems)
		}
	}
}

// In YAML a field without a value is null.
func TestNullIsTheDefaultOfAField(t *testing.T) {
	s := oauth.Settings{"kind": "web", "redirect_uris": []string{"https://app.example/"}}
	want, _ := oauth.NewClient(s)
	for _, field := range []string{"require_pkce", "consent", "grant_types", "scopes", "token_endpoint_auth_method", "refresh_reuse_grace_seconds", "policy_uri"} {
		s[field] = nil
	}
	if got, problems := oauth.NewClient(s); problems != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v instead of %+v, %v", got, want, problems)
	}
	weaker, _ := want.With(oauth.Settings{"require_pkce": false, "consent": false, "policy_uri": "https://app.example/p"})
	if got, problems := weaker.With(oauth.Settings{"require_pkce": nil, "consent": nil, "policy_uri": nil}); problems != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("changed: %+v instead of %+v, %v", got, want, problems)
	}
}
