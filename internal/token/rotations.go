package token

import (
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
)

// errTooManyRotations is the refusal of a family or client that has no rotation left.
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

// holder is what has a bucket: what a client has of a user, a session or a family; without
// a client, a user.
type holder struct{ of, client string }

// rotations limits the refreshes of each family, the families that a client starts in
// each session, and both for each user. Without it one account could fill the database,
// and the list of revoked tokens, as fast as the server signs. A client that refreshes
// once a minute for a year meets no limit.
//
// The bucket of a user is shared by their clients, and one of them could empty it. So a
// client is refused for that only when it has had as many rotations of the user as one
// family may have, too: what a client does never stops another one, or the JSON API.
//
// It is in the memory of one replica. The nil pointer has no limit.
type rotations struct {
	family, user bucket

	mu    sync.Mutex
	full  map[holder]time.Time // when the bucket of that one is full again
	sweep int                  // forget those that are full when there are so many
	empty time.Time            // until then a bucket may be empty
}

func newRotations(perFamily, families int) *rotations {
	if perFamily == 0 {
		return nil
	}
	r := &rotations{family: bucket{size: perFamily, every: time.Second}, full: map[holder]time.Time{}, sweep: 1024}
	if families > 0 {
		r.user = bucket{size: perFamily * families, every: time.Second / time.Duration(families)}
	}
	return r
}

// permit returns what decides before a rotation of the client whether it may be done,
// nil while no bucket is empty: asking costs a read.
func (r *rotations) permit(clientID string, now time.Time) func(userID, familyID string) error {
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
		wait := r.wait(userID, familyID, clientID, now)
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
func (r *rotations) took(userID, familyID, clientID string, now time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.full) >= r.sweep {
		r.forget(now)
	}
	r.take(r.family, holder{familyID, clientID}, now)
	if r.user.size > 0 {
		r.take(r.user, holder{userID, ""}, now)
		r.take(r.family, holder{userID, clientID}, now)
	}
	if wait := r.wait(userID, familyID, clientID, now); wait > 0 && r.empty.Before(now.Add(wait)) {
		r.empty = now.Add(wait)
	}
}

// take takes a rotation out of a bucket. What is taken out of an empty one, since another
// one permits it, is not owed.
func (r *rotations) take(b bucket, of holder, now time.Time) {
	full := r.full[of]
	if full.Before(now) {
		full = now
	}
	full = full.Add(b.every)
	if empty := now.Add(time.Duration(b.size) * b.every); full.After(empty) {
		full = empty
	}
	r.full[of] = full
}

// wait is how long the client has no rotation of the family.
func (r *rotations) wait(userID, familyID, clientID string, now time.Time) time.Duration {
	ofUser := min(r.user.wait(r.full[holder{userID, ""}], now), r.family.wait(r.full[holder{userID, clientID}], now))
	return max(r.family.wait(r.full[holder{familyID, clientID}], now), ofUser)
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
