package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha512" // crypto.SHA384
	"errors"
	"fmt"
	"math/big"
)

// ecdsaAlgorithm is the row of an ECDSA algorithm, which RFC 7518 section 3.4
// ties to one curve and one hash.
func ecdsaAlgorithm(name Algorithm, curve elliptic.Curve, hash crypto.Hash) algorithm {
	crv := curve.Params().Name
	return algorithm{
		name: name,
		kty:  "EC",
		crv:  crv,
		generate: func() (privateKey, error) {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				return nil, err
			}
			return ecdsaPrivate{key, hash}, nil
		},
		fromJWK: func(k JWK) (publicKey, error) {
			key, err := ecdsaFromJWK(k, curve)
			if err != nil {
				return nil, err
			}
			return ecdsaPublic{key, hash}, nil
		},
		standardPrivate: func(parsed any) (privateKey, error) {
			key, ok := parsed.(*ecdsa.PrivateKey)
			if !ok || key.Curve != curve {
				return nil, fmt.Errorf("not an EC key on %s", crv)
			}
			return ecdsaPrivate{key, hash}, nil
		},
		standardPublic: func(parsed any) (publicKey, error) {
			key, ok := parsed.(*ecdsa.PublicKey)
			if !ok || key.Curve != curve {
				return nil, fmt.Errorf("not an EC key on %s", crv)
			}
			return ecdsaPublic{key, hash}, nil
		},
	}
}

type ecdsaPrivate struct {
	key  *ecdsa.PrivateKey
	hash crypto.Hash
}

func (k ecdsaPrivate) public() publicKey { return ecdsaPublic{&k.key.PublicKey, k.hash} }
func (k ecdsaPrivate) standard() any     { return k.key }

func (k ecdsaPrivate) sign(input []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, k.key, digest(k.hash, input))
	if err != nil {
		return nil, err
	}
	size := coordinateSize(k.key.Curve)
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

type ecdsaPublic struct {
	key  *ecdsa.PublicKey
	hash crypto.Hash
}

func (k ecdsaPublic) signatureSize() int { return 2 * coordinateSize(k.key.Curve) }
func (k ecdsaPublic) standard() any      { return k.key }

// verify leaves the range of r and s to ecdsa.Verify, which refuses zero and
// what is not below the order. It accepts s and its negative, as ECDSA does:
// JWS does not require a low s, and half of what other issuers sign has a high
// one. A holder can therefore derive a second token with the same claims from the
// first; tokens are identified by their jti, never by their text.
func (k ecdsaPublic) verify(input, signature []byte) bool {
	half := len(signature) / 2
	r := new(big.Int).SetBytes(signature[:half])
	s := new(big.Int).SetBytes(signature[half:])
	return ecdsa.Verify(k.key, digest(k.hash, input), r, s)
}

func (k ecdsaPublic) members() JWK {
	point, err := k.key.Bytes() // 4 || x || y
	if err != nil {
		return JWK{} // a point off the curve, which every constructor refuses
	}
	size := coordinateSize(k.key.Curve)
	return JWK{
		Kty: "EC",
		Crv: k.key.Curve.Params().Name,
		X:   encode(point[1 : 1+size]),
		Y:   encode(point[1+size:]),
	}
}

// ecdsaFromJWK reads a point whose coordinates have the full length of RFC
// 7518 section 6.2.1.2, and refuses one that is not on the curve.
func ecdsaFromJWK(k JWK, curve elliptic.Curve) (*ecdsa.PublicKey, error) {
	x, err := decode(k.X)
	if err != nil {
		return nil, err
	}
	y, err := decode(k.Y)
	if err != nil {
		return nil, err
	}
	if size := coordinateSize(curve); len(x) != size || len(y) != size {
		return nil, errors.New("a coordinate of the wrong length")
	}
	point := append([]byte{4}, x...)
	return ecdsa.ParseUncompressedPublicKey(curve, append(point, y...))
}

func coordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
