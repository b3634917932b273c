package client_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

func newServiceToken(name, role string) token.NewServiceToken {
	return token.NewServiceToken{Name: name, Role: role}
}

// assertion signs claims of the client; changes replace some of them, nil removes one.
func (w *world) assertion(signer *jose.Signer, clientID string, changes map[string]any) oauth.ClientCredentials {
	w.t.Helper()
	now := w.Clock.Now().Unix()
	claims := map[string]any{"iss": clientID, "sub": clientID, "aud": testrig.Issuer, "iat": now, "exp": now + 60, "jti": fmt.Sprint(len(w.Log.String()), changes)}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	w.ok(err)
	signed, err := signer.Sign(payload)
	w.ok(err)
	return with(oauth.AuthPrivateKeyJWT, "", signed)
}

func keySet(keys ...jose.JWK) map[string]any { return map[string]any{"keys": keys} }

func generate(t *testing.T, a jose.Algorithm) *jose.PrivateKey {
	t.Helper()
	key, err := jose.Generate(a)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAClientIsAuthenticatedByAKeyOfEveryAlgorithm(t *testing.T) {
	w := &world{testrig.Open(t), t}
	for _, a := range jose.Algorithms() {
		key := generate(t, a)
		c, secret := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key.Public().JWK("k1"))})
		if secret != "" {
			t.Errorf("%s: a client with a key got a secret", a)
		}
		for _, aud := range []string{testrig.Issuer, testrig.Issuer + "/oauth2/token"} {
			_, err := w.Clients.Authenticate(t.Context(), remote, w.assertion(jose.NewSigner(key, "k1"), c.ID, map[string]any{"aud": aud}))
			w.ok(err)
		}
	}
}

// OpenID Connect Core 9, RFC 7523 section 3.
func TestRFC7523Section3ClientAssertions(t *testing.T) {
	each(t, func(w *world) {
		key, attacker := generate(t, jose.ES256), generate(t, jose.ES256)
		c, _ := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key.Public().JWK("k1"))})
		other, _ := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(attacker.Public().JWK("k1"))})
		signer := jose.NewSigner(key, "k1")
		now := w.Clock.Now().Unix()
		for name, changes := range map[string]map[string]any{
			"audience of another server": {"aud": "https://other.example"}, "audience in a list": {"aud": []string{testrig.Issuer}}, "no audience": {"aud": nil},
			"userinfo as audience": {"aud": testrig.Issuer + "/oauth2/userinfo"}, "no issuer": {"iss": nil}, "another issuer": {"iss": other.ID},
			"another subject": {"sub": other.ID}, "no subject": {"sub": nil}, "expired": {"exp": now - 60}, "no expiry": {"exp": nil}, "expiry as text": {"exp": "9999999999"},
			"expires in an hour": {"exp": now + 3600}, "expires never": {"exp": 1e300}, "issued in the future": {"iat": now + 120}, "not yet valid": {"nbf": now + 120},
			"nbf as text": {"nbf": "0"}, "no jti": {"jti": nil}, "empty jti": {"jti": ""}, "jti as number": {"jti": 7},
		} {
			_, err := w.Clients.Authenticate(t.Context(), remote, w.assertion(signer, c.ID, changes))
			if err == nil {
				t.Errorf("%s is accepted", name)
				continue
			}
			w.refused(oauth.InvalidClient, err)
		}
		for name, creds := range map[string]oauth.ClientCredentials{
			"a key of another client": w.assertion(jose.NewSigner(attacker, "k1"), c.ID, nil),
			"an unknown kid":          w.assertion(jose.NewSigner(key, "k2"), c.ID, nil),
			"a key as a secret":       with(oauth.AuthSecretBasic, c.ID, ""),
			"no token":                with(oauth.AuthPrivateKeyJWT, c.ID, "x"),
			"alg none":                with(oauth.AuthPrivateKeyJWT, "", b64(`{"alg":"none"}`)+"."+b64(`{"sub":"`+c.ID+`"}`)+"."),
		} {
			_, err := w.Clients.Authenticate(t.Context(), remote, creds)
			t.Log(name)
			w.refused(oauth.InvalidClient, err)
		}
		good := w.assertion(signer, c.ID, map[string]any{"jti": "good", "nbf": now + 5, "iat": now + 5, "exp": now + 300})
		good.ClientID = other.ID
		_, err := w.Clients.Authenticate(t.Context(), remote, good)
		w.refused(oauth.InvalidClient, err)
		good.ClientID = c.ID
		_, err = w.Clients.Authenticate(t.Context(), remote, good)
		w.ok(err)
		_, err = w.Clients.Authenticate(t.Context(), remote, w.assertion(jose.NewSigner(key, ""), c.ID, map[string]any{"jti": "without kid"}))
		w.ok(err)
	})
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestAClientAssertionIsAcceptedOnceUnderConcurrency(t *testing.T) {
	each(t, func(w *world) {
		key := generate(t, jose.EdDSA)
		c, _ := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key.Public().JWK("k1"))})
		creds := w.assertion(jose.NewSigner(key, "k1"), c.ID, nil)
		var all sync.WaitGroup
		accepted := make(chan string, 8)
		for range cap(accepted) {
			all.Go(func() {
				if got, err := w.Clients.Authenticate(t.Context(), remote, creds); err == nil {
					accepted <- got.ID
				}
			})
		}
		all.Wait()
		if len(accepted) != 1 {
			t.Errorf("accepted %d times", len(accepted))
		}
	})
}

func TestKeysOfAClientArePublicAndUsable(t *testing.T) {
	w := &world{testrig.Open(t), t}
	key := generate(t, jose.EdDSA).Public().JWK("k1")
	private := map[string]any{"kty": key.Kty, "crv": key.Crv, "x": key.X, "d": key.X, "kid": "k1"}
	for name, set := range map[string]any{
		"private": map[string]any{"keys": []any{private}}, "symmetric": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "AAAA"}}},
		"empty": map[string]any{"keys": []any{}}, "no set": []any{}, "one kid for two": keySet(key, key), "large": map[string]any{"keys": []any{}, "x": strings.Repeat("x", 20<<10)},
		"for encryption": map[string]any{"keys": []any{map[string]any{"kty": key.Kty, "crv": key.Crv, "x": key.X, "use": "enc"}}}, "text": "x",
	} {
		_, _, err := w.Clients.Create(t.Context(), system, oauth.Settings{
			"kind": "machine", "token_endpoint_auth_method": "private_key_jwt", "jwks": set,
		})
		t.Log(name)
		w.wants(fault.Invalid, "validation_failed", err)
	}
	_, _, err := w.Clients.Create(t.Context(), system, oauth.Settings{"kind": "machine", "token_endpoint_auth_method": "private_key_jwt"})
	w.wants(fault.Invalid, "validation_failed", err)
	_, _, err = w.Clients.Create(t.Context(), system, oauth.Settings{"kind": "machine", "jwks": keySet(key)})
	w.wants(fault.Invalid, "validation_failed", err)
}

// Discovery names the token endpoint with one slash, whether the issuer ends with one.
func TestTheTokenEndpointOfAnIssuerWithASlash(t *testing.T) {
	w := &world{testrig.Open(t), t}
	key := generate(t, jose.ES256)
	c, _ := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key.Public().JWK("k1"))})
	clients := client.New(client.Config{Store: w.Store, Audit: w.Audit, Issuer: "https://id.example/", Now: w.Clock.Now})
	for aud, want := range map[string]bool{"https://id.example/": true, "https://id.example/oauth2/token": true, "https://id.example//oauth2/token": false} {
		_, err := clients.Authenticate(t.Context(), remote, w.assertion(jose.NewSigner(key, "k1"), c.ID, map[string]any{"aud": aud}))
		if (err == nil) != want {
			t.Errorf("%s: %v", aud, err)
		}
	}
}

// Each is stored until it expires: one client must not fill the database.
func TestAssertionsOfAClientAreBounded(t *testing.T) {
	each(t, func(w *world) {
		key := generate(t, jose.EdDSA)
		c, _ := w.client(oauth.Settings{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key.Public().JWK("k1"))})
		authenticate := func(n int) error {
			_, err := w.Clients.Authenticate(t.Context(), remote, w.assertion(jose.NewSigner(key, "k1"), c.ID, map[string]any{"jti": fmt.Sprint(n)}))
			return err
		}
		w.ok(authenticate(0))
		for range 3 { // by an attacker who has got hold of it
			if err := authenticate(0); fault.KindOf(err) == fault.Throttled || err == nil {
				t.Errorf("a used assertion: %v", err)
			}
		}
		w.ok(authenticate(1))
		w.ok(authenticate(2))
		if err := authenticate(3); fault.KindOf(err) != fault.Throttled {
			t.Errorf("beyond the limit: %v", err)
		}
		w.Clock.Advance(6 * time.Minute)
		w.ok(authenticate(3)) // it was not used
	}, func(c *testrig.Config) { c.Throttle.Assertions = 3 })
}
