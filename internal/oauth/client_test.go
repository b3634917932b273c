package oauth_test

import (
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
