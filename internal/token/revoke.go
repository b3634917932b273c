package token

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// revocationsEvery is after how long what ended elsewhere is read: by another
	// replica or a command. While it is read, requests wait for it only when the
	// last time is revocationsMaxAge ago.
	revocationsEvery  = 2 * time.Second
	revocationsMaxAge = 4 * time.Second

	// RevocationsOverlap is how far back is read again: another replica's clock may be
	// behind, and its transaction was committed after its time. What is later than
	// that is read with everything, which happens after revocationsAll.
	RevocationsOverlap = 30 * time.Second
	revocationsAll     = 5 * time.Minute

	// revocationsPart is how many are passed on together.
	revocationsPart = 500
)

// Revocation is an access token that is revoked.
type Revocation = store.Revocation

// Revocations follows the access tokens that are revoked and that some verifier may
// still accept, for a list that is kept in memory.
type Revocations struct {
	store *store.Store
	now   func() time.Time

	latest atomic.Int64 // when the last successful read began, in nanoseconds since 1970; 0: none
	own    atomic.Bool  // what this process has ended is being read and passed on
	mu     sync.Mutex   // held while reading
	all    time.Time    // when everything was read
}

// Revocations returns a new follower.
func (i *Issuer) Revocations() *Revocations { return &Revocations{store: i.store, now: i.now} }

// Now is the time by the clock of the server.
func (r *Revocations) Now() time.Time { return r.now() }

// Update passes on what was revoked since the last Update, some of it again. What
// this process has ended is passed on by the next Update, what others have ended
// within 4 seconds. It usually reads nothing.
func (r *Revocations) Update(ctx context.Context, add func([]Revocation)) error {
	age := r.age()
	switch {
	case r.store.HasOwnRevocations() || r.own.Load() || age >= revocationsMaxAge: // own is set before the store is asked
		r.mu.Lock()
	case age < revocationsEvery || !r.mu.TryLock():
		return nil
	}
	defer r.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // others may wait for it
	if err := r.read(ctx, add); err != nil {
		return fmt.Errorf("list revoked access tokens: %w", err)
	}
	return nil
}

// age is how long ago the last read began. A clock that was set back makes it old.
func (r *Revocations) age() time.Duration {
	latest := r.latest.Load()
	age := time.Duration(r.now().UnixNano() - latest)
	if latest == 0 || age < 0 {
		return revocationsMaxAge
	}
	return age
}

// read runs with the lock held, by a caller that may have waited for another's read.
func (r *Revocations) read(ctx context.Context, add func([]Revocation)) error {
	var part []Revocation
	each := func(v Revocation) {
		if part = append(part, v); len(part) == revocationsPart {
			add(part)
			part = nil
		}
	}
	defer func() {
		if len(part) > 0 {
			add(part)
		}
		r.own.Store(false)
	}()
	now := r.now()
	if r.age() >= revocationsEvery {
		since := time.Unix(0, r.latest.Load()).Add(-RevocationsOverlap)
		whole := r.all.IsZero() || now.Sub(r.all) >= revocationsAll || now.Before(r.all)
		if whole {
			since = time.Time{}
		}
		if err := r.store.Revocations(ctx, since, each); err != nil {
			return err
		}
		r.latest.Store(now.UnixNano())
		if whole {
			r.all = now
		}
	}
	r.own.Store(true)
	return r.store.OwnRevocations(ctx, each)
}
