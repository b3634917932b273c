package throttle

import (
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

// The limits of the failures of one account (NIST SP 800-63B-4, section 3.2.2).
const (
	freeInNetwork = 5                // failures from one network before the first wait
	longestWait   = 60 * time.Second // between failures from one network

	freeOfAccount = 20               // failures over all networks that are not known
	slowWait      = 10 * time.Second // between further ones

	manyFailures  = 100
	manyWait      = 6 * time.Minute // 10 attempts an hour
	failuresCount = 24 * time.Hour  // as in the store
)

// capacity returns how many attempts of an account from one network may be made at once
// now; zero: none for the time wait.
func capacityInNetwork(f store.Failures, now time.Time) (capacity int, wait time.Duration) {
	return capacityAfter(f, freeInNetwork, waitInNetwork(f.Count), now)
}

// CapacityOfAccount returns how many attempts of an account may be made at once now from
// the networks that are not known; zero: none for the time wait.
func CapacityOfAccount(f store.Failures, now time.Time) (capacity int, wait time.Duration) {
	pause := slowWait
	if f.Count >= manyFailures {
		pause = manyWait
	}
	return capacityAfter(f, freeOfAccount, pause, now)
}

func capacityAfter(f store.Failures, free int, pause time.Duration, now time.Time) (capacity int, wait time.Duration) {
	if f.Count < int64(free) {
		return free - int(f.Count), 0
	}
	wait = min(f.Last.Add(pause).Sub(now), pause) // another replica's clock may be ahead
	if wait > 0 {
		return 0, wait
	}
	return 1, 0
}

// waitInNetwork is the time after the failure of that number.
func waitInNetwork(failures int64) time.Duration {
	doublings := failures - freeInNetwork
	if doublings >= 6 {
		return longestWait
	}
	return time.Second << max(doublings, 0)
}
