package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// KeySize is that of AES-256.
	KeySize = 32

	// version begins each sealed text: "v1.ID.BYTES", where ID names the master
	// key, so that a new one can take over while old texts are still there, and
	// BYTES are nonce, ciphertext and tag.
	version = "v1"
)

// The refusals of Open.
var (
	ErrOtherKey = errors.New("it was sealed under another master key")
	ErrDamaged  = errors.New("it is damaged, or belongs to another place")
)

// ErrKey is what Parse says of a text that is no master key. It never holds the
// text.
var ErrKey = errors.New("a master key is 32 bytes in base64")

// Master is a master key. It does not print.
type Master struct {
	aead   cipher.AEAD
	derive func(label string) []byte // the key of one purpose; a function does not print
	id     string
	former *Master // opens what was sealed before this one took over; nil: nothing was
}

// Parse reads a master key: 32 bytes in base64, of the standard or the URL
// alphabet, with or without padding.
func Parse(text string) (*Master, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != KeySize || strings.ContainsAny(text, "\r\n") {
		return nil, ErrKey
	}
	return New(key)
}

// New returns the master key of these 32 bytes.
func New(key []byte) (*Master, error) {
	if len(key) != KeySize {
		return nil, ErrKey
	}
	return newMaster([KeySize]byte(key))
}

func newMaster(key [KeySize]byte) (*Master, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	// A random nonce for each text: the bound of 2^32 texts is never reached.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("pico-auth/master-key-id/v1"))
	derive := func(label string) []byte { return subkey(key, label) }
	return &Master{aead: aead, derive: derive, id: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:6])}, nil
}

// After returns m as the successor of former: it seals under m, and opens what
// either of the two sealed.
func (m *Master) After(former *Master) *Master {
	return &Master{aead: m.aead, derive: m.derive, id: m.id, former: former}
}

// Former returns the master key that m follows, nil when there is none.
func (m *Master) Former() *Master { return m.former }

// Sealed reports whether a text says that it was sealed, or a MAC made, under m
// itself and not under the former master key.
func (m *Master) Sealed(text string) bool { return strings.HasPrefix(text, version+"."+m.id+".") }

// Place is where a sealed text is stored. It opens at no other place, so that
// write access to the database is not enough to exchange two of them.
type Place struct{ Table, Column, Row string }

// bound is the associated data: each part with its length, so that no two
// places are equal.
func (p Place) bound() []byte {
	var b strings.Builder
	for _, part := range []string{"pico-auth/sealed/" + version, p.Table, p.Column, p.Row} {
		b.WriteString(strconv.Itoa(len(part)) + ":" + part)
	}
	return []byte(b.String())
}

// Seal returns secret as text that only Open at the same place gives back.
func (m *Master) Seal(at Place, secret []byte) string {
	text := m.aead.Seal(nil, nil, secret, at.bound()) //nolint:gosec // the nonce is random, and in the text
	return version + "." + m.id + "." + base64.RawURLEncoding.EncodeToString(text)
}

// Open returns what was sealed, ErrOtherKey when that was under another master
// key, else ErrDamaged.
func (m *Master) Open(at Place, sealed string) ([]byte, error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != version {
		return nil, ErrDamaged
	}
	if parts[1] != m.id {
		if m.former != nil {
			return m.former.Open(at, sealed)
		}
		return nil, ErrOtherKey
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return nil, ErrDamaged
	}
	secret, err := m.aead.Open(nil, nil, text, at.bound())
	if err != nil {
		return nil, ErrDamaged
	}
	return secret, nil
}

// Format hides the key from fmt, and so from most logs.
func (Master) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[redacted]") }

// MarshalText hides the key from encoding/json and slog.
func (Master) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
