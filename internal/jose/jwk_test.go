package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeysSurviveTheKeySet(t *testing.T) {
	var set jose.JWKSet
	for name, key := range keys() {
		set.Keys = append(set.Keys, key.Public().JWK(string(name)))
	}
	parsed, err := jose.ParseJWKSet([]byte(marshal(t, set)))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed) != len(keys()) {
		t.Errorf("%d keys of %d", len(parsed), len(keys()))
	}
	for name, key := range keys() {
		got := parsed[string(name)]
		if got == nil || !got.Equal(key.Public()) || got.Algorithm() != name {
			t.Errorf("%s: decoded as %v", name, got)
		}
	}
}

func TestKeySetHoldsNoPrivateMember(t *testing.T) {
	for name, key := range keys() {
		var members map[string]string
		if err := json.Unmarshal([]byte(marshal(t, key.Public().JWK("k"))), &members); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{
			"RSA": {"kty", "kid", "use", "alg", "n", "e"}, "EC": {"kty", "kid", "use", "alg", "crv", "x", "y"},
			"OKP": {"kty", "kid", "use", "alg", "crv", "x"}, "AKP": {"kty", "kid", "use", "alg", "pub"},
		}[members["kty"]]
		if len(members) != len(want) {
			t.Errorf("%s: members %v, want %v", name, members, want)
		}
		for _, member := range want {
			if members[member] == "" {
				t.Errorf("%s: no %s", name, member)
			}
		}
	}
}

// entry is a JWK of a real key with members set, or removed where nil.
func entry(t testing.TB, name jose.Algorithm, kid string, changes map[string]any) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(marshal(t, keys()[name].Public().JWK(kid))), &members); err != nil {
		t.Fatal(err)
	}
	for member, value := range changes {
		if members[member] = value; value == nil {
			delete(members, member)
		}
	}
	return marshal(t, members)
}

func TestUselessEntriesAreSkippedAndOthersKept(t *testing.T) {
	long := func(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }
	modulus := func(bits uint, odd bool) string {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		if odd {
			n.SetBit(n, 0, 1)
		}
		return base64.RawURLEncoding.EncodeToString(n.Bytes())
	}
	ec := keys()[jose.ES256].Public().JWK("")
	cases := map[string]string{
		"symmetric":               `{"kty":"oct","kid":"x","alg":"HS256","k":"AAAA"}`,
		"symmetric named RS256":   `{"kty":"oct","kid":"x","alg":"RS256","k":"AAAA"}`,
		"unknown type":            `{"kty":"PQ","kid":"x","alg":"FUTURE"}`,
		"unknown algorithm":       entry(t, jose.RS256, "x", map[string]any{"alg": "RS1"}),
		"no type":                 entry(t, jose.RS256, "x", map[string]any{"kty": nil}),
		"no kid":                  entry(t, jose.RS256, "", nil),
		"kid as a number":         entry(t, jose.RS256, "x", map[string]any{"kid": 1}),
		"for encryption":          entry(t, jose.RS256, "x", map[string]any{"use": "enc"}),
		"operations without use":  entry(t, jose.RS256, "x", map[string]any{"key_ops": []string{"encrypt"}}),
		"operations no list":      entry(t, jose.RS256, "x", map[string]any{"key_ops": "verify"}),
		"private RSA":             entry(t, jose.RS256, "x", map[string]any{"d": "AQAB"}),
		"private primes":          entry(t, jose.RS256, "x", map[string]any{"p": "AQAB"}),
		"private EC":              entry(t, jose.ES256, "x", map[string]any{"d": "AQAB"}),
		"private AKP":             entry(t, jose.MLDSA65, "x", map[string]any{"priv": "AQAB"}),
		"alg of another type":     entry(t, jose.RS256, "x", map[string]any{"alg": "ES256"}),
		"alg of another curve":    entry(t, jose.ES256, "x", map[string]any{"crv": "P-384"}),
		"ES384 on P-256":          entry(t, jose.ES256, "x", map[string]any{"alg": "ES384"}),
		"PS256 of EC":             entry(t, jose.ES256, "x", map[string]any{"alg": "PS256"}),
		"ES256 on P-384":          entry(t, jose.ES384, "x", map[string]any{"alg": "ES256"}),
		"PS384":                   entry(t, jose.PS256, "x", map[string]any{"alg": "PS384"}),
		"RSA of 1024 bits":        entry(t, jose.RS256, "x", map[string]any{"n": modulus(1024, true)}),
		"RSA of 2047 bits":        entry(t, jose.RS256, "x", map[string]any{"n": modulus(2047, true)}),
		"RSA of 8200 bits":        entry(t, jose.RS256, "x", map[string]any{"n": modulus(8200, true)}),
		"RSA, even modulus":       entry(t, jose.RS256, "x", map[string]any{"n": modulus(2048, false)}),
		"RSA, no modulus":         entry(t, jose.RS256, "x", map[string]any{"n": nil}),
		"RSA, leading zero":       entry(t, jose.RS256, "x", map[string]any{"n": "AA" + keys()[jose.RS256].Public().JWK("").N}),
		"RSA, n not base64url":    entry(t, jose.RS256, "x", map[string]any{"n": "+/=="}),
		"RSA, no exponent":        entry(t, jose.RS256, "x", map[string]any{"e": nil}),
		"RSA, e not base64url":    entry(t, jose.RS256, "x", map[string]any{"e": "A"}),
		"RSA, exponent 1":         entry(t, jose.RS256, "x", map[string]any{"e": "AQ"}),
		"RSA, even exponent":      entry(t, jose.RS256, "x", map[string]any{"e": "BA"}),
		"RSA, exponent 2^32-1":    entry(t, jose.RS256, "x", map[string]any{"e": "_____w"}),
		"RSA, exponent of 5 byte": entry(t, jose.RS256, "x", map[string]any{"e": "AQAAAAE"}),
		"EC, off the curve":       entry(t, jose.ES256, "x", map[string]any{"x": ec.Y}),
		"EC, short coordinate":    entry(t, jose.ES256, "x", map[string]any{"x": long(31)}),
		"EC, long coordinate":     entry(t, jose.ES256, "x", map[string]any{"y": long(33)}),
		"EC, x not base64url":     entry(t, jose.ES256, "x", map[string]any{"x": "*"}),
		"EC, y not base64url":     entry(t, jose.ES256, "x", map[string]any{"y": "*"}),
		"Ed25519, short":          entry(t, jose.EdDSA, "x", map[string]any{"x": long(31)}),
		"Ed25519, not base64url":  entry(t, jose.EdDSA, "x", map[string]any{"x": "*"}),
		"X25519":                  entry(t, jose.EdDSA, "x", map[string]any{"crv": "X25519"}),
		"AKP without alg":         entry(t, jose.MLDSA65, "x", map[string]any{"alg": nil}),
		"AKP of another size":     entry(t, jose.MLDSA65, "x", map[string]any{"alg": "ML-DSA-87"}),
		"AKP, not base64url":      entry(t, jose.MLDSA65, "x", map[string]any{"pub": "*"}),
	}
	for name, useless := range cases {
		t.Run(name, func(t *testing.T) {
			good := entry(t, jose.ES256, "good", nil)
			parsed, err := jose.ParseJWKSet([]byte(`{"keys":[` + useless + `,` + good + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if len(parsed) != 1 || parsed["good"] == nil {
				t.Errorf("keys %v", parsed)
			}
		})
	}
}

func TestAlgorithmIsInferredWhereTypeLeavesNoDoubt(t *testing.T) {
	for _, name := range []jose.Algorithm{jose.RS256, jose.ES256, jose.ES384, jose.EdDSA} {
		bare := entry(t, name, "k", map[string]any{"alg": nil, "use": nil, "key_ops": []string{"verify"}})
		parsed, err := jose.ParseJWKSet([]byte(`{"keys":[` + bare + `],"extra":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if parsed["k"] == nil || parsed["k"].Algorithm() != name {
			t.Errorf("%s: %v", name, parsed)
		}
	}
	renamed := entry(t, jose.EdDSA, "k", map[string]any{"alg": "Ed25519"})
	parsed, err := jose.ParseJWKSet([]byte(`{"keys":[` + renamed + `]}`))
	if err != nil || parsed["k"] == nil || parsed["k"].Algorithm() != jose.EdDSA {
		t.Errorf("Ed25519: %v %v", parsed, err)
	}
}

// RFC 7517 section 4.4: what a key's alg names is all that the key is for.
func TestRSAKeyVerifiesWhatItsAlgNamesAndNothingElse(t *testing.T) {
	for _, own := range []jose.Algorithm{jose.RS256, jose.PS256} {
		token, err := jose.NewSigner(keys()[own], "k").Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		for alg, verifies := range map[any]bool{"RS256": own == jose.RS256, "PS256": own == jose.PS256, nil: own == jose.RS256} {
			parsed, err := jose.ParseJWKSet([]byte(`{"keys":[` + entry(t, own, "k", map[string]any{"alg": alg}) + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := jose.Verify(token, only(parsed["k"])); (err == nil) != verifies {
				t.Errorf("%s token, key for %v: %v", own, alg, err)
			}
		}
	}
}

func TestUnsoundKeySetsAreRefused(t *testing.T) {
	good := entry(t, jose.ES256, "k", nil)
	cases := map[string]string{
		"empty":             ``,
		"no object":         `[` + good + `]`,
		"no keys":           `{}`,
		"keys no list":      `{"keys":` + good + `}`,
		"keys null":         `{"keys":null}`,
		"entry no object":   `{"keys":["x",` + good + `]}`,
		"duplicate keys":    `{"keys":[],"keys":[` + good + `]}`,
		"duplicate member":  `{"keys":[{"kty":"EC","kty":"EC"},` + good + `]}`,
		"trailing data":     `{"keys":[` + good + `]}x`,
		"one kid, two keys": `{"keys":[` + good + `,` + entry(t, jose.EdDSA, "k", nil) + `]}`,
		"too long":          `{"keys":[` + good + `],"x":"` + strings.Repeat("x", jose.MaxKeySet) + `"}`,
	}
	for name, set := range cases {
		t.Run(name, func(t *testing.T) {
			if parsed, err := jose.ParseJWKSet([]byte(set)); !errors.Is(err, jose.ErrKey) || parsed != nil {
				t.Errorf("%v %v", parsed, err)
			}
		})
	}
	if parsed, err := jose.ParseJWKSet([]byte(`{"keys":[]}`)); err != nil || len(parsed) != 0 {
		t.Errorf("no keys at all is sound: %v %v", parsed, err)
	}
}

func TestParseAlgorithm(t *testing.T) {
	for _, name := range append(jose.Algorithms(), "Ed25519") {
		got, err := jose.ParseAlgorithm(string(name))
		if err != nil || (got != name && got != jose.EdDSA) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	for _, name := range []string{"", "none", "HS256", "HS384", "HS512", "rs256", "RS512", "ML-DSA", "Ed448"} {
		if got, err := jose.ParseAlgorithm(name); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

func ExampleVerify() {
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		panic(err)
	}
	kid := key.Public().Thumbprint()
	token, err := jose.NewSigner(key, kid).Sign([]byte(`{"sub":"anna"}`))
	if err != nil {
		panic(err)
	}
	published := map[string]*jose.PublicKey{kid: key.Public()}
	claims, header, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
		return published[h.KeyID], nil
	})
	fmt.Println(string(claims), header.Algorithm, err)
	// Output: {"sub":"anna"} EdDSA <nil>
}
