package jose

import (
	"crypto"
	"crypto/rsa"
	"time"
)

// OwnKeys is a key of each algorithm by its name, and one of RS256 and PS256
// each with 3072 bits.
func OwnKeys() map[string]*PrivateKey { return ownKeys() }

// SignRaw signs an encoded header and payload that a test chose.
func SignRaw(key *PrivateKey, input string) (string, error) {
	signature, err := key.key.sign([]byte(input))
	return input + "." + encode(signature), err
}

// SignBare is the signature alone, the measure for what a token adds.
func SignBare(key *PrivateKey, input []byte) []byte {
	signature, err := key.key.sign(input)
	if err != nil {
		panic(err)
	}
	return signature
}

// VerifyBare is the check of a signature alone.
func VerifyBare(key *PublicKey, input, signature []byte) bool {
	return key.key.verify(input, signature)
}

// Clocked returns key, and its public half, with the time inside of signatures
// and their checks written to inside.
func Clocked(key *PrivateKey, inside *time.Duration) (*PrivateKey, *PublicKey) {
	public := *key.public
	public.key = clockedPublic{public.key, inside}
	private := *key
	private.key, private.public = clockedPrivate{private.key, inside}, &public
	return &private, &public
}

type clockedPrivate struct {
	privateKey
	inside *time.Duration
}

func (k clockedPrivate) sign(input []byte) ([]byte, error) {
	start := time.Now()
	defer func() { *k.inside = max(1, time.Since(start)) }() // the clock of Windows may not have moved
	return k.privateKey.sign(input)
}

type clockedPublic struct {
	publicKey
	inside *time.Duration
}

func (k clockedPublic) verify(input, signature []byte) bool {
	start := time.Now()
	defer func() { *k.inside = max(1, time.Since(start)) }() // the clock of Windows may not have moved
	return k.publicKey.verify(input, signature)
}

// FromRSA is key as one of RS256, past everything that a parser looks at.
func FromRSA(key *rsa.PrivateKey) *PrivateKey {
	return newPrivateKey(&table[0], rsaPrivate{key, crypto.SHA256})
}

// Mismatched is private with the public half of another key.
func Mismatched(private, other *PrivateKey) *PrivateKey {
	return &PrivateKey{private.algorithm, private.key, other.public}
}
