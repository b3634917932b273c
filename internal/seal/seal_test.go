package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/seal"
)

var place = seal.Place{Table: "signing_keys", Column: "sealed_key", Row: "pico-auth-1"}

func master(t testing.TB, fill byte) *seal.Master {
	t.Helper()
	m, err := seal.Parse(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsSealedOpensAtItsPlaceOnly(t *testing.T) {
	m := master(t, 1)
	sealed := m.Seal(place, []byte("secret"))
	if got, err := m.Open(place, sealed); err != nil || string(got) != "secret" {
		t.Fatalf("%q %v", got, err)
	}
	if again := m.Seal(place, []byte("secret")); again == sealed {
		t.Error("sealed twice the same")
	}
	for _, other := range []seal.Place{
		{"signing_key", "ssealed_key", "pico-auth-1"},
		{"signing_keys", "sealed_key", "pico-auth-2"},
		{"settings", "sealed_key", "pico-auth-1"},
		{"signing_keys", "public_key", "pico-auth-1"},
		{},
	} {
		if _, err := m.Open(other, sealed); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("at %+v: %v", other, err)
		}
	}
	if _, err := master(t, 2).Open(place, sealed); !errors.Is(err, seal.ErrOtherKey) {
		t.Errorf("under another key: %v", err)
	}
}

func TestEveryChangeOfASealedTextIsNoticed(t *testing.T) {
	m := master(t, 1)
	sealed := m.Seal(place, []byte("secret"))
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		if got, err := m.Open(place, string(changed)); err == nil {
			t.Errorf("byte %d changed: opens as %q", i, got)
		}
		if _, err := m.Open(place, sealed[:i]); err == nil {
			t.Errorf("opens with %d of %d bytes", i, len(sealed))
		}
	}
	for _, text := range []string{"", "v1", "v1..", sealed + "A", strings.Replace(sealed, "v1", "v2", 1)} {
		if _, err := m.Open(place, text); err == nil {
			t.Errorf("%q opens", text)
		}
	}
}

func TestMasterKeysAreReadInBothAlphabets(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	sealed := ""
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		m, err := seal.Parse(encoding.EncodeToString(raw))
		if err != nil {
			t.Fatal(err)
		}
		if sealed == "" {
			sealed = m.Seal(place, []byte("x"))
		}
		if _, err := m.Open(place, sealed); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{
		"", "x", "not a key", base64.StdEncoding.EncodeToString(raw[:31]), base64.StdEncoding.EncodeToString(append(raw, 1)),
		strings.Repeat("A", 42) + "B", strings.Repeat("a", 64), base64.StdEncoding.EncodeToString(raw) + "\n",
		base64.StdEncoding.EncodeToString(raw)[:20] + "\n" + base64.StdEncoding.EncodeToString(raw)[20:],
	} {
		if _, err := seal.Parse(text); !errors.Is(err, seal.ErrKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMasterKeysDoNotPrint(t *testing.T) {
	m := master(t, 'k')
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", m)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", m)
	encoded, err := json.Marshal(map[string]any{"key": m})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %x %q", m, m, *m, m, m, m) + log.String() + string(encoded)
	if n := strings.Count(all, "[redacted]"); n != 9 || strings.Contains(all, "aead") || strings.Contains(all, "kkk") {
		t.Errorf("%d of 9 redacted: %s", n, all)
	}
}

// While a master key is being changed both open, and only the new one seals.
func TestASuccessorOpensWhatTheFormerSealed(t *testing.T) {
	former, fresh, unknown := master(t, 1), master(t, 2), master(t, 3)
	both := fresh.After(former)
	for _, by := range []*seal.Master{former, fresh, both} {
		sealed := by.Seal(place, []byte("secret"))
		if got, err := both.Open(place, sealed); err != nil || string(got) != "secret" {
			t.Errorf("%q %v", got, err)
		}
		if both.Sealed(sealed) != (by != former) {
			t.Errorf("%.12s: sealed under the new one: %v", sealed, both.Sealed(sealed))
		}
		if _, err := both.Open(seal.Place{}, sealed); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("elsewhere: %v", err)
		}
	}
	if _, err := fresh.Open(place, both.Seal(place, nil)); err != nil {
		t.Errorf("the successor does not seal under the new key: %v", err)
	}
	if _, err := both.Open(place, unknown.Seal(place, nil)); !errors.Is(err, seal.ErrOtherKey) {
		t.Errorf("sealed under an unknown key: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", both, both, *both); text != "[redacted] [redacted] [redacted]" {
		t.Error(text)
	}
}
