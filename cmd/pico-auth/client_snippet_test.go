package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

func TestSnippetIsOfTheGrantsThatTheClientHas(t *testing.T) {
	code, device := "config.AuthCodeURL(", "config.DeviceAuth("
	redirects := []string{"http://127.0.0.1/callback"}
	for name, c := range map[string]struct {
		client oauth.Client
		want   []string
	}{
		"code":   {oauth.Client{GrantTypes: []string{oauth.GrantCode}, RedirectURIs: redirects}, []string{code}},
		"device": {oauth.Client{GrantTypes: []string{oauth.GrantDevice}}, []string{device}},
		"both":   {oauth.Client{GrantTypes: []string{oauth.GrantCode, oauth.GrantDevice}, RedirectURIs: redirects}, []string{code, device}},
	} {
		c.client.Kind = oauth.KindNative
		text := snippet("http://localhost:8100", c.client, "")
		for _, part := range []string{code, device} {
			wanted := false
			for _, w := range c.want {
				wanted = wanted || w == part
			}
			if strings.Contains(text, part) != wanted {
				t.Errorf("%s: the snippet has %s: %v, want %v:\n%s", name, part, !wanted, wanted, text)
			}
		}
	}
}

// A client has one method, and the token endpoint refuses every other.
func TestSnippetOfAMachineAuthenticatesByItsMethod(t *testing.T) {
	for method, want := range map[string]string{
		oauth.AuthSecretBasic: "\ncurl -u 'job:secret' -d grant_type=client_credentials http://localhost:8100/oauth2/token\n",
		oauth.AuthSecretPost:  "\ncurl -d grant_type=client_credentials -d client_id=job -d client_secret=secret http://localhost:8100/oauth2/token\n",
		oauth.AuthPrivateKeyJWT: `
// npm install openid-client
import { readFile } from 'node:fs/promises'
import * as oidc from 'openid-client'

// key.json: the private JWK of a key in the key set of the client
const jwk = JSON.parse(await readFile('key.json', 'utf8'))
const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const config = await oidc.discovery(new URL("http://localhost:8100"), "job", undefined, oidc.PrivateKeyJwt({ key, kid: jwk.kid }), { execute: [oidc.allowInsecureRequests] })
const { access_token } = await oidc.clientCredentialsGrant(config)
`,
	} {
		c := oauth.Client{ID: "job", Kind: oauth.KindMachine, AuthMethod: method}
		if method == oauth.AuthPrivateKeyJWT {
			c.JWKS = json.RawMessage(`{"keys": [{"kty": "EC", "crv": "P-256"}]}`)
		}
		if got := snippet("http://localhost:8100", c, "secret"); got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
}
