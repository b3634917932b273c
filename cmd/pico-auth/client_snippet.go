package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/oauth"
)

// snippet shows how the popular library of the client's kind uses it.
func snippet(issuer string, c oauth.Client, secret string) string {
	base := strings.TrimRight(issuer, "/")
	var text string
	redirect := ""
	if len(c.RedirectURIs) > 0 {
		redirect = c.RedirectURIs[0]
	}
	scope := strings.Join(c.Scopes, " ")
	switch c.Kind {
	case oauth.KindSPA:
		text = fmt.Sprintf(`
// npm install oidc-client-ts
import { UserManager } from 'oidc-client-ts'

const users = new UserManager({
  authority: %q,
  client_id: %q,
  redirect_uri: %q,
  scope: %q,
})
await users.signinRedirect()          // on the page at redirect_uri: await users.signinCallback()
`, issuer, c.ID, redirect, scope)
	case oauth.KindWeb:
		text = discoverySnippet(issuer, c, secret) + fmt.Sprintf(`const verifier = oidc.randomPKCECodeVerifier()     // keep it in the session of the browser
const url = oidc.buildAuthorizationUrl(config, {
  redirect_uri: %q,
  scope: %q,
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
})
// at redirect_uri: oidc.authorizationCodeGrant(config, currentUrl, { pkceCodeVerifier: verifier })
`, redirect, scope)
	case oauth.KindNative:
		if c.Allows(oauth.GrantDevice) {
			text = deviceSnippet(issuer, c.ID, scope)
		}
		if redirect == "" {
			break
		}
		text += fmt.Sprintf(`
// go get golang.org/x/oauth2
config := oauth2.Config{
	ClientID:    %q,
	Endpoint:    oauth2.Endpoint{AuthURL: %q, TokenURL: %q, AuthStyle: oauth2.AuthStyleInParams},
	RedirectURL: %q,
	Scopes:      strings.Fields(%q),
}
verifier := oauth2.GenerateVerifier()
url := config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)) // open it in the system's browser
// at the redirect: config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
`, c.ID, base+"/oauth2/authorize", base+"/oauth2/token", redirect, scope)
	case oauth.KindMachine:
		text = machineSnippet(issuer, c, secret)
	}
	if keys := keySetOf(issuer, c); keys != "" {
		text += "\nThe keys of its tokens are at " + keys + "; discovery names the other key set.\n"
	}
	return text
}

// discoverySnippet is the beginning with openid-client.
func discoverySnippet(issuer string, c oauth.Client, secret string) string {
	options, readFile := "", ""
	if strings.HasPrefix(issuer, "http:") {
		options = ", { execute: [oidc.allowInsecureRequests] }" // of a server in development
	}
	if c.AuthMethod == oauth.AuthPrivateKeyJWT {
		readFile = "import { readFile } from 'node:fs/promises'\n"
	}
	return fmt.Sprintf(`
// npm install openid-client
%simport * as oidc from 'openid-client'

%sconst config = await oidc.discovery(new URL(%q), %q, undefined, %s%s)
`, readFile, keySnippet(c), issuer, c.ID, proofOf(c, secret), options)
}

// keySnippet reads the private key of the client; empty: it authenticates with a secret.
func keySnippet(c oauth.Client) string {
	if c.AuthMethod != oauth.AuthPrivateKeyJWT {
		return ""
	}
	return fmt.Sprintf(`// key.json: the private JWK of a key in the key set of the client
const jwk = JSON.parse(await readFile('key.json', 'utf8'))
const key = await crypto.subtle.importKey('jwk', jwk, %s, false, ['sign'])
`, importOf(c.JWKS))
}

// importOf is the algorithm of the first key as the Web Cryptography API names it.
func importOf(keys json.RawMessage) string {
	var set struct {
		Keys []struct{ Kty, Crv, Alg string }
	}
	_ = json.Unmarshal(keys, &set) // the server has made sure
	if len(set.Keys) == 0 {
		return "algorithm"
	}
	switch k := set.Keys[0]; {
	case k.Kty == "EC":
		return fmt.Sprintf("{ name: 'ECDSA', namedCurve: '%s' }", k.Crv)
	case k.Kty == "RSA" && k.Alg == "PS256":
		return "{ name: 'RSA-PSS', hash: 'SHA-256' }"
	case k.Kty == "RSA":
		return "{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }"
	default:
		return "'" + cmp.Or(k.Crv, k.Alg) + "'"
	}
}

func machineSnippet(issuer string, c oauth.Client, secret string) string {
	base := strings.TrimRight(issuer, "/")
	switch c.AuthMethod {
	case oauth.AuthSecretBasic:
		return fmt.Sprintf("\ncurl -u '%s:%s' -d grant_type=client_credentials %s/oauth2/token\n", c.ID, secret, base)
	case oauth.AuthSecretPost:
		return fmt.Sprintf("\ncurl -d grant_type=client_credentials -d client_id=%s -d client_secret=%s %s/oauth2/token\n", c.ID, secret, base)
	case oauth.AuthPrivateKeyJWT:
		return discoverySnippet(issuer, c, secret) + "const { access_token } = await oidc.clientCredentialsGrant(config)\n"
	default:
		return ""
	}
}

// deviceSnippet is for a device without a browser, RFC 8628.
func deviceSnippet(issuer, id, scope string) string {
	return fmt.Sprintf(`
// go get golang.org/x/oauth2
config := oauth2.Config{
	ClientID: %q,
	Endpoint: oauth2.Endpoint{DeviceAuthURL: %q, TokenURL: %q, AuthStyle: oauth2.AuthStyleInParams},
	Scopes:   strings.Fields(%q),
}
device, err := config.DeviceAuth(ctx) // show device.UserCode and device.VerificationURI
// until the user has decided: config.DeviceAccessToken(ctx, device)
`, id, issuer+"/oauth2/device", issuer+"/oauth2/token", scope)
}

// proofOf is how openid-client authenticates as the client. Its own default is
// client_secret_post.
func proofOf(c oauth.Client, secret string) string {
	switch c.AuthMethod {
	case oauth.AuthSecretPost:
		return fmt.Sprintf("oidc.ClientSecretPost(%q)", secret)
	case oauth.AuthPrivateKeyJWT:
		return "oidc.PrivateKeyJwt({ key, kid: jwk.kid })"
	default:
		return fmt.Sprintf("oidc.ClientSecretBasic(%q)", secret)
	}
}
