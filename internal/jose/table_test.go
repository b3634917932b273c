package jose

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha512" // crypto.SHA384
)

func pssSHA256() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
}

func sha384() crypto.Hash { return crypto.SHA384 }
