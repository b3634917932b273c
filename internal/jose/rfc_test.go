package jose

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

const (
	rfc7515Payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfc7515RS256   = "eyJhbGciOiJSUzI1NiJ9." + rfc7515Payload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	rfc8037EdDSA   = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	rfc7638Modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)

func TestPublishedTokensVerify(t *testing.T) {
	vectors := []struct {
		name, token string
		key         JWK
	}{
		{
			"RFC 7515 A.2, RS256",
			rfc7515RS256,
			JWK{Kty: "RSA", E: "AQAB", N: "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
		},
		{
			"RFC 7515 A.3, ES256",
			"eyJhbGciOiJFUzI1NiJ9." + rfc7515Payload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			JWK{Kty: "EC", Crv: "P-256", X: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", Y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
		},
		{
			"RFC 8037 A.4, EdDSA",
			rfc8037EdDSA,
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
		{"RFC 7638 section 3.1", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", JWK{Kty: "RSA", Alg: "RS256", Kid: "2011-04-29", E: "AQAB", N: rfc7638Modulus}},
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

// Signatures that have no randomness come out as the RFCs print them.
func TestPublishedTokensAreSignedAgain(t *testing.T) {
	number := func(s string) *big.Int {
		raw, err := decode(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(raw)
	}
	p := number("4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc")
	q := number("uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc")
	one, e := big.NewInt(1), 65537
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	rsaKey := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: e},
		D:         new(big.Int).ModInverse(big.NewInt(int64(e)), phi),
		Primes:    []*big.Int{p, q},
	}
	rsaKey.Precompute()
	if err := rsaKey.Validate(); err != nil {
		t.Fatal(err)
	}
	seed, err := decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		key   privateKey
		token string
	}{
		"RFC 7515 A.2": {rsaPrivate{rsaKey, crypto.SHA256}, rfc7515RS256},
		"RFC 8037 A.4": {ed25519Private(ed25519.NewKeyFromSeed(seed)), rfc8037EdDSA},
	} {
		input, want := v.token[:strings.LastIndexByte(v.token, '.')], v.token[strings.LastIndexByte(v.token, '.')+1:]
		signature, err := v.key.sign([]byte(input))
		if err != nil || encode(signature) != want {
			t.Errorf("%s: signature %s %v, want %s", name, encode(signature), err, want)
		}
	}
}

// RFC 7517 A.1: of its two keys the one for encryption is not ours to use; and
// without its use it is a sound one. A.2 has private members, A.3 secrets:
// none are published.
func TestRFC7517KeySets(t *testing.T) {
	const (
		ec  = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"`
		rsa = `"kty":"RSA","n":"` + rfc7638Modulus + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"`
	)
	for name, v := range map[string]struct{ set, kids string }{
		"A.1":             {`{"keys":[{` + ec + `,"use":"enc"},{` + rsa + `}]}`, `["2011-04-29"]`},
		"A.1 without use": {`{"keys":[{` + ec + `},{` + rsa + `}]}`, `["1","2011-04-29"]`},
		"A.2":             {`{"keys":[{` + ec + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}]}`, `[]`},
		"A.3":             {`{"keys":[{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"},{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"HMAC key used in JWS spec Appendix A.1 example"}]}`, `[]`},
	} {
		keys, err := ParseJWKSet([]byte(v.set))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if err := json.Unmarshal([]byte(v.kids), &want); err != nil {
			t.Fatal(err)
		}
		if len(keys) != len(want) {
			t.Errorf("%s: %d keys, want %v", name, len(keys), want)
		}
		for _, kid := range want {
			if keys[kid] == nil {
				t.Errorf("%s: no key %q", name, kid)
			}
		}
	}
}

// The examples of RFC 9964: keys of the all-zero seed, their thumbprints, and
// deterministic signatures, each given by both its ends. Those of ML-DSA-65 and
// ML-DSA-87 are in the example files that belong to its draft.
func TestRFC9964Examples(t *testing.T) {
	const payload = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4"
	examples := []struct {
		name                               Algorithm
		kid, header                        string
		pubHead, pubTail, sigHead, sigTail string
	}{
		{
			MLDSA44, "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o",
			"eyJhbGciOiJNTC1EU0EtNDQiLCJraWQiOiJUNHhsNzBTN01UNlplcTZyOVY5ZlBKR1ZuNzZ3Zm5YSjIxLWd5bzBHdTZvIn0",
			"unH59k4RuutY-pxvu24U5h8YZD2rSVtHU5qRZsoB", "c_gODicy7KmWDZgbTP07e7gEWzw4MFRrndjbDQ",
			"knI1Q_9CIzLH5Xy94Kkc7WVKqZcAgtJ3mNf0GUj1", "lcHJ6jKmrsbrEztHd9QAAAAAAAAAAAAAAABIfMEQ",
		},
		{
			MLDSA65, "Suiu29qbfuaBaR4Ats-c6XQBePB_OpAxAwcTR_0KXVM",
			"eyJhbGciOiJNTC1EU0EtNjUiLCJraWQiOiJTdWl1MjlxYmZ1YUJhUjRBdHMtYzZYUUJlUEJfT3BBeEF3Y1RSXzBLWFZNIn0",
			"QksvJn5Y1bO0TXGs_Gpla7JpUNV8YdsciAvPof6r", "JlcFKLUr5AU_kxMULeUysWWtSGJ9mpxBvsyW1Juo",
			"zmO9_0bLgJAegoVNymfRo4nGPK5lVtSFGnDbzfzY", "FBUnQkuBhIyPtgAAAAAAAAAABgwVHCUv",
		},
		{
			MLDSA87, "tRn1JNIkgMsABVQBlXeDHxAIcclh-2IX0UdDEzPt5XU",
			"eyJhbGciOiJNTC1EU0EtODciLCJraWQiOiJ0Um4xSk5Ja2dNc0FCVlFCbFhlREh4QUljY2xoLTJJWDBVZERFelB0NVhVIn0",
			"5F_8jMc9uIXcZi5ioYzY44AylxF_pWWIFKmFtf8d", "zezlk3tcA2bZOtA9qbxdsbVR37kemzQ9K1e3Y0OWhtSj",
			"hmMrKkUgZwGPQV_WUoXUVq_Z9WOenDZbfMmHpKri", "kenwkQfZGS6ez0AAAAAAAAAAALGSAlKzg7Qw",
		},
	}
	for _, v := range examples {
		key := seededMLDSA(t, v.name, [32]byte{})
		if got := key.Public().Thumbprint(); got != v.kid {
			t.Errorf("%s: thumbprint %s, want %s", v.name, got, v.kid)
		}
		if pub := key.Public().JWK("").Pub; !strings.HasPrefix(pub, v.pubHead) || !strings.HasSuffix(pub, v.pubTail) {
			t.Errorf("%s: pub %s", v.name, pub)
		}
		input := v.header + "." + payload
		raw, err := signDeterministic(key, []byte(input), nil)
		if err != nil {
			t.Fatal(err)
		}
		signature := encode(raw)
		if !strings.HasPrefix(signature, v.sigHead) || !strings.HasSuffix(signature, v.sigTail) {
			t.Errorf("%s: the signature is not the published one", v.name)
		}
		got, err := openAny(input+"."+signature, key.Public())
		if err != nil || string(got) != "It’s a dangerous business, Frodo, going out your door." {
			t.Errorf("%s: payload %q %v", v.name, got, err)
		}
	}
}
