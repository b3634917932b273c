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
// Our tokens have 43 and 73 bytes, the original's 32 and 73.
const maxSecretBytes = 512

const serviceTokenPrefix = "pico_svc_"

// newRefreshToken returns 256 random bits. That many need no slow hash.
func newRefreshToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

func newServiceToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	return serviceTokenPrefix + hex.EncodeToString(secret[:])
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
	return candidates(presented, i.keys.LegacyHashKey()), nil
}

// Locate describes a refresh token that the client presents as the store finds it.
// Text that cannot be one is identity.ErrInvalidToken.
func (i *Issuer) Locate(clientID, presented string) (store.PresentedRefresh, error) {
	hashes, err := i.hashes(presented)
	if err != nil {
		return store.PresentedRefresh{}, err
	}
	return store.PresentedRefresh{ClientID: clientID, Hashes: hashes, Issued: i.recent.has(hashes[0])}, nil
}

// serviceHashes is hashes for a service token.
func (i *Issuer) serviceHashes(presented string) ([]string, error) {
	if !strings.HasPrefix(presented, serviceTokenPrefix) {
		return nil, store.InvalidToken(store.ErrUnknownToken)
	}
	return i.hashes(presented)
}
