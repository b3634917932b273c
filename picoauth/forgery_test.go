package picoauth_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// localGuard is a guard with the key set of issuer, without a network.
func localGuard(t testing.TB, issuer *picoauthtest.Issuer, change ...func(*picoauth.Config)) *picoauth.Guard {
	t.Helper()
	cfg := issuer.Config()
	cfg.Client = localkeys.Client(issuer.KeySet, nil)
	for _, f := range change {
		f(&cfg)
	}
	g, err := picoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestForgedTokensAreRefused(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t)
	g := localGuard(t, issuer)
	good := issuer.Mint()
	if _, err := g.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	kid := issuer.KeyID()
	public := rsaKey(t, issuer.KeySet())
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: mustPKIX(t, public)})

	attacker, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edwards, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	reheaded := func(head string) string { return b64([]byte(head)) + "." + payload + "." + signature }
	hs256 := func(key []byte) string {
		input := b64([]byte(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`)) + "." + payload
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	}
	// attackerSigned is a token that verifies with the attacker's key.
	attackerSigned := func(members string) string {
		input := b64([]byte(`{"alg":"RS256","typ":"JWT",`+members+`}`)) + "." + payload
		digest := sha256.Sum256([]byte(input))
		sig, err := rsa.SignPKCS1v15(rand.Reader, attacker, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64(sig)
	}
	kidIs := `"kid":"` + kid + `"`
	attackerJWK := `{"kty":"RSA","alg":"RS256","use":"sig",` + kidIs + `,"e":"AQAB","n":"` + b64(attacker.N.Bytes()) + `"}`

	for name, token := range map[string]string{
		"alg none":                   reheaded(`{"alg":"none","kid":"` + kid + `","typ":"JWT"}`),
		"alg none, no signature":     b64([]byte(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`)) + "." + payload + ".",
		"alg NONE":                   reheaded(`{"alg":"NONE","kid":"` + kid + `","typ":"JWT"}`),
		"alg missing":                reheaded(`{"kid":"` + kid + `","typ":"JWT"}`),
		"alg lower case":             reheaded(`{"alg":"rs256","kid":"` + kid + `","typ":"JWT"}`),
		"HS256 with the public PEM":  hs256(publicPEM),
		"HS256 with the public DER":  hs256(mustPKIX(t, public)),
		"HS256 with the modulus":     hs256(public.N.Bytes()),
		"HS256 with nothing":         hs256(nil),
		"PS256 header":               reheaded(`{"alg":"PS256","kid":"` + kid + `","typ":"JWT"}`),
		"ES256 header":               reheaded(`{"alg":"ES256","kid":"` + kid + `","typ":"JWT"}`),
		"ML-DSA-65 header":           reheaded(`{"alg":"ML-DSA-65","kid":"` + kid + `","typ":"JWT"}`),
		"EdDSA under the RSA kid":    signRaw(t, edwards, kid, claims),
		"attacker's key, our kid":    attackerSigned(kidIs),
		"attacker's key, their kid":  attackerSigned(`"kid":"attacker"`),
		"attacker's key, no kid":     attackerSigned(`"jwk":` + attackerJWK),
		"attacker's key embedded":    attackerSigned(kidIs + `,"jwk":` + attackerJWK),
		"attacker's key by jku":      attackerSigned(kidIs + `,"jku":"https://evil.test/jwks"`),
		"attacker's key by x5u":      attackerSigned(kidIs + `,"x5u":"https://evil.test/x5u"`),
		"no kid":                     reheaded(`{"alg":"RS256","typ":"JWT"}`),
		"kid empty":                  reheaded(`{"alg":"RS256","kid":"","typ":"JWT"}`),
		"kid path":                   reheaded(`{"alg":"RS256","kid":"../../dev/null","typ":"JWT"}`),
		"kid number":                 reheaded(`{"alg":"RS256","kid":1,"typ":"JWT"}`),
		"duplicate kid":              reheaded(`{"alg":"RS256","kid":"x","kid":"` + kid + `","typ":"JWT"}`),
		"crit":                       reheaded(`{"alg":"RS256","kid":"` + kid + `","typ":"JWT","crit":["exp"]}`),
		"crit empty":                 reheaded(`{"alg":"RS256","kid":"` + kid + `","typ":"JWT","crit":[]}`),
		"same fields, other bytes":   reheaded(`{"typ":"JWT","kid":"` + kid + `","alg":"RS256"}`),
		"empty":                      "",
		"one part":                   header,
		"two parts":                  header + "." + payload,
		"no signature":               header + "." + payload + ".",
		"four parts":                 good + "." + signature,
		"five parts, JWE":            header + "...." + signature,
		"doubled":                    good + good,
		"doubled with a dot":         good + "." + good,
		"parts swapped":              payload + "." + header + "." + signature,
		"payload of another token":   header + "." + strings.Split(issuer.Mint(), ".")[1] + "." + signature,
		"signature of another":       header + "." + payload + "." + strings.Split(issuer.Mint(), ".")[2],
		"signature padded":           good + "==",
		"signature with line break":  good[:len(good)-4] + "\n" + good[len(good)-4:],
		"header with line break":     good[:4] + "\r\n" + good[4:],
		"trailing space":             good + " ",
		"standard alphabet":          header + "." + payload + "." + base64.RawStdEncoding.EncodeToString(append(make([]byte, 255), 0xfb)),
		"over 16 KiB":                good + strings.Repeat("A", 16<<10),
		"over 16 KiB, whole payload": issuer.Mint(picoauthtest.Claims{"pad": strings.Repeat("a", 13<<10)}),
		"signature cut by one":       good[:len(good)-1],
		"signature one longer":       good + "A",
		"signature of zeros":         header + "." + payload + "." + b64(make([]byte, 256)),
		"signature of the modulus":   header + "." + payload + "." + b64(public.N.FillBytes(make([]byte, 256))),
		"nul bytes":                  "\x00.\x00.\x00",
		"typ of a logout token":      reheaded(`{"alg":"RS256","kid":"` + kid + `","typ":"logout+jwt"}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.Verify(t.Context(), token)
			status, code := code(t, err)
			if status != 401 || code != picoauth.CodeInvalidToken {
				t.Errorf("got %d %s (%v), want 401 invalid_token", status, code, err)
			}
		})
	}
}

func TestEveryTruncationAndEveryChangedByteIsRefused(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := localGuard(t, issuer)
	good := issuer.Mint()
	for i := range len(good) {
		if _, err := g.Verify(t.Context(), good[:i]); err == nil {
			t.Fatalf("accepted the first %d bytes", i)
		}
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			bad := []byte(good)
			bad[i] ^= bit
			if _, err := g.Verify(t.Context(), string(bad)); err == nil {
				t.Fatalf("accepted with bit %d of byte %d changed", bit, i)
			}
		}
	}
}

func TestEveryAlgorithmVerifiesAndCanBeSwitchedOff(t *testing.T) {
	names := []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm(name))
			token := issuer.Mint()
			only := func(names ...string) func(*picoauth.Config) {
				return func(cfg *picoauth.Config) { cfg.Algorithms = names }
			}
			if _, err := localGuard(t, issuer).Verify(t.Context(), token); err != nil {
				t.Errorf("all algorithms: %v", err)
			}
			if _, err := localGuard(t, issuer, only(name)).Verify(t.Context(), token); err != nil {
				t.Errorf("only its own: %v", err)
			}
			other := names[(i+1)%len(names)]
			_, err := localGuard(t, issuer, only(other)).Verify(t.Context(), token)
			wantCode(t, err, 401)
		})
	}
}

// TestNothingOfATokenIsInItsRefusal puts a marker into every part of a token.
func TestNothingOfATokenIsInItsRefusal(t *testing.T) {
	const marker = "MARKERMARKER"
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := localGuard(t, issuer)
	for name, token := range map[string]string{
		"raw":     marker,
		"header":  b64([]byte(`{"alg":"`+marker+`","kid":"`+marker+`","typ":"JWT"}`)) + ".e30.e30",
		"kid":     b64([]byte(`{"alg":"EdDSA","kid":"`+marker+`","typ":"JWT"}`)) + ".e30.e30",
		"claim":   issuer.Mint(picoauthtest.Claims{"sub": []string{marker}}),
		"name":    issuer.Mint(picoauthtest.Claims{marker: 1, "iss": marker}),
		"aud":     issuer.Mint(picoauthtest.Claims{"aud": marker}),
		"payload": issuer.Sign([]byte(`{"` + marker + `":` + marker)),
	} {
		_, err := g.Verify(t.Context(), token)
		if err == nil {
			t.Fatalf("%s: accepted", name)
		}
		if strings.Contains(err.Error(), marker) {
			t.Errorf("%s: the error contains part of the token: %v", name, err)
		}
	}
}

// FuzzVerify verifies mutated tokens: only the signed one may pass.
func FuzzVerify(f *testing.F) {
	issuer := picoauthtest.Start(picoauthtest.WithAlgorithm("EdDSA"))
	f.Cleanup(issuer.Close)
	g := localGuard(f, issuer)
	good := issuer.Mint()
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(parts[0] + ".." + parts[2])
	f.Fuzz(func(t *testing.T, token string) {
		_, err := g.Verify(context.Background(), token)
		if err == nil {
			if token != good {
				t.Fatalf("accepted the forgery %q", token)
			}
			return
		}
		var refusal *picoauth.Refusal
		if !errors.As(err, &refusal) || refusal.Status != 401 {
			t.Fatalf("refused with %v", err)
		}
	})
}

func rsaKey(t *testing.T, set []byte) *rsa.PublicKey {
	t.Helper()
	var doc struct{ Keys []struct{ N string } }
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	n, err := base64.RawURLEncoding.DecodeString(doc.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}

func mustPKIX(t *testing.T, key *rsa.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
