package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/pico-auth/pico-auth/internal/store"
)

// maxSecretBytes limits what is hashed for an unauthenticated client.
// Our tokens have 67 and 73 bytes, those of the releases before 43, and the
// original's 32 and 73.
const maxSecretBytes = 512

// ServiceTokenPrefix distinguishes a service token from an access token.
const ServiceTokenPrefix = "pico_svc_"

// A refresh token is a part that all tokens of its family share, and 256 random bits
// of its own. That many need no slow hash. The shared part tells who presents it as
// the holder of a token of the family: one that is not stored any more was used.
const (
	sharedBytes  = 18 // in base64, a text of its own
	sharedChars  = sharedBytes / 3 * 4
	refreshChars = sharedChars + 43
)

// newRefreshToken returns a token of the family with the shared part; empty: a new one.
func newRefreshToken(shared string) string {
	var secret [sharedBytes + 32]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	if shared != "" {
		text = shared + text[sharedChars:]
	}
	return text
}

// sharedPart is the part of a refresh token that its family shares, empty for the
// tokens of previous releases and of the original.
func sharedPart(refresh string) string {
	if len(refresh) != refreshChars {
		return ""
	}
	return refresh[:sharedChars]
}

// hashOfShared is the form in which the store has the shared part.
func hashOfShared(refresh string) string {
	if shared := sharedPart(refresh); shared != "" {
		return hashOf(shared)
	}
	return ""
}

func newServiceToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	return ServiceTokenPrefix + hex.EncodeToString(secret[:])
}

// hashOf is the form in which the store has an opaque token.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// candidates returns the hashes under which a presented token may be stored: ours
// and, if a later version of the original was adopted, its keyed one.
func candidates(secret string, legacyKey []byte) []string {
	hashes := []string{hashOf(secret)}
	if legacyKey != nil {
		mac := hmac.New(sha256.New, legacyKey)
		mac.Write([]byte(secret))
		hashes = append(hashes, hex.EncodeToString(mac.Sum(nil)))
	}
	return hashes
}

// hashes returns the forms in which a presented opaque token may be stored,
// identity.ErrInvalidToken for text that cannot be one.
func (i *Issuer) hashes(presented string) ([]string, error) {
	if presented == "" || len(presented) > maxSecretBytes {
		return nil, store.InvalidToken(store.ErrUnknownToken)
	}
	return candidates(presented, i.legacyHashKey), nil
}

// Locate describes a refresh token that the client presents as the store finds it.
// Text that cannot be one is identity.ErrInvalidToken.
func (i *Issuer) Locate(clientID, presented string) (store.PresentedRefresh, error) {
	hashes, err := i.hashes(presented)
	if err != nil {
		return store.PresentedRefresh{}, err
	}
	return store.PresentedRefresh{
		ClientID: clientID, Hashes: hashes, SharedHash: hashOfShared(presented), Issued: i.recent.has(hashes[0]),
	}, nil
}

// serviceHashes is hashes for a service token.
func (i *Issuer) serviceHashes(presented string) ([]string, error) {
	if !strings.HasPrefix(presented, ServiceTokenPrefix) {
		return nil, store.InvalidToken(store.ErrUnknownToken)
	}
	return i.hashes(presented)
}
