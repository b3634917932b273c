package jose

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
)

// Algorithm is a registered name from the IANA JOSE registry.
type Algorithm string

// The algorithms, by the names that keys of ours carry.
const (
	RS256   Algorithm = "RS256"
	PS256   Algorithm = "PS256"
	ES256   Algorithm = "ES256"
	ES384   Algorithm = "ES384"
	EdDSA   Algorithm = "EdDSA"
	MLDSA44 Algorithm = "ML-DSA-44"
	MLDSA65 Algorithm = "ML-DSA-65"
	MLDSA87 Algorithm = "ML-DSA-87"
)

// What can be wrong with a token or a key. Every error of this package wraps
// one of them; errors of a caller's key lookup pass through.
var (
	ErrMalformed = errors.New("malformed token")
	ErrAlgorithm = errors.New("algorithm not acceptable")
	ErrSignature = errors.New("signature does not verify")
	ErrKey       = errors.New("unusable key")
)

// publicKey is the half of a key that verifies.
type publicKey interface {
	// verify reports whether signature, of exactly signatureSize bytes, signs input.
	verify(input, signature []byte) bool
	signatureSize() int
	// members returns kty and the members that RFC 7638 puts into a thumbprint.
	members() JWK
}

// privateKey is the half of a key that signs.
type privateKey interface {
	sign(input []byte) ([]byte, error)
	public() publicKey
}

// standardKey is a key, of either half, that crypto/x509 can write.
type standardKey interface {
	standard() any
}

// algorithm is one row of the table: how keys of the algorithm are made and read. A
// nil function is a form that the algorithm's keys do not have.
type algorithm struct {
	name  Algorithm
	alias Algorithm // another registered name of the same algorithm, understood when reading; empty: none
	kty   string
	crv   string // empty: keys of this kty name no curve

	generate        func() (privateKey, error)
	generateRSA     func(bits int) (privateKey, error)
	fromJWK         func(JWK) (publicKey, error)
	standardPrivate func(any) (privateKey, error) // from what crypto/x509 parsed
	standardPublic  func(any) (publicKey, error)
	expandedPrivate func([]byte) (privateKey, error) // from the FIPS 204 encoding
}

// table is every algorithm. A key set's entry without alg takes the first row with
// its kty and crv: a bare RSA key is one of RS256, as key sets older than PS256
// meant it.
var table = []algorithm{
	rsaAlgorithm(RS256, crypto.SHA256),
	rsaAlgorithm(PS256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}),
	ecdsaAlgorithm(ES256, elliptic.P256(), crypto.SHA256),
	ecdsaAlgorithm(ES384, elliptic.P384(), crypto.SHA384),
	ed25519Algorithm(),
	mldsaAlgorithm(MLDSA44, mldsa44.Scheme(), shape{4, 4, 2}, func(key sign.PrivateKey, input, signature []byte) error {
		return mldsa44.SignTo(key.(*mldsa44.PrivateKey), input, nil, true, signature)
	}),
	mldsaAlgorithm(MLDSA65, mldsa65.Scheme(), shape{6, 5, 4}, func(key sign.PrivateKey, input, signature []byte) error {
		return mldsa65.SignTo(key.(*mldsa65.PrivateKey), input, nil, true, signature)
	}),
	mldsaAlgorithm(MLDSA87, mldsa87.Scheme(), shape{8, 7, 2}, func(key sign.PrivateKey, input, signature []byte) error {
		return mldsa87.SignTo(key.(*mldsa87.PrivateKey), input, nil, true, signature)
	}),
}

// Algorithms returns the names of all algorithms, in the table's order.
func Algorithms() []Algorithm {
	names := make([]Algorithm, len(table))
	for i := range table {
		names[i] = table[i].name
	}
	return names
}

// ParseAlgorithm returns the algorithm of a registered name, an alias resolved
// to the name that our keys carry. Anything else, "none" and the symmetric
// algorithms included, is ErrAlgorithm.
func ParseAlgorithm(name string) (Algorithm, error) {
	row, err := lookup(Algorithm(name))
	if err != nil {
		return "", err
	}
	return row.name, nil
}

// lookup returns the table's row for a name or alias. The error does not
// repeat the name: it comes from outside.
func lookup(name Algorithm) (*algorithm, error) {
	for i := range table {
		if row := &table[i]; name == row.name || (name == row.alias && name != "") {
			return row, nil
		}
	}
	return nil, fmt.Errorf("%w: not one of %v", ErrAlgorithm, Algorithms())
}
