//go:build linux

package limit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
)

// tokenBytes is about what is signed of a token: header and claims in base64.
const tokenBytes = 560

// Sign returns a bare signature of the algorithm, by its JOSE name, over as
// many bytes as a token has; nil for one that is not known here.
func Sign(algorithm string) func() (func() error, error) {
	input := make([]byte, tokenBytes)
	switch algorithm {
	case "RS256":
		return rsaSigner(func(key *rsa.PrivateKey) error {
			sum := sha256.Sum256(input)
			_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			return err
		})
	case "PS256":
		return rsaSigner(func(key *rsa.PrivateKey) error {
			sum := sha256.Sum256(input)
			_, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			return err
		})
	case "ES256":
		return ecdsaSigner(elliptic.P256(), func(key *ecdsa.PrivateKey) error {
			sum := sha256.Sum256(input)
			_, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
			return err
		})
	case "ES384":
		return ecdsaSigner(elliptic.P384(), func(key *ecdsa.PrivateKey) error {
			sum := sha512.Sum384(input)
			_, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
			return err
		})
	case "EdDSA":
		return func() (func() error, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return func() error { ed25519.Sign(key, input); return nil }, err
		}
	case "ML-DSA-44":
		return mldsaSigner(mldsa44.Scheme(), func(key sign.PrivateKey, out []byte) error {
			return mldsa44.SignTo(key.(*mldsa44.PrivateKey), input, nil, true, out)
		})
	case "ML-DSA-65":
		return mldsaSigner(mldsa65.Scheme(), func(key sign.PrivateKey, out []byte) error {
			return mldsa65.SignTo(key.(*mldsa65.PrivateKey), input, nil, true, out)
		})
	case "ML-DSA-87":
		return mldsaSigner(mldsa87.Scheme(), func(key sign.PrivateKey, out []byte) error {
			return mldsa87.SignTo(key.(*mldsa87.PrivateKey), input, nil, true, out)
		})
	default:
		return nil
	}
}

func rsaSigner(sign func(*rsa.PrivateKey) error) func() (func() error, error) {
	return func() (func() error, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return func() error { return sign(key) }, err
	}
}

func ecdsaSigner(curve elliptic.Curve, sign func(*ecdsa.PrivateKey) error) func() (func() error, error) {
	return func() (func() error, error) {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		return func() error { return sign(key) }, err
	}
}

func mldsaSigner(scheme sign.Scheme, signTo func(sign.PrivateKey, []byte) error) func() (func() error, error) {
	return func() (func() error, error) {
		_, key, err := scheme.GenerateKey()
		return func() error { return signTo(key, make([]byte, scheme.SignatureSize())) }, err
	}
}
