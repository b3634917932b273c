package jose

import (
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign"
)

// mldsaAlgorithm is the row of an ML-DSA parameter set as RFC 9964 uses it:
// pure ML-DSA with the empty context. Signatures are hedged, the variant that
// FIPS 204 section 3.4 prefers: fresh randomness goes into each, so that a fault
// during one of two signatures over the same input does not reveal the key, and
// no two measurements of power or time are alike. With a broken source of
// randomness it is the deterministic variant, which is still secure.
func mldsaAlgorithm(name Algorithm, scheme sign.Scheme, sh shape, to signTo) algorithm {
	return algorithm{
		name: name,
		kty:  "AKP",
		generate: func() (privateKey, error) {
			_, key, err := scheme.GenerateKey()
			if err != nil {
				return nil, err
			}
			return newMLDSAPrivate(name, key, to)
		},
		fromJWK: func(k JWK) (publicKey, error) {
			pub, err := decode(k.Pub)
			if err != nil {
				return nil, err
			}
			key, err := scheme.UnmarshalBinaryPublicKey(pub)
			if err != nil {
				return nil, errors.New("pub of the wrong length")
			}
			return mldsaPublic{name, key, pub}, nil
		},
		expandedPrivate: func(encoded []byte) (privateKey, error) {
			key, err := scheme.UnmarshalBinaryPrivateKey(encoded)
			if err != nil {
				return nil, fmt.Errorf("%d bytes; the expanded private key of %s has %d", len(encoded), name, scheme.PrivateKeySize())
			}
			private, err := newMLDSAPrivate(name, key, to)
			if err != nil {
				return nil, err
			}
			return private, sh.checkRelation(encoded, private.half.encoded)
		},
	}
}

// signTo writes a hedged signature of input under key.
type signTo func(key sign.PrivateKey, input, signature []byte) error

type mldsaPrivate struct {
	key    sign.PrivateKey
	half   mldsaPublic
	signTo signTo
}

// newMLDSAPrivate derives the public half from its encoding: the one that circl
// returns keeps the hash of the public key as the private encoding states it, and
// so agrees with a damaged private key.
func newMLDSAPrivate(name Algorithm, key sign.PrivateKey, to signTo) (mldsaPrivate, error) {
	derived, ok := key.Public().(sign.PublicKey)
	if !ok {
		return mldsaPrivate{}, errors.New("an ML-DSA key without its public half")
	}
	encoded, err := derived.MarshalBinary()
	if err != nil {
		return mldsaPrivate{}, err
	}
	public, err := key.Scheme().UnmarshalBinaryPublicKey(encoded)
	if err != nil {
		return mldsaPrivate{}, err
	}
	return mldsaPrivate{key, mldsaPublic{name, public, encoded}, to}, nil
}

func (k mldsaPrivate) public() publicKey { return k.half }

func (k mldsaPrivate) sign(input []byte) ([]byte, error) {
	signature := make([]byte, k.half.signatureSize())
	return signature, k.signTo(k.key, input, signature)
}

type mldsaPublic struct {
	name    Algorithm
	key     sign.PublicKey
	encoded []byte
}

func (k mldsaPublic) signatureSize() int { return k.key.Scheme().SignatureSize() }

func (k mldsaPublic) verify(input, signature []byte) bool {
	return k.key.Scheme().Verify(k.key, input, signature, nil)
}

func (k mldsaPublic) members() JWK {
	return JWK{Kty: "AKP", Alg: string(k.name), Pub: encode(k.encoded)}
}
