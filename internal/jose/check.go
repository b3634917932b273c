package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

const (
	// minRSAExponent is the least that FIPS 186-5 section 5.4 lets a key have.
	minRSAExponent = 1<<16 + 1
	// rsaPrimeRounds accepts a random composite with a probability of 4^-20; one
	// constructed to pass them must also pass the Baillie-PSW test.
	rsaPrimeRounds = 20
	// closeRSAPrimes: primes that agree in their first 100 bits are found by
	// Fermat's method (FIPS 186-5 appendix A.1.3).
	closeRSAPrimes = 100
)

// Check reports whether the key is fit to sign: an RSA key has an exponent
// of at least 65537 and exactly two primes, which are primes, neither short nor
// close to each other; and a key of any algorithm verifies what it signs.
// Errors are ErrKey and hold nothing of the key. It takes tens of milliseconds
// for 2048 bits, and more than a second for 8192: use it once, for keys that come from outside.
func (k *PrivateKey) Check() error {
	if half, ok := k.key.(rsaPrivate); ok {
		if err := checkRSAPrivate(half.key); err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	if err := k.probe(); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return nil
}

// probe signs and verifies: a private key read from outside may be damaged in
// ways that its parser does not see.
func (k *PrivateKey) probe() error {
	input := make([]byte, 32)
	if _, err := rand.Read(input); err != nil {
		return err
	}
	signature, err := k.key.sign(input)
	if err != nil {
		return errors.New("the private key does not sign") // the cause may contain its numbers
	}
	if !k.public.key.verify(input, signature) {
		return errors.New("the private key signs what its public half does not verify")
	}
	return nil
}

func checkRSAPrivate(key *rsa.PrivateKey) error {
	if err := checkRSA(&key.PublicKey); err != nil {
		return err
	}
	if key.E < minRSAExponent {
		return fmt.Errorf("an RSA key with the public exponent %d; at least %d is needed", key.E, minRSAExponent)
	}
	if err := checkRSAShape(key); err != nil {
		return err
	}
	p, q := key.Primes[0], key.Primes[1]
	if new(big.Int).Sub(p, q).BitLen() <= key.N.BitLen()/2-closeRSAPrimes {
		return errors.New("an RSA key whose two primes are too close to each other")
	}
	if !p.ProbablyPrime(rsaPrimeRounds) || !q.ProbablyPrime(rsaPrimeRounds) {
		return errors.New("an RSA key with a factor that is no prime")
	}
	return nil
}

// checkRSAShape is the cheap part. A modulus is only as strong as its shorter
// prime.
func checkRSAShape(key *rsa.PrivateKey) error {
	if len(key.Primes) != 2 {
		return fmt.Errorf("an RSA key of %d primes; exactly 2 are needed", len(key.Primes))
	}
	least := key.N.BitLen()/2 - 1
	for _, prime := range key.Primes {
		if prime.BitLen() < least {
			return fmt.Errorf("an RSA key with a prime of less than %d bits, which is too short for its modulus", least)
		}
	}
	return nil
}
