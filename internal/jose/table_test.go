package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
)

// The promise of the table: another algorithm of a known kind is one entry.
func TestOneEntryIsAnAlgorithm(t *testing.T) {
	for _, row := range []algorithm{
		rsaAlgorithm("RS384", crypto.SHA384),
		rsaAlgorithm("PS512", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512}),
		ecdsaAlgorithm("ES512", elliptic.P521(), crypto.SHA512),
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
