package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Sizes of RSA moduli in bits. Below the minimum a key is forgeable, above the
// maximum one verification costs enough to be an attack on the processor.
const (
	defaultRSABits = 2048
	strongRSABits  = 3072 // 128 bits of security (NIST SP 800-57), at 3 times the time of a signature
	minRSABits     = 2048
	maxRSABits     = 8192
)

// rsaAlgorithm is the row of an RSA algorithm: a bare hash as options means
// PKCS #1 v1.5, *rsa.PSSOptions mean PSS, whose salt RFC 7518 section 3.5 makes
// as long as the hash.
func rsaAlgorithm(name Algorithm, options crypto.SignerOpts) algorithm {
	generate := func(bits int) (privateKey, error) {
		if bits != defaultRSABits && bits != strongRSABits {
			return nil, fmt.Errorf("%w: an RSA key of %d bits is not made here, only of %d or %d",
				ErrKey, bits, defaultRSABits, strongRSABits)
		}
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		return rsaPrivate{key, options}, nil
	}
	return algorithm{
		name:        name,
		kty:         "RSA",
		generate:    func() (privateKey, error) { return generate(defaultRSABits) },
		generateRSA: generate,
		fromJWK: func(k JWK) (publicKey, error) {
			key, err := rsaFromJWK(k)
			if err != nil {
				return nil, err
			}
			return rsaPublic{key, options}, nil
		},
		standardPrivate: func(parsed any) (privateKey, error) {
			key, ok := parsed.(*rsa.PrivateKey)
			if !ok {
				return nil, errors.New("not an RSA key")
			}
			return rsaPrivate{key, options}, errors.Join(checkRSA(&key.PublicKey), checkRSAShape(key))
		},
		standardPublic: func(parsed any) (publicKey, error) {
			key, ok := parsed.(*rsa.PublicKey)
			if !ok {
				return nil, errors.New("not an RSA key")
			}
			return rsaPublic{key, options}, checkRSA(key)
		},
	}
}

func checkRSA(key *rsa.PublicKey) error {
	switch bits := key.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("an RSA key of %d bits; at least %d are needed", bits, minRSABits)
	case bits > maxRSABits:
		return fmt.Errorf("an RSA key of %d bits; at most %d are accepted", bits, maxRSABits)
	case key.N.Bit(0) == 0:
		return errors.New("an RSA key with an even modulus")
	case key.E < 3 || key.E&1 == 0 || key.E > 1<<31-1:
		return errors.New("an RSA key with an exponent that is even, below 3 or above 2^31-1")
	}
	return nil
}

type rsaPrivate struct {
	key     *rsa.PrivateKey
	options crypto.SignerOpts
}

func (k rsaPrivate) sign(input []byte) ([]byte, error) {
	return k.key.Sign(rand.Reader, digest(k.options.HashFunc(), input), k.options)
}

func (k rsaPrivate) public() publicKey { return rsaPublic{&k.key.PublicKey, k.options} }
func (k rsaPrivate) standard() any     { return k.key }

type rsaPublic struct {
	key     *rsa.PublicKey
	options crypto.SignerOpts
}

func (k rsaPublic) signatureSize() int { return k.key.Size() }
func (k rsaPublic) standard() any      { return k.key }

func (k rsaPublic) verify(input, signature []byte) bool {
	hash := k.options.HashFunc()
	sum := digest(hash, input)
	if pss, ok := k.options.(*rsa.PSSOptions); ok {
		return rsa.VerifyPSS(k.key, hash, sum, signature, pss) == nil
	}
	return rsa.VerifyPKCS1v15(k.key, hash, sum, signature) == nil
}

func (k rsaPublic) members() JWK {
	return JWK{
		Kty: "RSA",
		N:   encode(k.key.N.Bytes()),
		E:   encode(big.NewInt(int64(k.key.E)).Bytes()),
	}
}

// rsaFromJWK reads n and e, which RFC 7518 section 6.3.1 writes without
// leading zero bytes; with them one key would have several spellings.
func rsaFromJWK(k JWK) (*rsa.PublicKey, error) {
	n, err := decode(k.N)
	if err != nil {
		return nil, err
	}
	e, err := decode(k.E)
	if err != nil {
		return nil, err
	}
	if len(n) == 0 || n[0] == 0 || len(n) > maxRSABits/8 {
		return nil, errors.New("n is empty, too long or starts with a zero byte")
	}
	if len(e) == 0 || e[0] == 0 || len(e) > 4 {
		return nil, errors.New("e is empty, too long or starts with a zero byte")
	}
	var exponent [8]byte
	copy(exponent[8-len(e):], e)
	key := &rsa.PublicKey{
		N: new(big.Int).SetBytes(n),
		E: int(binary.BigEndian.Uint64(exponent[:])), //nolint:gosec // at most 4 bytes, and checkRSA follows
	}
	return key, checkRSA(key)
}

func digest(hash crypto.Hash, input []byte) []byte {
	h := hash.New()
	h.Write(input)
	return h.Sum(nil)
}
