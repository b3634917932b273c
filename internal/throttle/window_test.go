package throttle

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestNoTimeOfTheLengthOfARateHasMoreThanItsLimit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(r, "limit")
		all := newNetworks(rate{limit, time.Minute})
		now := time.Unix(1_800_000_000, rapid.Int64Range(0, 1e9).Draw(r, "start"))
		var counted []time.Time
		for range 200 {
			one := all.of("n", now)
			full, wait := one.full(now, 0, 1)
			if full == nil {
				one.count(now)
				counted = append(counted, now)
				if n := len(counted) - 1 - limit; n >= 0 && now.Sub(counted[n]) < time.Minute {
					r.Fatalf("%d in %s", limit+1, now.Sub(counted[n]))
				}
			} else if wait > time.Minute+5*time.Second || wait <= 0 {
				r.Fatalf("the wait is %s", wait)
			}
			step := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(r, "step"))
			if full != nil && rapid.Bool().Draw(r, "obeys") {
				if full, _ := one.full(now.Add(wait-1), 0, 1); full == nil {
					r.Fatal("the wait is too long")
				}
				step = wait
				if full, _ := all.of("n", now.Add(wait)).full(now.Add(wait), 0, 1); full != nil {
					r.Fatal("the wait is too short")
				}
			}
			now = now.Add(step)
		}
	})
}

func TestAFloodOfNetworksTakesAFixedSpaceAndForgetsTheLeastFirst(t *testing.T) {
	all := newNetworks(rate{60, time.Minute}, rate{1000, time.Hour})
	now := time.Unix(1_800_000_000, 0)
	for range 60 {
		all.of("guesser", now).count(now)
	}
	busy := all.of("busy", now)
	busy.pending++
	for n := range 10 * maxTallies {
		all.of(strconv.Itoa(n), now).count(now)
		now = now.Add(time.Microsecond)
	}
	if len(all.all) != maxTallies {
		t.Errorf("%d networks are remembered", len(all.all))
	}
	if full, _ := all.of("guesser", now).full(now, 0, 1); full == nil {
		t.Error("the network at its limit was forgotten")
	}
	if all.all["busy"] != busy {
		t.Error("a network with a pending attempt was forgotten")
	}
}

// Only a user with many grants needs to know which client they are of; all others would
// take as much memory again.
func TestNothingIsKeptForEachClientOfUsersWithFewGrants(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	limits := New(Config{Now: func() time.Time { return now }})
	grant := func(user string, n int) {
		for i := range n {
			if err := limits.Grant(t.Context(), identity.Actor{}, user, "app "+strconv.Itoa(i%3)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for user := range 100 {
		grant(strconv.Itoa(user), 59)
	}
	if n := len(limits.shares.all); n != 0 {
		t.Errorf("%d are kept", n)
	}
	if grant("busy", 100); len(limits.shares.all) != 3 {
		t.Errorf("%d are kept for three clients of a user with many", len(limits.shares.all))
	}
}
