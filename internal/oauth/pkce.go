package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// validChallenge reports whether the text can be a challenge of S256, RFC 7636 section
// 4.2: the base64url of a SHA-256.
func validChallenge(challenge string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(sum) == sha256.Size && base64.RawURLEncoding.EncodeToString(sum) == challenge
}

// CheckVerifier is nil if the code verifier is that of the challenge of the
// authorization request, RFC 7636 section 4.6. A verifier without a challenge is
// refused, too: the challenge may have been removed on the way (RFC 9700 section
// 2.1.1).
func CheckVerifier(challenge, verifier string) error {
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return Refuse(InvalidGrant, "code_verifier is given, and the authorization request had no code_challenge")
	case verifier == "":
		return Refuse(InvalidGrant, "code_verifier is missing")
	}
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	if !validVerifier(verifier) || subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) != 1 {
		return Refuse(InvalidGrant, "code_verifier does not match the code_challenge")
	}
	return nil
}

// validVerifier reports whether the verifier has the form of RFC 7636 section 4.1.
func validVerifier(verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	for _, c := range []byte(verifier) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}
