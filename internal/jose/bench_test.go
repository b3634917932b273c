package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	stdEd25519 "crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// benchClaims are those of a token of ours whose holder is in one group.
var benchClaims = []byte(`{"sub":"01890a5d-ac96-774b-bcce-b302099a8057","email":"anna@example.org","role":"viewer","org_id":"default","groups":["01890a5d-ac96-774b-bcce-b302099a8058"],"iss":"http://localhost:8100","aud":"pico-bot","iat":1900000000,"exp":1900000900,"jti":"01890a5d-ac96-774b-bcce-b302099a8059","sid":"01890a5d-ac96-774b-bcce-b302099a8060"}`)

// benched is a key beside the bare primitives of the libraries underneath, over
// an input as long as its tokens'.
type benched struct {
	key              *jose.PrivateKey
	signer           *jose.Signer
	token            string
	input, signature []byte // of the token
	bareSign         func() error
	bareVerify       func() bool
}

func eachAlgorithm(b *testing.B, run func(*testing.B, benched)) {
	b.Helper()
	bench := func(name string, key *jose.PrivateKey) {
		b.Run(name, func(b *testing.B) {
			k := benched{key: key, signer: jose.NewSigner(key, key.Public().Thumbprint())}
			var err error
			if k.token, err = k.signer.Sign(benchClaims); err != nil {
				b.Fatal(err)
			}
			dot := strings.LastIndexByte(k.token, '.')
			if k.signature, err = base64.RawURLEncoding.DecodeString(k.token[dot+1:]); err != nil {
				b.Fatal(err)
			}
			k.input = []byte(k.token[:dot])
			k.bareSign, k.bareVerify = primitives(b, key, k.input, k.signature)
			run(b, k)
		})
	}
	for _, name := range jose.Algorithms() {
		bench(string(name), keys()[name])
		if name == jose.RS256 {
			bench("RS256-3072", jose.OwnKeys()["RS256 of 3072 bits"])
		}
	}
}

// primitives call the libraries with nothing around them but the hash that the
// algorithm is defined with.
func primitives(b *testing.B, key *jose.PrivateKey, input, signature []byte) (sign func() error, verify func() bool) {
	b.Helper()
	secret, public := key.MarshalExpanded()
	var err error
	switch key.Algorithm() {
	case jose.MLDSA44:
		var sk mldsa44.PrivateKey
		var pk mldsa44.PublicKey
		if err = sk.UnmarshalBinary(secret); err == nil {
			err = pk.UnmarshalBinary(public)
		}
		into := make([]byte, mldsa44.SignatureSize)
		sign = func() error { return mldsa44.SignTo(&sk, input, nil, true, into) }
		verify = func() bool { return mldsa44.Verify(&pk, input, nil, signature) }
	case jose.MLDSA65:
		var sk mldsa65.PrivateKey
		var pk mldsa65.PublicKey
		if err = sk.UnmarshalBinary(secret); err == nil {
			err = pk.UnmarshalBinary(public)
		}
		into := make([]byte, mldsa65.SignatureSize)
		sign = func() error { return mldsa65.SignTo(&sk, input, nil, true, into) }
		verify = func() bool { return mldsa65.Verify(&pk, input, nil, signature) }
	case jose.MLDSA87:
		var sk mldsa87.PrivateKey
		var pk mldsa87.PublicKey
		if err = sk.UnmarshalBinary(secret); err == nil {
			err = pk.UnmarshalBinary(public)
		}
		into := make([]byte, mldsa87.SignatureSize)
		sign = func() error { return mldsa87.SignTo(&sk, input, nil, true, into) }
		verify = func() bool { return mldsa87.Verify(&pk, input, nil, signature) }
	default:
		return standardPrimitives(b, key, input, signature)
	}
	if err != nil {
		b.Fatal(err)
	}
	return sign, verify
}

func standardPrimitives(b *testing.B, key *jose.PrivateKey, input, signature []byte) (sign func() error, verify func() bool) {
	b.Helper()
	switch raw := standard(b, key).(type) {
	case *rsa.PrivateKey:
		if key.Algorithm() == jose.PS256 {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return func() error {
					sum := sha256.Sum256(input)
					_, err := rsa.SignPSS(rand.Reader, raw, crypto.SHA256, sum[:], options)
					return err
				}, func() bool {
					sum := sha256.Sum256(input)
					return rsa.VerifyPSS(&raw.PublicKey, crypto.SHA256, sum[:], signature, options) == nil
				}
		}
		return func() error {
				sum := sha256.Sum256(input)
				_, err := rsa.SignPKCS1v15(rand.Reader, raw, crypto.SHA256, sum[:])
				return err
			}, func() bool {
				sum := sha256.Sum256(input)
				return rsa.VerifyPKCS1v15(&raw.PublicKey, crypto.SHA256, sum[:], signature) == nil
			}
	case *ecdsa.PrivateKey:
		hash := func() []byte {
			if key.Algorithm() == jose.ES384 {
				sum := sha512.Sum384(input)
				return sum[:]
			}
			sum := sha256.Sum256(input)
			return sum[:]
		}
		der, err := ecdsa.SignASN1(rand.Reader, raw, hash())
		if err != nil {
			b.Fatal(err)
		}
		return func() error {
				_, err := ecdsa.SignASN1(rand.Reader, raw, hash())
				return err
			}, func() bool {
				return ecdsa.VerifyASN1(&raw.PublicKey, hash(), der)
			}
	case stdEd25519.PrivateKey:
		return func() error {
				_ = stdEd25519.Sign(raw, input)
				return nil
			}, func() bool {
				return stdEd25519.Verify(raw.Public().(stdEd25519.PublicKey), input, signature)
			}
	default:
		b.Fatalf("no primitive for %T", raw)
		return nil, nil
	}
}

// reportOver says how many ns a token adds to its signature. "ns-around" is
// what happens outside the key: each round's time less that inside the key.
// "ns-within" is what the key adds to the library, as hashing through an
// interface and turning ECDSA's DER into two numbers: both in turns. "ns-bare" is
// the library alone. Of each sample the fast end counts, since whatever else the
// machine does only adds; ns/op is the average.
func reportOver(b *testing.B, inside *time.Duration, whole, key, bare func()) {
	b.Helper()
	const rounds = 500
	var around, keys, bares [rounds]time.Duration
	for i := range rounds {
		start := time.Now()
		whole()
		around[i] = time.Since(start) - *inside
		start = time.Now()
		key()
		between := time.Now()
		bare()
		keys[i], bares[i] = between.Sub(start), time.Since(between)
	}
	for _, sample := range [][]time.Duration{around[:], keys[:], bares[:]} {
		slices.Sort(sample)
	}
	b.ReportMetric(float64(around[rounds/20]), "ns-around")
	b.ReportMetric(float64(keys[rounds/20]-bares[rounds/20]), "ns-within")
	b.ReportMetric(float64(bares[rounds/20]), "ns-bare")
}

// timed runs do as a benchmark of its own.
func timed(b *testing.B, name string, do func()) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			do()
		}
	})
}

// BenchmarkMint compares a whole token with the bare signature in it.
func BenchmarkMint(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, k benched) {
		var inside time.Duration
		private, _ := jose.Clocked(k.key, &inside)
		clocked := jose.NewSigner(private, k.key.Public().Thumbprint())
		mint := func(signer *jose.Signer) func() {
			return func() {
				if _, err := signer.Sign(benchClaims); err != nil {
					b.Fatal(err)
				}
			}
		}
		bare := func() {
			if err := k.bareSign(); err != nil {
				b.Fatal(err)
			}
		}
		timed(b, "bare", bare)
		b.Run("mint", func(b *testing.B) {
			b.ReportAllocs()
			do := mint(k.signer)
			for b.Loop() {
				do()
			}
			reportOver(b, &inside, mint(clocked), func() { _ = jose.SignBare(k.key, k.input) }, bare)
			jwk := marshal(b, k.key.Public().JWK(k.key.Public().Thumbprint()))
			b.ReportMetric(float64(len(k.token)), "token-bytes")
			b.ReportMetric(float64(len(jwk)), "jwk-bytes")
		})
	})
}

// BenchmarkVerify compares the check of a whole token with that of the bare
// signature in it.
func BenchmarkVerify(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, k benched) {
		var inside time.Duration
		_, clocked := jose.Clocked(k.key, &inside)
		verify := func(key *jose.PublicKey) func() {
			lookup := only(key)
			return func() {
				if _, _, err := jose.Verify(k.token, lookup); err != nil {
					b.Fatal(err)
				}
			}
		}
		bare := func() {
			if !k.bareVerify() {
				b.Fatal("the bare signature does not verify")
			}
		}
		timed(b, "bare", bare)
		b.Run("token", func(b *testing.B) {
			b.ReportAllocs()
			do := verify(k.key.Public())
			for b.Loop() {
				do()
			}
			reportOver(b, &inside, verify(clocked), func() { _ = jose.VerifyBare(k.key.Public(), k.input, k.signature) }, bare)
		})
	})
}

// BenchmarkKnown is the check of a token that was seen before.
func BenchmarkKnown(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, k benched) {
		var memory jose.Memory
		lookup := only(k.key.Public())
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := memory.Verify(k.token, lookup); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLoad is what a start pays for its key.
func BenchmarkLoad(b *testing.B) {
	for _, name := range withPEM {
		b.Run(string(name), func(b *testing.B) {
			encoded, err := keys()[name].MarshalPEM()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := jose.ParsePrivatePEM(name, encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, name := range []jose.Algorithm{jose.MLDSA44, jose.MLDSA65, jose.MLDSA87} {
		b.Run(string(name), func(b *testing.B) {
			secret, public := keys()[name].MarshalExpanded()
			for b.Loop() {
				if _, err := jose.ParseExpandedMLDSA(name, secret, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
