package jose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

func TestKeysThatWeMakePassTheCheck(t *testing.T) {
	for name, key := range jose.OwnKeys() {
		if err := key.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key whose halves do not belong together must not begin to sign.
func TestAKeyThatDoesNotVerifyWhatItSignsIsRefused(t *testing.T) {
	for _, name := range jose.Algorithms() {
		other, err := jose.Generate(name)
		if err != nil {
			t.Fatal(err)
		}
		err = jose.Mismatched(keys()[name], other).Check()
		if !errors.Is(err, jose.ErrKey) || !strings.Contains(fmt.Sprint(err), "does not verify") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWeakRSAKeysDoNotPassTheCheck(t *testing.T) {
	p, q, third, small := prime(t, 1024), prime(t, 1024), prime(t, 683), prime(t, 40)
	odd := new(big.Int).Mul(prime(t, 512), prime(t, 512))
	for new(big.Int).Mul(p, odd).BitLen() < 2048 { // else the length is what is refused
		odd.Mul(prime(t, 512), prime(t, 512))
	}
	near := new(big.Int).Add(p, big.NewInt(2))
	for !near.ProbablyPrime(1) || !coprime(near, 65537) {
		near.Add(near, big.NewInt(2))
	}
	three := prime(t, 1024)
	for !coprime(three, 3) {
		three = prime(t, 1024)
	}
	other := prime(t, 1024)
	for !coprime(other, 3) {
		other = prime(t, 1024)
	}
	for name, c := range map[string]struct {
		key         *rsa.PrivateKey
		says        string
		alsoParsing bool // refused by the parser as well
	}{
		"good":              {key: assemble(65537, p, q)},
		"a composite prime": {assemble(65537, p, odd), "no prime", false},
		"the other one":     {assemble(65537, odd, p), "no prime", true}, // whose CRT coefficient crypto/rsa sees
		"a 40-bit factor":   {assemble(65537, prime(t, 2024), small), "less than", true},
		"exponent 3":        {assemble(3, three, other), "exponent 3; at least 65537", false},
		"close primes":      {assemble(65537, p, near), "too close", true}, // which crypto/x509 sees
		"equal":             {assemble(65537, p, p), "too close", true},
		"three primes":      {assemble(65537, third, prime(t, 683), prime(t, 683)), "3 primes", true},
		"one prime":         {assemble(65537, prime(t, 2048)), "1 primes", true},
		"1024 bits":         {assemble(65537, prime(t, 512), prime(t, 512)), "at least 2048", true},
	} {
		t.Run(name, func(t *testing.T) {
			err := jose.FromRSA(c.key).Check()
			if (err == nil) != (c.says == "") || !strings.Contains(fmt.Sprint(err), c.says) || (err != nil && !errors.Is(err, jose.ErrKey)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			if len(fmt.Sprint(err)) > 150 {
				t.Errorf("the error holds more than a sentence: %v", err)
			}
			_, err = jose.ParsePrivatePEM(jose.RS256, pkcs1(c.key))
			if (err != nil) != c.alsoParsing || (err != nil && !errors.Is(err, jose.ErrKey)) {
				t.Errorf("parsed with error %v", err)
			}
		})
	}
}

func prime(t *testing.T, bits int) *big.Int {
	t.Helper()
	for {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		if coprime(p, 65537) {
			return p
		}
	}
}

// coprime reports whether e has an inverse modulo p-1.
func coprime(p *big.Int, e int64) bool {
	less := new(big.Int).Sub(p, big.NewInt(1))
	return new(big.Int).GCD(nil, nil, less, big.NewInt(e)).Cmp(big.NewInt(1)) == 0
}

// assemble takes the factors for primes, whatever they are, as a bad generator
// of keys would.
func assemble(e int, factors ...*big.Int) *rsa.PrivateKey {
	n, order := big.NewInt(1), big.NewInt(1)
	for _, f := range factors {
		n.Mul(n, f)
		order.Mul(order, new(big.Int).Sub(f, big.NewInt(1)))
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, Primes: factors}
	key.D = new(big.Int).ModInverse(big.NewInt(int64(e)), order)
	return key
}

func pkcs1(key *rsa.PrivateKey) []byte {
	if len(key.Primes) < 2 {
		return nil // the form has no place for such a key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
