package main

import (
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
		options := ""
		if strings.HasPrefix(issuer, "http:") {
			options = ", { execute: [oidc.allowInsecureRequests] }" // of a server in development
		}
		text = fmt.Sprintf(`
// npm install openid-client
import * as oidc from 'openid-client'

const config = await oidc.discovery(new URL(%q), %q, undefined, %s%s)
const verifier = oidc.randomPKCECodeVerifier()     // keep it in the session of the browser
const url = oidc.buildAuthorizationUrl(config, {
  redirect_uri: %q,
  scope: %q,
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
})
// at redirect_uri: oidc.authorizationCodeGrant(config, currentUrl, { pkceCodeVerifier: verifier })
`, issuer, c.ID, proofOf(c, secret), options, redirect, scope)
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
		text = machineSnippet(base, c, secret)
	}
	if keys := keySetOf(issuer, c); keys != "" {
		text += "\nThe keys of its tokens are at " + keys + "; discovery names the other key set.\n"
	}
	return text
}

// machineSnippet is empty where the client authenticates with a key.
func machineSnippet(base string, c oauth.Client, secret string) string {
	switch c.AuthMethod {
	case oauth.AuthSecretBasic:
		return fmt.Sprintf("\ncurl -u '%s:%s' -d grant_type=client_credentials %s/oauth2/token\n", c.ID, secret, base)
	case oauth.AuthSecretPost:
		return fmt.Sprintf("\ncurl -d grant_type=client_credentials -d client_id=%s -d client_secret=%s %s/oauth2/token\n", c.ID, secret, base)
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
		return "oidc.PrivateKeyJwt(privateKey)"
	default:
		return fmt.Sprintf("oidc.ClientSecretBasic(%q)", secret)
	}
}
