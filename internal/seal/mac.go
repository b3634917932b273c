package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// MAC authenticates parts, in that order, under a key that HKDF-SHA-256 derives
// from the master key with the label: HMAC-SHA-256, as text that names the master
// key as a sealed text does.
func (m *Master) MAC(label string, parts ...string) string {
	mac := hmac.New(sha256.New, m.derive(label))
	for _, part := range parts {
		mac.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return version + "." + m.id + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func subkey(master [KeySize]byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, master[:], nil, label, sha256.Size)
	if err != nil {
		panic(err) // the length is a constant that HKDF allows
	}
	return key
}

// Verify returns nil when mac is that of the parts, ErrOtherKey when it is under
// another master key, else ErrDamaged.
func (m *Master) Verify(mac, label string, parts ...string) error {
	fields := strings.Split(mac, ".")
	switch {
	case len(fields) != 3 || fields[0] != version:
		return ErrDamaged
	case fields[1] == m.id:
		if subtle.ConstantTimeCompare([]byte(mac), []byte(m.MAC(label, parts...))) != 1 {
			return ErrDamaged
		}
		return nil
	case m.former != nil:
		return m.former.Verify(mac, label, parts...)
	}
	return ErrOtherKey
}
