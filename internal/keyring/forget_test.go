package keyring_test

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

// TestWhatForgettingAKeyWouldEnd is said as it then comes, with the keys in files
// and sealed.
func TestWhatForgettingAKeyWouldEnd(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		for _, at := range []keyring.AtRest{keyring.Files, keyring.Sealed} {
			cfg := cfg
			cfg.Dir, cfg.AtRest, cfg.Master = t.TempDir(), at, master(t, 1)
			ring := open(t, cfg)
			first := ring.Active().KID
			look := func(kid string, there, again bool, successor string) {
				t.Helper()
				f, err := desk(t, cfg).Forgettable(t.Context(), kid)
				if err != nil || f.There != there || (f.Again != "") != again || f.Successor != successor || f.SuccessorProblem != "" {
					t.Errorf("%s: %+v, %v", at, f, err)
				}
			}
			look(first, true, at == keyring.Files, "")
			second := rotate(t, cfg, true)
			look(first, true, false, "")
			third := rotate(t, cfg, false)
			look(third, true, false, "")
			look(second, true, false, third)
			lost := cfg
			lost.Dir, lost.Master = t.TempDir(), master(t, 2)
			if f, err := desk(t, lost).Forgettable(t.Context(), second); err != nil || f.There || f.Problem == "" || f.SuccessorProblem == "" {
				t.Errorf("%s, where they are lost: %+v, %v", at, f, err)
			}

			// A server that runs signs with the forgotten key until the next one is due.
			c.tick(t, time.Second, ring)
			succeed(t, cfg.Store.ForgetSigningKey(t.Context(), store.Act{Action: "key.forget", By: operator}, second))
			if err := ring.Refresh(t.Context()); err == nil || ring.Active().KID != second {
				t.Errorf("%s: %s signs: %v", at, ring.Active().KID, err)
			}
			c.tick(t, time.Hour, ring)
			if got := ring.Active().KID; got != third {
				t.Errorf("%s: %s signs and not the next one", at, got)
			}
			succeed(t, ring.Rest(t.Context()))
			for _, kid := range []string{first, third} {
				_ = cfg.Store.ForgetSigningKey(t.Context(), store.Act{Action: "key.forget", By: operator}, kid)
			}
		}
	})
}
