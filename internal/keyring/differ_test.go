package keyring_test

import (
	"context"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/keyring"
)

// What happens where replicas are configured differently, or one of them does
// not reach the database.

// TestTheLongestTimeAheadCounts: what one replica lets its readers keep holds
// whichever replica counts, also when the one that promised has just gone.
func TestTheLongestTimeAheadCounts(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		short := cfg
		short.PublishAhead, short.RotateEvery = 20*time.Second, 3*time.Hour
		quick, slow := open(t, short), open(t, cfg) // keys.publish_ahead of slow: 5 minutes
		first := quick.Active().KID
		second := rotate(t, short, false)
		promised := slow.MaxAge() // of a set without the second key; then slow ends
		c.tick(t, 0, quick)
		for passed := time.Duration(0); passed < promised; passed += 10 * time.Second {
			if got := quick.Active().KID; got != first {
				t.Fatalf("%s signs after %v; there may be sets without it for %v", got, passed, promised)
			}
			c.tick(t, 10*time.Second, quick)
		}
		c.tick(t, 10*time.Second, quick)
		if got := quick.Active().KID; got != second {
			t.Fatalf("%s signs after all have it", got)
		}

		// Nobody is left who promises so much, and the first key has gone.
		c.tick(t, time.Hour, quick)
		third := rotate(t, short, false)
		k, err := desk(t, cfg).Key(t.Context(), third) // a command promises nothing
		if err != nil || k.Due != short.PublishAhead {
			t.Errorf("due in %v, %v", k.Due, err)
		}
		c.tick(t, 0, quick)
		c.tick(t, 20*time.Second, quick)
		if got := quick.Active().KID; got != third {
			t.Errorf("%s signs: the former time is kept for ever", got)
		}
	})
}

// TestATimeAheadOutlivesItsKey: what a server let others keep just before it was
// stopped holds, also where the key that says so ends sooner.
func TestATimeAheadOutlivesItsKey(t *testing.T) {
	for name, end := range map[string]struct {
		rotates, now bool
		revokes      bool
		wait         time.Duration
	}{
		"the active one is revoked":                  {revokes: true},
		"the next one takes over from a revoked one": {rotates: true, revokes: true},
		"a retiring one is revoked":                  {rotates: true, now: true, revokes: true},
		"its tokens are short":                       {rotates: true, now: true, wait: 2*time.Minute + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c, cfg, _ := logged(t)
			cfg.TokenLife = time.Minute
			short := cfg
			short.PublishAhead = 20 * time.Second
			quick, slow := open(t, short), open(t, cfg)
			until := c.monotonic + slow.MaxAge() // then slow ends
			first := quick.Active().KID
			if end.rotates {
				rotate(t, short, end.now)
			}
			if end.revokes {
				_, err := desk(t, short).Revoke(t.Context(), operator, first)
				must(t, err)
			}
			c.tick(t, 0, quick)
			c.tick(t, end.wait, quick)
			last := rotate(t, short, false)
			c.tick(t, 0, quick)
			for c.monotonic < until {
				if quick.Active().KID == last {
					t.Fatalf("it signs while somebody may keep a set without it for %v", until-c.monotonic)
				}
				c.tick(t, 10*time.Second, quick)
			}
			c.tick(t, 10*time.Second, quick)
			c.tick(t, 10*time.Second, quick) // the key that said so goes first
			if quick.Active().KID != last {
				t.Error("it does not sign when all have it")
			}
		})
	}
}

// TestTheShortestRotateEveryCounts, and harms nobody: the key has all its time.
func TestTheShortestRotateEveryCounts(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		often, seldom := cfg, cfg
		often.RotateEvery, seldom.RotateEvery = 20*time.Minute, 90*24*time.Hour
		a, b := open(t, seldom), open(t, often)
		used := map[string]bool{}
		for range 240 {
			c.tick(t, 15*time.Second, a, b)
			used[a.Active().KID] = true
			token, err := b.Sign([]byte(`{}`))
			must(t, err)
			if _, err := verify(t, a, token); err != nil {
				t.Fatal(err)
			}
		}
		if len(used) < 3 || len(used) > 4 {
			t.Errorf("%d keys signed within an hour", len(used))
		}
	})
}

// TestAServerLooksBeforeItSigns, when it could not for so long that what it
// signs might be refused: another key may have taken over, and its own be gone.
func TestAServerLooksBeforeItSigns(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		away, there := open(t, cfg), open(t, cfg)
		rotate(t, cfg, false)
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		c.tick(t, 0, there)
		for passed := time.Duration(0); passed <= 20*time.Minute; passed += 10 * time.Second {
			err := away.Ready(cut)
			if passed <= 30*time.Second && err != nil {
				t.Errorf("an outage of %v: %v", passed, err)
			}
			if passed > 30*time.Second && fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("it would sign after an outage of %v: %v", passed, err)
			}
			c.tick(t, 10*time.Second, there)
		}
		must(t, away.Ready(t.Context())) // the database is back, and nobody called Refresh
		token, err := away.Sign([]byte(`{}`))
		must(t, err)
		if _, err := verify(t, there, token); err != nil {
			t.Error(err)
		}
	})
}

// TestTheLeewayBoundsSigningUnseen: it is all that keeps a key beyond its tokens.
func TestTheLeewayBoundsSigningUnseen(t *testing.T) {
	c, cfg, _ := logged(t)
	cfg.Leeway = 10 * time.Second
	ring := open(t, cfg)
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	c.pass(5 * time.Second)
	must(t, ring.Ready(cut))
	c.pass(time.Second)
	if err := ring.Ready(cut); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("half of the leeway is over: %v", err)
	}
	must(t, ring.Ready(t.Context()))
}
