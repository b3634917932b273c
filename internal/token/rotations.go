package token

import (
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// errTooManyRotations is the refusal of a family or user that has no rotation left.
var errTooManyRotations = fault.New(fault.Throttled, "rate_limited", "too many tokens of one session; wait, then repeat the same request")

// maxBuckets limits the memory of rotations to about 10 MiB. A bucket that is full
// again is forgotten, and each rotation fills one second of one bucket: this many
// need more rotations a second than a server signs tokens.
const maxBuckets = 1 << 16

// bucket is how many rotations may be done at once, and how long one takes to come
// back.
type bucket struct {
	size  int
	every time.Duration
}

// rotations limits the refreshes of each family, the families that clients start in each
// session, and both for each user. Without it one account could fill the database, and
// the list of revoked tokens, as fast as the server signs. A client that refreshes once a
// minute for a year meets no limit.
//
// It is in the memory of one replica. The nil pointer has no limit.
type rotations struct {
	family, user bucket

	mu    sync.Mutex
	full  map[string]time.Time // when the bucket of that family or user is full again
	sweep int                  // forget those that are full when there are so many
	empty time.Time            // until then a bucket may be empty
}

func newRotations(perFamily, families int) *rotations {
	if perFamily == 0 {
		return nil
	}
	r := &rotations{family: bucket{size: perFamily, every: time.Second}, full: map[string]time.Time{}, sweep: 1024}
	if families > 0 {
		r.user = bucket{size: perFamily * families, every: time.Second / time.Duration(families)}
	}
	return r
}

// permit returns what decides before a rotation whether it may be done, nil while no
// bucket is empty: asking costs a read.
func (r *rotations) permit(now time.Time) func(userID, familyID string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.empty) {
		return nil
	}
	return func(userID, familyID string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		wait := max(r.family.wait(r.full[familyID], now), r.user.wait(r.full[userID], now))
		if wait <= 0 {
			return nil
		}
		refusal := *errTooManyRotations
		refusal.RetryAfter = wait
		refusal.Limit = fault.Limit{Name: "refresh", Quota: r.family.size, Window: time.Duration(r.family.size) * r.family.every}
		return &refusal
	}
}

// took records a rotation that was done.
func (r *rotations) took(userID, familyID string, now time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.full) >= r.sweep {
		r.forget(now)
	}
	r.take(r.family, familyID, now)
	r.take(r.user, userID, now)
}

func (r *rotations) take(b bucket, id string, now time.Time) {
	if b.size == 0 {
		return
	}
	full := r.full[id]
	if full.Before(now) {
		full = now
	}
	full = full.Add(b.every)
	r.full[id] = full
	if wait := b.wait(full, now); wait > 0 && r.empty.Before(now.Add(wait)) {
		r.empty = now.Add(wait)
	}
}

// wait is how long there is no rotation in a bucket that is full at that time.
func (b bucket) wait(full, now time.Time) time.Duration {
	if !now.Before(full) {
		return 0
	}
	return full.Sub(now) - time.Duration(b.size-1)*b.every
}

// forget drops the buckets that are full. When there are too many others, it drops
// some of them, too: that gives their families rotations, and takes none.
func (r *rotations) forget(now time.Time) {
	for id, full := range r.full {
		if !now.Before(full) {
			delete(r.full, id)
		}
	}
	for id := range r.full {
		if len(r.full) <= maxBuckets/2 {
			break
		}
		delete(r.full, id)
	}
	r.sweep = min(max(1024, 2*len(r.full)), maxBuckets)
}
