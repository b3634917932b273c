package picoauth_test

import (
	"crypto/ed25519"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// TestOnlyAccessTokensAreAccepted: an issuer signs several kinds of token with
// the same keys, and a service accepts only one of them.
func TestOnlyAccessTokensAreAccepted(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	set := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k","x":"` + b64(public) + `"}]}`)
	g, err := picoauth.New(picoauth.Config{
		Issuer: wireIssuer, Audience: wireAudience,
		Client: localkeys.Client(func() []byte { return set }, nil), Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	mint := func(header string, own claims) string {
		all := atNoon(claims{"iss": wireIssuer, "aud": wireAudience, "sub": "u1"})
		maps.Copy(all, own)
		payload, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		input := b64([]byte(`{"alg":"EdDSA","kid":"k"`+header+`}`)) + "." + b64(payload)
		return input + "." + b64(ed25519.Sign(private, []byte(input)))
	}
	for name, c := range map[string]struct {
		header string
		own    claims
		status int // zero: accepted
	}{
		"JWT":                         {`,"typ":"JWT"`, nil, 0},
		"at+jwt":                      {`,"typ":"at+jwt"`, claims{"client_id": "app", "scope": "notes", "auth_time": 1, "acr": "1"}, 0},
		"logout+jwt":                  {`,"typ":"logout+jwt"`, nil, 401},
		"another type":                {`,"typ":"dpop+jwt"`, nil, 401},
		"no type":                     {``, nil, 401},
		"type not a string":           {`,"typ":["JWT"]`, nil, 401},
		"ID token":                    {`,"typ":"JWT"`, claims{"nonce": "n", "at_hash": "a"}, 401},
		"ID token with a nonce only":  {`,"typ":"JWT"`, claims{"nonce": ""}, 401},
		"ID token with c_hash only":   {`,"typ":"JWT"`, claims{"c_hash": "c"}, 401},
		"ID token as an access token": {`,"typ":"at+jwt"`, claims{"at_hash": "a"}, 401},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, verify(t, g, mint(c.header, c.own)), c.status) })
	}
}
