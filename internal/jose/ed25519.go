package jose

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
)

// ed25519Algorithm is the row of EdDSA over Ed25519 (RFC 8037). RFC 9864 gives
// the same thing the name Ed25519.
func ed25519Algorithm() algorithm {
	return algorithm{
		name:  EdDSA,
		alias: "Ed25519",
		kty:   "OKP",
		crv:   "Ed25519",
		generate: func() (privateKey, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return ed25519Private(key), err
		},
		fromJWK: func(k JWK) (publicKey, error) {
			x, err := decode(k.X)
			if err != nil {
				return nil, err
			}
			if len(x) != ed25519.PublicKeySize {
				return nil, errors.New("x of the wrong length")
			}
			return checkedEd25519(x)
		},
		standardPrivate: func(parsed any) (privateKey, error) {
			key, ok := parsed.(ed25519.PrivateKey)
			if !ok {
				return nil, errors.New("not an Ed25519 key")
			}
			return ed25519Private(key), nil
		},
		standardPublic: func(parsed any) (publicKey, error) {
			key, ok := parsed.(ed25519.PublicKey)
			if !ok {
				return nil, errors.New("not an Ed25519 key")
			}
			return checkedEd25519(key)
		},
	}
}

// smallOrder are the y coordinates of the points of order 1, 2, 4 and 8, two of
// them also as a number that is not reduced, little-endian and without the sign
// bit. Under such a key anyone can sign: after some tries the identity and a zero
// are a signature. A buffer of zeroes is such a point.
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func checkedEd25519(key []byte) (publicKey, error) {
	y := bytes.Clone(key)
	y[len(y)-1] &= 0x7f
	if slices.Contains(smallOrder, hex.EncodeToString(y)) {
		return nil, errors.New("an Ed25519 key of small order, under which anyone can sign")
	}
	return ed25519Public(key), nil
}

type ed25519Private ed25519.PrivateKey

func (k ed25519Private) sign(input []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), input), nil
}

func (k ed25519Private) public() publicKey { return ed25519Public(k[ed25519.SeedSize:]) }
func (k ed25519Private) standard() any     { return ed25519.PrivateKey(k) }

type ed25519Public ed25519.PublicKey

func (k ed25519Public) signatureSize() int { return ed25519.SignatureSize }
func (k ed25519Public) standard() any      { return ed25519.PublicKey(k) }

func (k ed25519Public) verify(input, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), input, signature)
}

func (k ed25519Public) members() JWK {
	return JWK{Kty: "OKP", Crv: "Ed25519", X: encode(k)}
}
