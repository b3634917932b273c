package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// Tests of replicas that do not see the same keys at the same time.

// TestAStartSignsWithTheKeyThatItNames, whatever other replicas activate concurrently:
// tokens of the former key with the ID of the new one would be refused by all.
func TestAStartSignsWithTheKeyThatItNames(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		cfg := keyring.Config{Dir: noFolder(t), Algorithm: jose.EdDSA, Store: storetest.OpenURL(t, url), Master: master(t, 1), AtRest: keyring.Sealed}
		open(t, cfg)
		begin := time.Now()
		var rotating sync.WaitGroup
		defer rotating.Wait()
		rotating.Go(func() {
			for d := admin(t, cfg); time.Since(begin) < time.Second; time.Sleep(10 * time.Millisecond) {
				if _, _, err := d.Rotate(context.Background(), operator, "", true); err != nil {
					t.Error(err)
				}
			}
		})
		for time.Since(begin) < time.Second {
			ring, err := start(t.Context(), cfg)
			if errors.Is(err, store.ErrKeysChanged) {
				continue // others were faster ten times in a row
			}
			must(t, err)
			token, err := sign(ring)
			must(t, err)
			if _, err := verify(t, ring, token); err != nil {
				t.Fatalf("its own key set refuses what it signs: %v", err)
			}
		}
	})
}

// TestAKeyThatAReplicaSignsWithStays: a replica that cannot load the new key
// signs with the former one, whose tokens are valid until they expire.
func TestAKeyThatAReplicaSignsWithStays(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.AtRest, cfg.Master = keyring.Sealed, master(t, 1)
		behind := open(t, cfg)
		former := behind.Active()
		cfg.Master = master(t, 2).After(master(t, 1)) // a replica that is restarted with a new master key
		ahead := open(t, cfg)
		fresh := rotate(t, cfg, false)
		for range 150 { // more than the time ahead and the lifetime of a token
			c.pass(12 * time.Second)
			_ = behind.Refresh(t.Context()) // says once that it cannot
			succeed(t, ahead.Refresh(t.Context()))
			succeed(t, ahead.Step(t.Context()))
		}
		if ahead.Active().KID != fresh {
			t.Fatal("the new key does not sign")
		}
		if got := behind.Active(); got.KID != former.KID || !behind.Behind() || ahead.Behind() {
			t.Errorf("it says that %s signs, and of itself behind: %v", got.KID, behind.Behind())
		}
		token, err := sign(behind)
		must(t, err)
		if _, err := verify(t, ahead, token); err != nil {
			t.Errorf("a token that was just signed: %v", err)
		}
	})
}

// TestAnOutageIsNotCountedAsPublished: while no server can reach the database a
// replica may not know the pending key.
func TestAnOutageIsNotCountedAsPublished(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := newClockwork()
		cfg := c.config(storetest.OpenURL(t, url, storetest.WithClock(c.wall)), noFolder(t))
		cfg.AtRest, cfg.Master = keyring.Sealed, master(t, 1)
		a, b := open(t, cfg), open(t, cfg)
		next := rotate(t, cfg, false)
		succeed(t, a.Refresh(t.Context()))
		succeed(t, a.Step(t.Context()))
		if age := b.MaxAge(); age != keyring.MaxAge(cfg.PublishAhead) {
			t.Errorf("max-age %v", age)
		}
		c.pass(6 * time.Second)
		if age := b.MaxAge(); age != 0 {
			t.Errorf("max-age %v, from a replica that has not seen the database for six seconds", age)
		}
		succeed(t, b.Refresh(t.Context()))
		if age := b.MaxAge(); age == 0 {
			t.Error("it is not available again")
		}
		storetest.Rows(t, url, "UPDATE leases SET expires_at = 1") // as after an outage
		c.pass(10 * time.Minute)
		succeed(t, a.Refresh(t.Context()))
		succeed(t, a.Step(t.Context()))
		if a.Active().KID == next {
			t.Error("the outage was counted")
		}
	})
}

// TestALeakedKeyEndsEvenIfThePendingOneIsLost.
func TestALeakedKeyEndsEvenIfThePendingOneIsLost(t *testing.T) {
	cfg := keyring.Config{Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: jose.EdDSA, Store: storetest.Open(t)}
	ring := open(t, cfg)
	leaked, next := ring.Active().KID, rotate(t, cfg, false)
	must(t, os.Remove(filepath.Join(cfg.Dir, "key-"+next+".pem")))
	successor, err := admin(t, cfg).Revoke(t.Context(), operator, leaked, false)
	must(t, err)
	succeed(t, ring.Refresh(t.Context()))
	if ring.Active().KID != successor || successor == next {
		t.Errorf("%s signs, want %s", ring.Active().KID, successor)
	}
	body := ring.Published().JWKS()
	if strings.Contains(string(body), leaked) || strings.Contains(string(body), next) {
		t.Errorf("the key set: %s", body)
	}
}

// TestACommandThatCannotLoadTheKeysChangesNothing: with another master key, with
// none, or with another folder it would make a key that no server can load.
func TestACommandThatCannotLoadTheKeysChangesNothing(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := storetest.OpenURL(t, url)
		sealed := keyring.Config{Dir: noFolder(t), Algorithm: jose.EdDSA, Store: s, Master: master(t, 1), AtRest: keyring.Sealed}
		files := keyring.Config{Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: jose.EdDSA, Store: storetest.Open(t)}
		other, none, elsewhere := sealed, sealed, files
		other.Master = master(t, 2)
		none.Master, none.AtRest, none.Dir = nil, keyring.Files, filepath.Join(t.TempDir(), "keys")
		elsewhere.Dir = filepath.Join(t.TempDir(), "keys")
		spare, err := jose.Generate(jose.EdDSA)
		must(t, err)
		secret, err := spare.MarshalPEM()
		must(t, err)
		for name, c := range map[string]struct{ right, wrong keyring.Config }{
			"another master key": {sealed, other}, "no master key": {sealed, none}, "another folder": {files, elsewhere},
		} {
			t.Run(name, func(t *testing.T) {
				ring := open(t, c.right)
				active, before := ring.Active().KID, rows(t, c.right.Store)
				d := admin(t, c.wrong)
				for act, do := range map[string]func() error{
					"rotate":     func() error { _, _, err := d.Rotate(t.Context(), operator, "", false); return err },
					"rotate now": func() error { _, _, err := d.Rotate(t.Context(), operator, "", true); return err },
					"import":     func() error { _, err := d.Import(t.Context(), operator, "", secret); return err },
					"revoke":     func() error { _, err := d.Revoke(t.Context(), operator, active, false); return err },
				} {
					if err := do(); fault.KindOf(err) != fault.Invalid {
						t.Errorf("%s: %v", act, err)
					}
				}
				if after := rows(t, c.right.Store); after.Version != before.Version || len(after.Keys) != len(before.Keys) {
					t.Errorf("the keys were changed: %+v", after)
				}
				if left, _ := filepath.Glob(filepath.Join(c.wrong.Dir, "*key*.*")); len(left) > 0 && left[0] != filepath.Join(c.wrong.Dir, "keys.lock") {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	})
}

// TestARowIsBoundToItsKey: an attacker who can write to the database, but has no
// keys, cannot replace a public key.
func TestARowIsBoundToItsKey(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		cfg := keyring.Config{Dir: noFolder(t), Algorithm: jose.EdDSA, Store: storetest.OpenURL(t, url), Master: master(t, 1), AtRest: keyring.Sealed}
		ring := open(t, cfg)
		first := ring.Active().KID
		second := rotate(t, cfg, true)
		succeed(t, ring.Refresh(t.Context()))
		forged, err := jose.Generate(jose.EdDSA)
		must(t, err)
		exchange := func(kid string) {
			entry, err := json.Marshal(forged.Public().JWK(kid))
			must(t, err)
			storetest.Rows(t, url, "UPDATE signing_keys SET public_key = '"+string(entry)+"' WHERE kid = '"+kid+"'")
			storetest.Rows(t, url, "UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'key_set_version'")
		}
		token, err := jose.NewSigner(forged, first).Sign([]byte(`{}`))
		must(t, err)
		exchange(first) // retiring
		if err := ring.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("it is not reported: %v", err)
		}
		for name, r := range map[string]*keyring.Ring{"running": ring, "started": open(t, cfg)} {
			if _, err := verify(t, r, token); err == nil {
				t.Errorf("%s: the forged token is accepted", name)
			}
			if err := r.Ready(t.Context()); err != nil || r.Active().KID != second {
				t.Errorf("%s: the other keys suffer: %v", name, err)
			}
		}

		// A revocation beside the damaged row is taken up all the same.
		if _, err := admin(t, cfg).Revoke(t.Context(), operator, second, false); err != nil {
			t.Fatal(err)
		}
		_ = ring.Refresh(t.Context()) // tells of the damaged row
		if body := ring.Published().JWKS(); strings.Contains(string(body), second) || ring.Active().KID == second {
			t.Error("the revoked key is still there")
		}

		exchange(ring.Active().KID)
		_ = ring.Refresh(t.Context())
		if err := ring.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("it signs what its own key set refuses: %v", err)
		}
		if _, err := start(t.Context(), cfg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a start: %v", err)
		}
	})
}

func TestAnEditedStatusStopsTheStart(t *testing.T) {
	url := storetest.SQLite(t)
	cfg := keyring.Config{Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: jose.EdDSA, Store: storetest.OpenURL(t, url)}
	open(t, cfg)
	storetest.Rows(t, url, "UPDATE signing_keys SET status = 'ACTIVE'")
	if _, err := start(t.Context(), cfg); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), `"ACTIVE"`) && !strings.Contains(err.Error(), "database") {
		t.Errorf("%v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
