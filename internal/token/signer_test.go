package token_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

func masterKey(t *testing.T, fill byte) *seal.Master {
	t.Helper()
	m, err := seal.Parse(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestNoTokenIsUsedWithoutASigningKey: a server that cannot read the active key
// reports that it is unavailable. If it had marked the refresh token used, the
// retry that it asks for would look like reuse and end the family.
func TestNoTokenIsUsedWithoutASigningKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		user := w.viewer(t)
		pair := w.issue(t, user)
		// Another replica, already restarted with a new master key, revokes the key.
		both := keyring.Config{
			Dir: t.TempDir(), Algorithm: jose.EdDSA, Store: w.store, AtRest: keyring.Sealed,
			Master: masterKey(t, 2).After(masterKey(t, 1)),
		}
		desk, err := keyring.NewAdmin(both)
		w.must(t, err)
		_, err = desk.Revoke(t.Context(), system, w.keys.Active().KID, false)
		w.must(t, err)
		if err := w.keys.Refresh(t.Context()); err == nil {
			t.Fatal("it has the new key")
		}
		for range 3 {
			if _, err := w.Rotate(t.Context(), web, pair.RefreshToken); fault.KindOf(err) != fault.Unavailable || errors.Is(err, store.ErrReuse) {
				t.Errorf("refresh: %v", err)
			}
			if _, err := w.Issue(t.Context(), web, user); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("login: %v", err)
			}
		}
		healthy, err := keyring.Open(t.Context(), both)
		w.must(t, err)
		cfg := w.config
		cfg.Keys = healthy
		if _, err := token.New(cfg).Rotate(t.Context(), web, pair.RefreshToken); err != nil {
			t.Errorf("the session continues at another replica: %v", err)
		}
	}, func(_ *token.Config, k *keyring.Config) {
		k.Algorithm, k.Master, k.AtRest = jose.EdDSA, masterKey(t, 1), keyring.Sealed
	})
}
