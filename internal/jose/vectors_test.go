package jose

import (
	"compress/gzip"
	"encoding/json"
	"os"
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
	return parts.open(h, func(Header) (*PublicKey, error) { return key, nil }, nil)
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

// signDeterministic is what the published signatures were made with: the same
// primitive that sign uses, but without randomness. A context is possible too.
func signDeterministic(key *PrivateKey, input, context []byte) ([]byte, error) {
	signature := make([]byte, key.public.key.signatureSize())
	var err error
	switch raw := key.key.(mldsaPrivate).key.(type) {
	case *mldsa44.PrivateKey:
		err = mldsa44.SignTo(raw, input, context, false, signature)
	case *mldsa65.PrivateKey:
		err = mldsa65.SignTo(raw, input, context, false, signature)
	case *mldsa87.PrivateKey:
		err = mldsa87.SignTo(raw, input, context, false, signature)
	}
	return signature, err
}
