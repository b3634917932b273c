package seal_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/seal"
)

func parsed(t *testing.T, text string) *seal.Master {
	t.Helper()
	m, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAMACIsOfItsPartsLabelAndMasterKey: no part can be moved into its neighbour,
// and no MAC of one purpose serves another.
func TestAMACIsOfItsPartsLabelAndMasterKey(t *testing.T) {
	m := parsed(t, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	other := parsed(t, "__________________________________________8")
	mac := m.MAC("row", "ab", "c", "")
	if err := m.Verify(mac, "row", "ab", "c", ""); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another boundary": m.Verify(mac, "row", "a", "bc", ""), "a part less": m.Verify(mac, "row", "ab", "c"),
		"another label": m.Verify(mac, "column", "ab", "c", ""), "no MAC": m.Verify("", "row", "ab", "c", ""),
		"cut off": m.Verify(mac[:len(mac)-1], "row", "ab", "c", ""), "two parts of text": m.Verify("v1.x", "row"),
	} {
		if !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := other.Verify(mac, "row", "ab", "c", ""); !errors.Is(err, seal.ErrOtherKey) {
		t.Errorf("another master key: %v", err)
	}
	if err := other.After(m).Verify(mac, "row", "ab", "c", ""); err != nil {
		t.Errorf("its successor: %v", err)
	}
}

// TestTheMACKeyIsDerivedWithHKDF, as outside tools compute it.
func TestTheMACKeyIsDerivedWithHKDF(t *testing.T) {
	master, err := base64.StdEncoding.DecodeString("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "row", 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("2:ab0:"))
	want := "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if got := parsed(t, base64.StdEncoding.EncodeToString(master)).MAC("row", "ab", ""); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
