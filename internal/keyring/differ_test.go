package keyring_test

import (
	"context"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/keyring"
)

// Tests of replicas that are configured differently, or one of them does
// not reach the database.

// TestReplicasMayDifferInTheTimeAhead: from six minutes up no client keeps a key
// set for longer than the shortest of them, whichever replica counts.
func TestReplicasMayDifferInTheTimeAhead(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		short, long := cfg, cfg
		short.PublishAhead, long.PublishAhead = 6*time.Minute, 24*time.Hour
		quick, slow := open(t, short), open(t, long)
		first, second := quick.Active().KID, rotate(t, short, false)
		until := c.monotonic + slow.MaxAge() + 5*time.Second // of a set without the second key
		for c.tick(t, 0, quick); quick.Active().KID == first; c.tick(t, 10*time.Second, quick) {
		}
		if quick.Active().KID != second || c.monotonic < until {
			t.Errorf("%s signs %v before all have it", quick.Active().KID, until-c.monotonic)
		}
	})
}

// TestTheShortestRotateEveryCounts, and each key is published as long as configured.
func TestTheShortestRotateEveryCounts(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		often, seldom := cfg, cfg
		often.RotateEvery, seldom.RotateEvery = 20*time.Minute, 90*24*time.Hour
		a, b := open(t, seldom), open(t, often)
		used := map[string]bool{}
		for range 240 {
			c.tick(t, 15*time.Second, a, b)
			used[a.Active().KID] = true
			token, err := sign(b)
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

// TestAServerReadsTheDatabaseBeforeItSigns, after an outage that is so long that its
// tokens might be refused: another key may be active, and its own removed.
func TestAServerReadsTheDatabaseBeforeItSigns(t *testing.T) {
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
		must(t, away.Ready(t.Context())) // the database is available again, without a call of Refresh
		token, err := sign(away)
		must(t, err)
		if _, err := verify(t, there, token); err != nil {
			t.Error(err)
		}
	})
}
