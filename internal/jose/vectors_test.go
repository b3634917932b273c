package jose

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // crypto.SHA384
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
)

// The published examples carry no typ, which Verify demands; openAny is Verify
// without that one check.
func openAny(token string, key *PublicKey) ([]byte, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(parts.header)
	if err != nil {
		return nil, err
	}
	return parts.open(h, func(Header) (*PublicKey, error) { return key, nil })
}

const rfc7515Payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

func TestPublishedTokensVerify(t *testing.T) {
	vectors := []struct {
		name, token string
		key         JWK
	}{
		{
			"RFC 7515 A.2, RS256",
			"eyJhbGciOiJSUzI1NiJ9." + rfc7515Payload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
			JWK{Kty: "RSA", E: "AQAB", N: "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
		},
		{
			"RFC 7515 A.3, ES256",
			"eyJhbGciOiJFUzI1NiJ9." + rfc7515Payload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			JWK{Kty: "EC", Crv: "P-256", X: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", Y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
		},
		{
			"RFC 8037 A.4, EdDSA",
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
			JWK{Kty: "OKP", Crv: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		},
	}
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			key, err := ParseJWK(v.key)
			if err != nil {
				t.Fatal(err)
			}
			payload, err := openAny(v.token, key)
			if err != nil {
				t.Fatal(err)
			}
			if len(payload) == 0 {
				t.Fatal("no payload")
			}
		})
	}
}

func TestThumbprintsOfTheRFCs(t *testing.T) {
	vectors := []struct {
		name, want string
		key        JWK
	}{
		{"RFC 7638 section 3.1", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", JWK{Kty: "RSA", Alg: "RS256", Kid: "2011-04-29", E: "AQAB", N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}},
		{"RFC 8037 A.3", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", JWK{Kty: "OKP", Crv: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
	}
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			key, err := ParseJWK(v.key)
			if err != nil {
				t.Fatal(err)
			}
			if got := key.Thumbprint(); got != v.want {
				t.Errorf("thumbprint %s, want %s", got, v.want)
			}
		})
	}
}

// seededMLDSA is the key that FIPS 204 derives from a seed.
func seededMLDSA(t testing.TB, name Algorithm, seed [32]byte) *PrivateKey {
	t.Helper()
	var secret, public []byte
	switch name {
	case MLDSA44:
		pk, sk := mldsa44.NewKeyFromSeed(&seed)
		secret, public = sk.Bytes(), pk.Bytes()
	case MLDSA65:
		pk, sk := mldsa65.NewKeyFromSeed(&seed)
		secret, public = sk.Bytes(), pk.Bytes()
	case MLDSA87:
		pk, sk := mldsa87.NewKeyFromSeed(&seed)
		secret, public = sk.Bytes(), pk.Bytes()
	default:
		t.Fatalf("%s is not ML-DSA", name)
	}
	key, err := ParseExpandedMLDSA(name, secret, public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The example of RFC 9964: the key of the all-zero seed, its thumbprint, and a
// deterministic signature, given by both its ends.
func TestRFC9964Example(t *testing.T) {
	key := seededMLDSA(t, MLDSA44, [32]byte{})
	const kid = "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o"
	if got := key.Public().Thumbprint(); got != kid {
		t.Errorf("thumbprint %s, want %s", got, kid)
	}
	pub := key.Public().JWK(kid).Pub
	if len(pub) != 1750 || !strings.HasPrefix(pub, "unH59k4RuutY-pxvu24U5h8YZD2rSVtHU5qRZsoB") ||
		!strings.HasSuffix(pub, "c_gODicy7KmWDZgbTP07e7gEWzw4MFRrndjbDQ") {
		t.Errorf("pub %s...%s", pub[:40], pub[1710:])
	}

	input := "eyJhbGciOiJNTC1EU0EtNDQiLCJraWQiOiJUNHhsNzBTN01UNlplcTZyOVY5ZlBKR1ZuNzZ3Zm5YSjIxLWd5bzBHdTZvIn0." +
		"SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4"
	seed := [32]byte{}
	_, sk := mldsa44.NewKeyFromSeed(&seed)
	raw := make([]byte, mldsa44.SignatureSize)
	if err := mldsa44.SignTo(sk, []byte(input), nil, false, raw); err != nil {
		t.Fatal(err)
	}
	signature := encode(raw)
	const head, tail = "knI1Q_9CIzLH5Xy94Kkc7WVKqZcAgtJ3mNf0GUj1", "lcHJ6jKmrsbrEztHd9QAAAAAAAAAAAAAAABIfMEQ"
	if signature[:40] != head || signature[len(signature)-40:] != tail {
		t.Fatalf("signature %s...%s is not the published one", signature[:40], signature[len(signature)-40:])
	}
	payload, err := openAny(input+"."+signature, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if want := "It’s a dangerous business, Frodo, going out your door."; string(payload) != want {
		t.Errorf("payload %q", payload)
	}
}

func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(unzipped).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWycheproofSignatures runs bare signatures through the check that tokens
// go through: length first, then the algorithm.
func TestWycheproofSignatures(t *testing.T) {
	var groups []struct {
		Alg      Algorithm
		Der, Pub string
		Tests    []struct {
			ID                        int
			Comment, Msg, Sig, Result string
		}
	}
	readVectors(t, "wycheproof/signatures.json.gz", &groups)
	for _, group := range groups {
		key, err := wycheproofKey(t, group.Alg, group.Der, group.Pub)
		for _, v := range group.Tests {
			want := v.Result == "valid"
			got := false
			if err == nil {
				signature := encode(unhex(t, v.Sig))
				parts := compact{input: string(unhex(t, v.Msg)), signature: signature}
				got = parts.verify(key) == nil
			}
			if got != want && v.Result != "acceptable" {
				t.Errorf("%s %d (%s): verified %v, want %v; key: %v", group.Alg, v.ID, v.Comment, got, want, err)
			}
		}
	}
}

func wycheproofKey(t *testing.T, name Algorithm, der, pub string) (*PublicKey, error) {
	t.Helper()
	if pub != "" {
		return ParseExpandedPublic(name, unhex(t, pub))
	}
	body := base64.StdEncoding.EncodeToString(unhex(t, der))
	return ParsePublicPEM(name, []byte("-----BEGIN PUBLIC KEY-----\n"+body+"\n-----END PUBLIC KEY-----\n"))
}

// TestWycheproofTokens runs whole tokens. Vectors that Wycheproof calls
// invalid because of how a library guesses keys do not apply to one that has
// none to guess; everything else must agree.
func TestWycheproofTokens(t *testing.T) {
	var groups []struct {
		Comment string
		JWK     map[string]any
		Tests   []struct {
			ID                   int
			Comment, JWS, Result string
			Flags                []string
		}
	}
	readVectors(t, "wycheproof/jws.json.gz", &groups)
	accepted, refused := 0, 0
	for _, group := range groups {
		_, key, err := parseEntry(group.JWK)
		for _, v := range group.Tests {
			var opened error
			if opened = err; err == nil {
				_, opened = openAny(v.JWS, key)
			}
			if got, want := opened == nil, v.Result == "valid"; got != want {
				t.Errorf("%s %d (%s %v): accepted %v, want %v: %v", group.Comment, v.ID, v.Comment, v.Flags, got, want, opened)
			}
			if opened == nil {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 3 || refused < 200 {
		t.Errorf("accepted %d and refused %d tokens; the file has more", accepted, refused)
	}
}

func TestWycheproofKeySets(t *testing.T) {
	var groups []struct {
		Comment string
		Set     json.RawMessage
		Tests   []struct {
			ID                   int
			Comment, JWS, Result string
		}
	}
	readVectors(t, "wycheproof/jwk.json.gz", &groups)
	for _, group := range groups {
		if group.Comment == "jws_rsa_roca_key" {
			continue // a fingerprint of one vendor's old generator; an issuer's choice of key is trusted
		}
		keys, err := ParseJWKSet(group.Set)
		for _, v := range group.Tests {
			opened := err
			if parts, splitErr := split(v.JWS); err == nil && splitErr == nil {
				h, headerErr := parseHeader(parts.header)
				if opened = headerErr; headerErr == nil {
					_, opened = parts.open(h, func(h Header) (*PublicKey, error) { return keys[h.KeyID], nil })
				}
			}
			symmetric := bytes.Contains(group.Set, []byte(`"oct"`))
			if got, want := opened == nil, v.Result == "valid" && !symmetric; got != want {
				t.Errorf("%s %d (%s): accepted %v, want %v: %v", group.Comment, v.ID, v.Comment, got, want, opened)
			}
		}
	}
}

func TestWycheproofExpandedKeys(t *testing.T) {
	var keys []struct {
		Alg                             Algorithm
		Secret, Public, Result, Comment string
		Sigs                            []struct {
			ID       int
			Msg, Sig string
		}
	}
	readVectors(t, "wycheproof/expanded.json.gz", &keys)
	for _, v := range keys {
		var public []byte
		if v.Public != "" {
			public = unhex(t, v.Public)
		}
		key, err := ParseExpandedMLDSA(v.Alg, unhex(t, v.Secret), public)
		if got, want := err == nil, v.Result == "valid"; got != want {
			t.Errorf("%s %s: accepted %v, want %v: %v", v.Alg, v.Comment, got, want, err)
		}
		if err != nil {
			continue
		}
		for _, s := range v.Sigs {
			if !key.Public().key.verify(unhex(t, s.Msg), unhex(t, s.Sig)) {
				t.Errorf("%s %d: signature does not verify", v.Alg, s.ID)
			}
		}
	}
}

func TestNISTKeysLoadAndDamagedOnesDoNot(t *testing.T) {
	var keys []struct {
		Alg          Algorithm
		ID           int
		Seed, PK, SK string
	}
	readVectors(t, "acvp/keygen.json.gz", &keys)
	if len(keys) != 12 {
		t.Fatalf("%d keys, want 12", len(keys))
	}
	for _, v := range keys {
		secret, public := unhex(t, v.SK), unhex(t, v.PK)
		key, err := ParseExpandedMLDSA(v.Alg, secret, public)
		if err != nil {
			t.Errorf("%s %d: %v", v.Alg, v.ID, err)
			continue
		}
		gotSecret, gotPublic := key.MarshalExpanded()
		if !bytes.Equal(gotSecret, secret) || !bytes.Equal(gotPublic, public) {
			t.Errorf("%s %d: written otherwise than read", v.Alg, v.ID)
		}
		seed := [32]byte(unhex(t, v.Seed))
		if derived, _ := seededMLDSA(t, v.Alg, seed).MarshalExpanded(); !bytes.Equal(derived, secret) {
			t.Errorf("%s %d: the seed gives another key", v.Alg, v.ID)
		}
	}
}

// Every bit of an expanded key follows from rho, s1 and s2 but for K, which
// only seeds the signer's randomness.
func TestEveryDamageToAnExpandedKeyIsFound(t *testing.T) {
	const kStart, kEnd = 32, 64
	for _, name := range []Algorithm{MLDSA44, MLDSA65, MLDSA87} {
		secret, public := seededMLDSA(t, name, [32]byte{1}).MarshalExpanded()
		for at := 0; at < len(secret); at += 19 {
			if at >= kStart && at < kEnd {
				continue
			}
			damaged := bytes.Clone(secret)
			damaged[at] ^= 1 << (at % 8)
			for _, half := range [][]byte{public, nil} {
				if _, err := ParseExpandedMLDSA(name, damaged, half); err == nil {
					t.Errorf("%s: accepted with byte %d changed, public half given: %v", name, at, half != nil)
				}
			}
		}
		for _, damaged := range [][]byte{nil, {}, secret[:len(secret)-1], append(bytes.Clone(secret), 0), secret[:len(public)]} {
			if _, err := ParseExpandedMLDSA(name, damaged, public); err == nil {
				t.Errorf("%s: accepted %d bytes", name, len(damaged))
			}
		}
		otherPublic := bytes.Clone(public)
		otherPublic[len(public)-1] ^= 1
		for _, half := range [][]byte{otherPublic, public[1:], {}} {
			if _, err := ParseExpandedMLDSA(name, secret, half); err == nil {
				t.Errorf("%s: accepted a public half of %d bytes that is not its own", name, len(half))
			}
		}
	}
}

// The promise of the table: PS256, ES384 and larger RSA keys are one entry.
func TestOneEntryIsAnAlgorithm(t *testing.T) {
	for _, row := range []algorithm{
		rsaAlgorithm("PS256", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}),
		ecdsaAlgorithm("ES384", elliptic.P384(), crypto.SHA384),
	} {
		half, err := row.generate()
		if err != nil {
			t.Fatal(err)
		}
		key := newPrivateKey(&row, half)
		token, err := NewSigner(key, "k").Sign([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		parts, err := split(token)
		if err != nil {
			t.Fatal(err)
		}
		if err := parts.verify(key.Public()); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		parts.input += "x"
		if err := parts.verify(key.Public()); err == nil {
			t.Errorf("%s: verified another input", row.name)
		}
		again, err := row.fromJWK(key.Public().JWK("k"))
		if err != nil {
			t.Fatal(err)
		}
		if got := newPublicKey(&row, again); !got.Equal(key.Public()) {
			t.Errorf("%s: the JWK is another key", row.name)
		}
	}
}

func TestKeysOfAnotherKindAreNoKeys(t *testing.T) {
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		if row.standardPrivate == nil {
			continue
		}
		wrongPrivate, wrongPublic := any(p384), any(&p384.PublicKey)
		if row.name != EdDSA {
			wrongPrivate, wrongPublic = edPrivate, edPublic
		}
		if _, err := row.standardPrivate(wrongPrivate); err == nil {
			t.Errorf("%s: took a %T", row.name, wrongPrivate)
		}
		if _, err := row.standardPublic(wrongPublic); err == nil {
			t.Errorf("%s: took a %T", row.name, wrongPublic)
		}
	}
	if _, err := ecdsaAlgorithm(ES256, elliptic.P256(), crypto.SHA384).standardPrivate(p384); err == nil {
		t.Error("ES256 took a key on P-384")
	}
}
