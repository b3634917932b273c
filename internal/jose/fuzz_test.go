package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// FuzzVerify looks for a forgery: whatever verifies must be a token that was
// signed here, to the byte.
func FuzzVerify(f *testing.F) {
	signed := make(map[string]bool)
	for _, name := range jose.Algorithms() {
		token, err := jose.NewSigner(keys()[name], string(name)).Sign(claims)
		if err != nil {
			f.Fatal(err)
		}
		signed[token] = true
		f.Add(token)
	}
	f.Add("e30.e30.")
	f.Add(b64(`{"alg":"none","typ":"JWT"}`) + "." + b64(string(claims)) + ".")
	f.Fuzz(func(t *testing.T, token string) {
		_, _, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
			if key := keys()[jose.Algorithm(h.KeyID)]; key != nil {
				return key.Public(), nil
			}
			return keys()[h.Algorithm].Public(), nil
		})
		if err == nil && !signed[token] {
			t.Fatalf("forged: %s", token)
		}
		if header, payload, err := jose.Inspect(token); err == nil && len(header)+len(payload) > len(token) {
			t.Fatalf("inspect made %d bytes of %d", len(header)+len(payload), len(token))
		}
	})
}

// FuzzParseJWKSet: whatever is accepted can be published again and is the same.
func FuzzParseJWKSet(f *testing.F) {
	var set jose.JWKSet
	for _, name := range jose.Algorithms() {
		set.Keys = append(set.Keys, keys()[name].Public().JWK(string(name)))
		f.Add([]byte(marshal(f, jose.JWKSet{Keys: set.Keys[len(set.Keys)-1:]})))
	}
	f.Add([]byte(marshal(f, set)))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"a"},{"kty":"RSA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := jose.ParseJWKSet(data)
		if err != nil {
			return
		}
		var again jose.JWKSet
		for kid, key := range parsed {
			again.Keys = append(again.Keys, key.JWK(kid))
		}
		reparsed, err := jose.ParseJWKSet([]byte(marshal(t, again)))
		if err != nil && len(again.Keys) > 0 {
			t.Fatal(err)
		}
		for kid, key := range parsed {
			if reparsed[kid] == nil || !reparsed[kid].Equal(key) {
				t.Fatalf("%q changed", kid)
			}
		}
	})
}

// FuzzParsePrivatePEM: whatever is accepted signs what its public half verifies.
func FuzzParsePrivatePEM(f *testing.F) {
	for _, name := range withPEM {
		encoded, err := keys()[name].MarshalPEM()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	sec1, err := x509.MarshalECPrivateKey(standard(f, keys()[jose.ES256]).(*ecdsa.PrivateKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range withPEM {
			key, err := jose.ParsePrivatePEM(name, data)
			if err != nil {
				continue
			}
			token, err := jose.NewSigner(key, "k").Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := jose.Verify(token, only(key.Public())); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzParsePublicPEM: whatever is accepted is the same key as a JWK and again as
// PEM, and belongs to the algorithm that it was asked for.
func FuzzParsePublicPEM(f *testing.F) {
	for _, name := range withPEM {
		encoded, err := keys()[name].Public().MarshalPEM()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range withPEM {
			key, err := jose.ParsePublicPEM(name, data)
			if err != nil {
				continue
			}
			encoded, err := key.MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			again, err := jose.ParsePublicPEM(name, encoded)
			if err != nil || !again.Equal(key) || key.Algorithm() != name {
				t.Fatalf("%s: another key from its own PEM: %v", name, err)
			}
			if published, err := jose.ParseJWK(key.JWK("k")); err != nil || !published.Equal(key) {
				t.Fatalf("%s: another key from its own JWK: %v", name, err)
			}
		}
	})
}

// FuzzParseExpandedMLDSA: whatever is accepted is written as it was read, and
// signs what its public half verifies.
func FuzzParseExpandedMLDSA(f *testing.F) {
	pq := []jose.Algorithm{jose.MLDSA44, jose.MLDSA65, jose.MLDSA87}
	for _, name := range pq {
		secret, public := keys()[name].MarshalExpanded()
		f.Add(secret, public)
		f.Add(secret, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, secret, public []byte) {
		for _, name := range pq {
			key, err := jose.ParseExpandedMLDSA(name, secret, public)
			if err != nil {
				continue
			}
			gotSecret, gotPublic := key.MarshalExpanded()
			if !bytes.Equal(gotSecret, secret) || (public != nil && !bytes.Equal(gotPublic, public)) {
				t.Fatalf("%s: written otherwise than read", name)
			}
			token, err := jose.NewSigner(key, "k").Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := jose.Verify(token, only(key.Public())); err != nil {
				t.Fatal(err)
			}
		}
	})
}
