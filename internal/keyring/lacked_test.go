package keyring_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/keyring"
)

// TestAServerThatCannotLoadADueKeyIsBehind, until it can or that key is
// not next any more.
func TestAServerThatCannotLoadADueKeyIsBehind(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.AtRest = keyring.Files
		ring := open(t, cfg)
		next := rotate(t, cfg, false)
		file := filepath.Join(cfg.Dir, "key-"+next+".pem")
		c.tick(t, time.Second, ring)
		succeed(t, os.Rename(file, file+".away"))
		c.tick(t, time.Second, ring)
		if ring.Behind() {
			t.Error("it is not due yet")
		}
		fail := func() {
			t.Helper()
			for range 2 { // the first one takes up counting
				c.pass(10 * time.Minute)
				_ = ring.Step(t.Context())
			}
			if !ring.Behind() {
				t.Error("it does not say that it is behind")
			}
		}
		fail()
		succeed(t, os.Rename(file+".away", file))
		c.tick(t, time.Second, ring)
		c.tick(t, time.Second, ring)
		if ring.Behind() || ring.Active().KID != next {
			t.Errorf("%s signs; behind: %v", ring.Active().KID, ring.Behind())
		}

		next = rotate(t, cfg, false)
		succeed(t, os.Remove(filepath.Join(cfg.Dir, "key-"+next+".pem")))
		c.tick(t, time.Second, ring)
		fail()
		withdraw(t, cfg, next)
		succeed(t, ring.Refresh(t.Context()))
		if ring.Behind() {
			t.Error("it is behind a key that was withdrawn")
		}
	})
}
