package jose_test

import (
	"bytes"
	"crypto"
	stdEd25519 "crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	gojose "github.com/go-jose/go-jose/v4"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// standard is the key as crypto/x509 reads it from our PEM.
func standard(t testing.TB, key *jose.PrivateKey) crypto.Signer {
	t.Helper()
	encoded, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(crypto.Signer)
}

func TestGoJoseVerifiesOursAndWeVerifyIts(t *testing.T) {
	all := []*jose.PrivateKey{jose.OwnKeys()["RS256 of 3072 bits"], jose.OwnKeys()["PS256 of 3072 bits"]}
	for _, name := range withPEM {
		all = append(all, keys()[name])
	}
	for _, key := range all {
		name := key.Algorithm()
		t.Run(string(name), func(t *testing.T) {
			kid := key.Public().Thumbprint()
			ours, err := jose.NewSigner(key, kid).Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			var set gojose.JSONWebKeySet
			if err := json.Unmarshal([]byte(marshal(t, jose.JWKSet{Keys: []jose.JWK{key.Public().JWK(kid)}})), &set); err != nil {
				t.Fatal(err)
			}
			parsed, err := gojose.ParseSignedCompact(ours, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(name)})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := parsed.Verify(set.Key(kid)[0])
			if err != nil || !bytes.Equal(payload, claims) {
				t.Errorf("go-jose reads %s %v", payload, err)
			}
			sum, err := set.Keys[0].Thumbprint(crypto.SHA256)
			if err != nil || base64.RawURLEncoding.EncodeToString(sum) != kid {
				t.Errorf("go-jose's thumbprint is %x %v", sum, err)
			}

			signer, err := gojose.NewSigner(
				gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(name), Key: standard(t, key)},
				(&gojose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			got, h, err := jose.Verify(theirs, only(key.Public()))
			if err != nil || !bytes.Equal(got, claims) || h.KeyID != kid {
				t.Errorf("we read %s %+v %v", got, h, err)
			}
		})
	}
}

// go-jose signs with the standard library, as we do; circl's Ed25519 is other code.
func TestIndependentEd25519Agrees(t *testing.T) {
	key := keys()[jose.EdDSA]
	raw := standard(t, key).(stdEd25519.PrivateKey)
	token, err := jose.NewSigner(key, "k").Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(token, '.')
	theirs := ed25519.NewKeyFromSeed(raw.Seed())
	if signature := ed25519.Sign(theirs, []byte(token[:dot])); token != token[:dot+1]+base64.RawURLEncoding.EncodeToString(signature) {
		t.Errorf("their signature is %x", signature)
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || !ed25519.Verify(theirs.Public().(ed25519.PublicKey), []byte(token[:dot]), signature) {
		t.Errorf("our token does not verify there: %v", err)
	}
}

func TestIndependentMLDSAAgreesFromTheSeedOn(t *testing.T) {
	sets := []struct {
		name   jose.Algorithm
		scheme sign.Scheme
		params mldsa.Parameters
	}{
		{jose.MLDSA44, mldsa44.Scheme(), mldsa.MLDSA44()},
		{jose.MLDSA65, mldsa65.Scheme(), mldsa.MLDSA65()},
		{jose.MLDSA87, mldsa87.Scheme(), mldsa.MLDSA87()},
	}
	for _, set := range sets {
		t.Run(string(set.name), func(t *testing.T) {
			seed := make([]byte, 32)
			if _, err := rand.Read(seed); err != nil {
				t.Fatal(err)
			}
			theirs, err := mldsa.NewPrivateKey(set.params, seed)
			if err != nil {
				t.Fatal(err)
			}
			_, expanded := set.scheme.DeriveKey(seed)
			secret, err := expanded.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			key, err := jose.ParseExpandedMLDSA(set.name, secret, theirs.PublicKey().Bytes())
			if err != nil {
				t.Fatal(err)
			}

			token, err := jose.NewSigner(key, "k").Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			dot := strings.LastIndexByte(token, '.')
			raw, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
			if err != nil {
				t.Fatal(err)
			}
			if err := mldsa.Verify(theirs.PublicKey(), []byte(token[:dot]), raw, nil); err != nil {
				t.Errorf("our token does not verify there: %v", err)
			}

			signature, err := theirs.Sign(rand.Reader, []byte(token[:dot]), crypto.Hash(0))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := jose.Verify(token[:dot+1]+base64.RawURLEncoding.EncodeToString(signature), only(key.Public())); err != nil {
				t.Errorf("their signature does not verify here: %v", err)
			}
			withContext, err := theirs.Sign(rand.Reader, []byte(token[:dot]), &mldsa.Options{Context: "JWT"})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := jose.Verify(token[:dot+1]+base64.RawURLEncoding.EncodeToString(withContext), only(key.Public())); err == nil {
				t.Error("a signature with a context verifies")
			}
		})
	}
}
