package jose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// PublicKey verifies the tokens of one algorithm.
type PublicKey struct {
	algorithm  *algorithm
	key        publicKey
	thumbprint string
}

func newPublicKey(row *algorithm, key publicKey) *PublicKey {
	return &PublicKey{row, key, thumbprint(key.members())}
}

// Algorithm returns the only algorithm that the key verifies.
func (k *PublicKey) Algorithm() Algorithm { return k.algorithm.name }

// Thumbprint returns the SHA-256 thumbprint of RFC 7638 in base64url, over
// alg, kty and pub for ML-DSA (RFC 9964).
func (k *PublicKey) Thumbprint() string { return k.thumbprint }

// JWK returns the key as an entry of a key set.
func (k *PublicKey) JWK(kid string) JWK {
	jwk := k.key.members()
	jwk.Kid, jwk.Use, jwk.Alg = kid, "sig", string(k.algorithm.name)
	return jwk
}

// Equal reports whether both are the same key of the same algorithm.
func (k *PublicKey) Equal(other *PublicKey) bool {
	return k.algorithm == other.algorithm && k.thumbprint == other.thumbprint
}

// PrivateKey signs the tokens of one algorithm. It does not print, and only
// Marshal, MarshalPEM and MarshalExpanded marshal it.
type PrivateKey struct {
	algorithm *algorithm
	key       privateKey
	public    *PublicKey
}

func newPrivateKey(row *algorithm, key privateKey) *PrivateKey {
	return &PrivateKey{row, key, newPublicKey(row, key.public())}
}

// Generate makes a key from the system's randomness; RSA keys have 2048 bits.
func Generate(name Algorithm) (*PrivateKey, error) {
	row, err := lookup(name)
	if err != nil {
		return nil, err
	}
	return generated(row, row.generate)
}

// GenerateRSA is Generate for RS256 and PS256 with a modulus of so many bits,
// 2048 or 3072. Any other size is ErrKey, any other algorithm ErrAlgorithm.
func GenerateRSA(name Algorithm, bits int) (*PrivateKey, error) {
	row, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if row.generateRSA == nil {
		return nil, fmt.Errorf("%w: %s keys are not RSA keys", ErrAlgorithm, row.name)
	}
	return generated(row, func() (privateKey, error) { return row.generateRSA(bits) })
}

func generated(row *algorithm, generate func() (privateKey, error)) (*PrivateKey, error) {
	key, err := generate()
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", row.name, err)
	}
	return newPrivateKey(row, key), nil
}

// Algorithm returns the only algorithm that the key signs with.
func (k *PrivateKey) Algorithm() Algorithm { return k.algorithm.name }

// Public returns the half that verifies.
func (k *PrivateKey) Public() *PublicKey { return k.public }

const redacted = "[redacted]"

// String hides the key from fmt and log.
func (PrivateKey) String() string { return redacted }

// GoString hides the key from %#v.
func (PrivateKey) GoString() string { return redacted }

// Format hides the key from every other verb.
func (PrivateKey) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue hides the key from slog.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always fails: a private key in JSON is a mistake.
func (PrivateKey) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a private key is not written as JSON")
}

// ParseExpandedMLDSA reads an ML-DSA pair in the encodings of FIPS 204, as
// liboqs writes them. The encodings guarantee nothing, so every part that can be
// derived is computed again and compared, and a signature is made and verified,
// before the key is trusted.
// A nil public half is derived.
func ParseExpandedMLDSA(name Algorithm, secret, public []byte) (*PrivateKey, error) {
	row, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if row.expandedPrivate == nil {
		return nil, fmt.Errorf("%w: %s keys have no expanded form", ErrKey, row.name)
	}
	half, err := row.expandedPrivate(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key := newPrivateKey(row, half)
	if err := key.probe(); err != nil {
		return nil, fmt.Errorf("%w: it is damaged: %w", ErrKey, err)
	}
	if _, derived := key.MarshalExpanded(); public != nil && !bytes.Equal(public, derived) {
		return nil, fmt.Errorf("%w: the public key belongs to another private key", ErrKey)
	}
	return key, nil
}

// ParseExpandedPublic reads an ML-DSA public key in the encoding of FIPS 204.
func ParseExpandedPublic(name Algorithm, public []byte) (*PublicKey, error) {
	return ParseJWK(JWK{Kty: "AKP", Alg: string(name), Pub: encode(public)})
}

// MarshalExpanded returns an ML-DSA pair in the encodings of FIPS 204; nil and
// nil for other algorithms.
func (k *PrivateKey) MarshalExpanded() (secret, public []byte) {
	half, ok := k.key.(mldsaPrivate)
	if !ok {
		return nil, nil
	}
	secret, err := half.key.MarshalBinary()
	if err != nil {
		return nil, nil
	}
	return secret, bytes.Clone(half.half.encoded)
}
