package keyring_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestALostKeyIsReplacedOnRequestOnly, with its file or with the master key, and
// whatever became of the pending one.
func TestALostKeyIsReplacedOnRequestOnly(t *testing.T) {
	eachClocked(t, func(t *testing.T, _ *clockwork, cfg keyring.Config) {
		for _, at := range []keyring.AtRest{keyring.Files, keyring.Sealed} {
			cfg := cfg
			cfg.Dir, cfg.AtRest, cfg.Master = t.TempDir(), at, master(t, 1)
			if set := rows(t, cfg.Store); len(set.Keys) > 0 {
				cfg.Store = storetest.Open(t)
			}
			open(t, cfg)
			lost := rotate(t, cfg, true)
			rotate(t, cfg, false)
			without := cfg
			without.Dir, without.Master = t.TempDir(), master(t, 2)
			if _, err := admin(t, without).Revoke(t.Context(), operator, lost, false); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: by a command that lacks it: %v", at, err)
			}
			if got := statuses(t, cfg.Store, lost); got != "active" {
				t.Fatalf("%s: %s", at, got)
			}
			successor, err := admin(t, without).Revoke(t.Context(), operator, lost, true)
			must(t, err)
			if got := statuses(t, cfg.Store, lost, successor); got != "removed/active" || rows(t, cfg.Store).First(store.KeyPending, "") != nil {
				t.Errorf("%s: %s", at, got)
			}
			ring := open(t, without)
			if created(ring) || ring.Active().KID != successor {
				t.Errorf("%s: %+v", at, ring.Active())
			}
			accepts(t, ring, ring)
			if _, err := admin(t, cfg).Revoke(t.Context(), operator, "nonsense", true); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: an unknown key: %v", at, err)
			}
		}
	})
}

// TestAServerKeepsAKeyWhoseRowIsMissing, until its next start, which makes
// another: no server deletes rows.
func TestAServerKeepsAKeyWhoseRowIsMissing(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.MLDSA65, Store: storetest.OpenURL(t, url), AtRest: keyring.Files}
		running := open(t, cfg)
		storetest.Exec(t, url, "DELETE FROM signing_keys; UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'key_set_version'")
		if err := running.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "until the next start") {
			t.Errorf("a running server: %v", err)
		}
		if err := running.Refresh(t.Context()); err != nil {
			t.Errorf("reported twice: %v", err)
		}
		accepts(t, running, running)
		cfg.Dir = t.TempDir()
		fresh := open(t, cfg)
		if !created(fresh) || fresh.Active().KID == running.Active().KID {
			t.Errorf("%+v", fresh.Active())
		}
	})
}

// TestTheRemedyForARecordedKeyWorks: another pair is not made in its place, so
// moving the file away alone does not help.
func TestTheRemedyForARecordedKeyWorks(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"half":  func(t *testing.T, path string) { must(t, os.Truncate(path, int64(len(read(t, path))/2))) },
		"empty": func(t *testing.T, path string) { write(t, path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			_, cfg, _ := logged(t)
			lost := open(t, cfg).Active().KID
			path := filepath.Join(cfg.Dir, "eddsa_private.pem")
			damage(t, path)
			refused(t, cfg, "move it away and run `pico-auth key revoke --lost "+vault.Argument(lost)+"` to have a new one made", path)
			must(t, os.Rename(path, path+".broken"))
			if _, err := start(t.Context(), cfg); fault.KindOf(err) != fault.Invalid {
				t.Errorf("moved away only: %v", err)
			}
			_, err := admin(t, cfg).Revoke(t.Context(), operator, lost, true)
			must(t, err)
			if got := open(t, cfg).Active().KID; got == lost {
				t.Error("it exists again")
			}
		})
	}
}
