package picoauth_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Any client can use up the permits for unknown key ids. A key that was published
// for longer than max-age must not need one, and the issuer must get no more requests.
func TestAPublishedKeyIsKnownInAFloodOfInventedKeyIDs(t *testing.T) {
	for _, delay := range []time.Duration{0, 700 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, "first")
				w.header.Set("Cache-Control", "public, max-age=5")
				w.delay = delay
				g := w.guard(t)
				attacker := newWire(t, "x")
				made := 0
				flood := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
						made++
						wantCode(t, verify(t, g, sign(t, attacker.keys["x"], fmt.Sprint("made-up-", made), nil)), 401)
					}
				}
				start := time.Now()
				flood(2 * time.Second)
				for i := range 40 {
					kid := fmt.Sprint("key-", i)
					w.add(t, kid)
					flood(6 * time.Second)
					if err := verify(t, g, w.token(t, kid)); err != nil {
						t.Fatalf("%s, after %v: %v", kid, time.Since(start), err)
					}
					flood(time.Duration(i) * 130 * time.Millisecond) // another phase of the refresh each time
				}
				elapsed := time.Since(start)
				allowed := 1 + 2 + int(elapsed/(30*time.Second)) + int(elapsed/(4500*time.Millisecond))
				if got := w.count(); got > allowed {
					t.Errorf("%d fetches in %v, at most %d are due", got, elapsed, allowed)
				}
			})
		})
	}
}

// Without a flood and without a permit: a service without tokens for a long time.
func TestAnIdleServiceLearnsThePublishedKeyWithItsFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "first")
		w.header.Set("Cache-Control", "max-age=5")
		g := w.guard(t)
		for i := range 100 {
			kid := fmt.Sprint("key-", i)
			w.add(t, kid)
			time.Sleep(6 * time.Second)
			if err := verify(t, g, w.token(t, kid)); err != nil {
				t.Fatalf("%s: %v", kid, err)
			}
		}
		wantFetches(t, w, 100)
	})
}

// The content of a slow response may be as old as the request.
func TestTheLifetimeOfASlowResponseCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.header.Set("Cache-Control", "max-age=10")
		w.delay = 4 * time.Second
		g := w.guard(t)
		token := w.token(t, "a")
		for i, wait := range []time.Duration{0, 4900 * time.Millisecond, 100 * time.Millisecond} {
			time.Sleep(wait)
			if err := verify(t, g, token); err != nil {
				t.Fatal(err)
			}
			wantFetches(t, w, []int{1, 1, 2}[i])
		}
		time.Sleep(w.delay) // the last fetch ends
	})
}

// A response that a cache sends long after its max-age, or an issuer without max-age,
// must not cause a fetch for each token.
func TestAResponseThatIsStaleOnArrivalIsCachedForAMinute(t *testing.T) {
	for age, control := range map[string]string{"0": "max-age=0", "295": "max-age=295", "86400": "max-age=295"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t, "a")
			w.header.Set("Cache-Control", control)
			w.header.Set("Age", age)
			g := w.guard(t)
			token := w.token(t, "a")
			for range 59 * 100 { // a hundred a second
				if err := verify(t, g, token); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if got := w.count(); got != 2 { // the second ahead of time, when nine tenths have passed
				t.Errorf("%s of %s: %d fetches in a minute", control, age, got)
			}
		})
	}
}
