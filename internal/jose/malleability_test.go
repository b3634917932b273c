package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
)

// ownKeys is a key of each algorithm, and a larger RSA key for both that sign
// with RSA, by a name to print.
var ownKeys = sync.OnceValue(func() map[string]*PrivateKey {
	made := make(map[string]*PrivateKey)
	keep := func(suffix string, key *PrivateKey, err error) {
		if err != nil {
			panic(err)
		}
		made[string(key.Algorithm())+suffix] = key
	}
	for _, name := range Algorithms() {
		key, err := Generate(name)
		keep("", key, err)
	}
	for _, name := range []Algorithm{RS256, PS256} {
		key, err := GenerateRSA(name, strongRSABits)
		keep(" of 3072 bits", key, err)
	}
	return made
})

// gate is a public key that reports what reaches the arithmetic.
type gate struct {
	publicKey
	reached *int
	t       *testing.T
}

func (g gate) verify(input, signature []byte) bool {
	*g.reached++
	if len(signature) != g.signatureSize() {
		g.t.Errorf("%d bytes reached the arithmetic, a signature has %d", len(signature), g.signatureSize())
	}
	return g.publicKey.verify(input, signature)
}

// changedSignatures are spellings near a good signature, by what was done to it.
func changedSignatures(good []byte) map[string][]byte {
	changed := map[string][]byte{
		"nothing":        {},
		"zero behind":    append(bytes.Clone(good), 0),
		"zero before":    append([]byte{0}, good...),
		"zero for last":  append([]byte{0}, good[:len(good)-1]...),
		"zero for first": append(bytes.Clone(good[1:]), 0),
		"doubled":        slices.Concat(good, good),
		"all zero":       make([]byte, len(good)),
		"all ones":       bytes.Repeat([]byte{0xff}, len(good)),
		"halves swapped": slices.Concat(good[len(good)/2:], good[:len(good)/2]),
	}
	for i := range good {
		changed[fmt.Sprintf("cut to %d bytes", i)] = good[:i]
		changed[fmt.Sprintf("without the first %d bytes", i+1)] = good[i+1:]
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		changed[fmt.Sprintf("bit %d of byte %d", i%8, i)] = flipped
	}
	return changed
}

func TestNoChangedSignatureVerifiesAndNoWrongLengthIsComputed(t *testing.T) {
	const input = "eyJ9.eyJ9"
	for name, key := range ownKeys() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, err := key.key.sign([]byte(input))
			if err != nil {
				t.Fatal(err)
			}
			reached := 0
			guarded := &PublicKey{key.algorithm, gate{key.public.key, &reached, t}, key.public.thumbprint}
			token := compact{input: input, signature: encode(good)}
			if err := token.verify(guarded); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			changed := changedSignatures(good)
			rightLength := 1
			for what, signature := range changed {
				if len(signature) == len(good) {
					rightLength++
				}
				token.signature = encode(signature)
				if err := token.verify(guarded); !errors.Is(err, ErrSignature) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if reached != rightLength || len(changed) < 3*len(good) {
				t.Errorf("%d of %d changes computed, %d have the length", reached, len(changed), rightLength)
			}
		})
	}
}

// scalars is a signature of two big-endian numbers of one size.
func scalars(size int, r, s *big.Int) []byte {
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature
}

func TestECDSANumbersOutOfRangeAreRefused(t *testing.T) {
	input := []byte("input")
	for name, curve := range map[Algorithm]elliptic.Curve{ES256: elliptic.P256(), ES384: elliptic.P384()} {
		key := ownKeys()[string(name)]
		public, order, size := key.public.key, curve.Params().N, coordinateSize(curve)
		good, err := key.key.sign(input)
		if err != nil {
			t.Fatal(err)
		}
		r, s := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
		zero, one := new(big.Int), big.NewInt(1)
		highest := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one)
		for what, pair := range map[string][2]*big.Int{
			"both zero":           {zero, zero},
			"r zero":              {zero, s},
			"s zero":              {r, zero},
			"both one":            {one, one},
			"r the order":         {order, s},
			"s the order":         {r, order},
			"both the order":      {order, order},
			"r the highest":       {highest, s},
			"s the highest":       {r, highest},
			"r the field's prime": {curve.Params().P, s},
			"r negative":          {new(big.Int).Sub(order, r), s},
			"swapped":             {s, r},
		} {
			if public.verify(input, scalars(size, pair[0], pair[1])) {
				t.Errorf("%s: verified with %s", name, what)
			}
		}
		// A value below 2^bits-order has a second spelling of the same length.
		for _, small := range []*big.Int{one, big.NewInt(1 << 30)} {
			if public.verify(input, scalars(size, new(big.Int).Add(order, small), s)) {
				t.Errorf("%s: verified with r beyond the order", name)
			}
		}
		if !public.verify(input, scalars(size, r, new(big.Int).Sub(order, s))) {
			t.Errorf("%s: JWS knows no low s, and other issuers sign with high ones", name)
		}
	}
}

// RFC 8032 section 5.1.7: S is below the group's order. One that is not would
// be a second signature that anyone can write.
func TestEd25519NumbersHaveOneSpelling(t *testing.T) {
	input := []byte("input")
	key := ownKeys()["EdDSA"]
	good, err := key.key.sign(input)
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	littleEndian := func(n *big.Int) []byte {
		b := n.FillBytes(make([]byte, 32))
		slices.Reverse(b)
		return b
	}
	s := bytes.Clone(good[32:])
	slices.Reverse(s)
	for times := int64(1); times < 16; times++ {
		more := new(big.Int).Add(new(big.Int).SetBytes(s), new(big.Int).Mul(order, big.NewInt(times)))
		if more.BitLen() > 256 {
			break
		}
		if key.public.key.verify(input, slices.Concat(good[:32], littleEndian(more))) {
			t.Errorf("verified with S and %d times the order", times)
		}
	}
	if key.public.key.verify(input, slices.Concat(good[:32], littleEndian(order))) {
		t.Error("verified with S the order")
	}
}

// The list is right: under each of these keys the identity and a zero sign about
// every eighth message, with either sign. No key set may bring one in.
func TestEd25519KeysThatAnyoneCanSignWithAreRefused(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for _, y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			signs := false
			for i := range 500 {
				signs = signs || ed25519.Verify(key, fmt.Appendf(nil, "message %d", i), forged)
			}
			// With x zero there is no other sign, so some are no points at all.
			if !signs && sign == 0 {
				t.Errorf("%x: no point of small order", key)
			}
			if _, err := ParseJWK(JWK{Kty: "OKP", Crv: "Ed25519", X: encode(key)}); !errors.Is(err, ErrKey) {
				t.Errorf("%x: %v", key, err)
			}
			der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParsePublicPEM(EdDSA, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); !errors.Is(err, ErrKey) {
				t.Errorf("%x as PEM: %v", key, err)
			}
		}
	}
}

// RFC 8017 section 8.2.2 step 2a: the number is below the modulus.
func TestRSANumbersHaveOneSpelling(t *testing.T) {
	for _, name := range []string{"RS256", "PS256"} {
		key := ownKeys()[name]
		n, size := key.key.(rsaPrivate).key.N, key.public.key.signatureSize()
		one := big.NewInt(1)
		second := 0
		for i := range 64 {
			input := fmt.Appendf(nil, "input %d", i)
			good, err := key.key.sign(input)
			if err != nil {
				t.Fatal(err)
			}
			s := new(big.Int).SetBytes(good)
			forms := []*big.Int{new(big.Int), one, n, new(big.Int).Sub(n, one), new(big.Int).Sub(n, s)}
			if more := new(big.Int).Add(s, n); more.BitLen() <= 8*size {
				forms = append(forms, more)
				second++
			}
			for _, form := range forms {
				if key.public.key.verify(input, form.FillBytes(make([]byte, size))) {
					t.Errorf("%s: verified %d bits", name, form.BitLen())
				}
			}
			if second > 0 && i >= 4 {
				break
			}
		}
		if second == 0 && n.Bit(n.BitLen()-2) == 0 {
			t.Errorf("%s: no signature with a second spelling in 64", name)
		}
	}
}

// RFC 7518 section 3.5 has one hash, one mask function and one length of salt.
func TestPS256IsOneKindOfPSS(t *testing.T) {
	input := []byte("input")
	ps256 := ownKeys()["PS256"].public.key
	raw := ownKeys()["PS256"].key.(rsaPrivate).key
	rs256 := rsaPublic{&raw.PublicKey, crypto.SHA256}
	sign := func(options crypto.SignerOpts) []byte {
		signature, err := raw.Sign(rand.Reader, digest(options.HashFunc(), input), options)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	for salt, verifies := range map[int]bool{32: true, rsa.PSSSaltLengthEqualsHash: true, 1: false, 20: false, 31: false, 33: false, 64: false, 222: false} {
		signature := sign(&rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256})
		if ps256.verify(input, signature) != verifies {
			t.Errorf("a salt of %d bytes: verified %v", salt, !verifies)
		}
		if rs256.verify(input, signature) {
			t.Errorf("RS256 took PSS with a salt of %d bytes", salt)
		}
	}
	for _, hash := range []crypto.Hash{crypto.SHA384, crypto.SHA512} {
		if ps256.verify(input, sign(&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})) {
			t.Errorf("PS256 took %v", hash)
		}
		if rs256.verify(input, sign(hash)) {
			t.Errorf("RS256 took %v", hash)
		}
	}
	if ps256.verify(input, sign(crypto.SHA256)) {
		t.Error("PS256 took PKCS #1 v1.5")
	}
}

func TestOtherFormsOfTheSameSignaturesAreRefused(t *testing.T) {
	input := []byte("input")
	key := ownKeys()["EdDSA"]
	raw := ed25519.PrivateKey(key.key.(ed25519Private))
	withContext, err := raw.Sign(rand.Reader, input, &ed25519.Options{Context: "JWT"})
	if err != nil {
		t.Fatal(err)
	}
	preHashed, err := raw.Sign(rand.Reader, digest(crypto.SHA512, input), crypto.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	for what, signature := range map[string][]byte{"Ed25519ctx": withContext, "Ed25519ph": preHashed} {
		if key.public.key.verify(input, signature) {
			t.Errorf("verified %s", what)
		}
	}
	der, err := ecdsa.SignASN1(rand.Reader, ownKeys()["ES256"].key.(ecdsaPrivate).key, digest(crypto.SHA256, input))
	if err != nil {
		t.Fatal(err)
	}
	token := compact{input: string(input), signature: encode(der)}
	if err := token.verify(ownKeys()["ES256"].public); !errors.Is(err, ErrSignature) {
		t.Errorf("DER for ES256: %v", err)
	}
}
