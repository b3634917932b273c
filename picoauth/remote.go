package picoauth

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
)

const (
	keySetPath = "/api/v1/auth/jwks"

	defaultTTL = 5 * time.Minute
	maxTTL     = time.Hour
	// minTTL is for a set whose response leaves no time. A short max-age is followed
	// to the second: an issuer that rotates quickly sends one, and
	// then the next key must arrive by the regular refresh, since any client can use
	// up the permits for unknown key ids.
	minTTL           = time.Minute
	defaultMaxOutage = time.Hour

	// An unknown kid may cause unknownBurst fetches at once, then one every
	// unknownEvery: an attacker's key ids cost the issuer no more.
	unknownBurst = 2
	unknownEvery = 30 * time.Second

	// After failed fetches the next one waits longer each time.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// remoteKeys caches the key set of an issuer on the network. Verifications with a
// known key in a fresh set take no lock. At most one fetch runs at a time, on a
// context of its own, so that a cancelled request does not cancel it for others.
type remoteKeys struct {
	url    string
	client *http.Client
	ttl    time.Duration     // for responses without max-age
	outage time.Duration     // how long a set is used after its fetch
	source *revocationSource // nil: revoked tokens are not asked for
	now    func() time.Time
	log    *slog.Logger

	current atomic.Pointer[remoteSet] // nil: never fetched

	mu       sync.Mutex
	running  chan struct{} // closed when the running fetch ends; nil: none runs
	failures int           // in a row
	retryAt  time.Time     // no fetch before this time, after failures
	unknown  bucket
}

// remoteSet is the result of one successful fetch.
type remoteSet struct {
	keys      map[string]*jose.PublicKey
	etag      string      // of the key set; empty: none
	revoked   revocations // zero without a revocationSource
	refreshAt time.Time   // from then on a verification starts a fetch in the background
	freshTo   time.Time   // from then on it waits for the fetch, once
	usableTo  time.Time   // from then on the keys are not used any more
}

func newRemoteKeys(cfg Config, now func() time.Time, log *slog.Logger) (*remoteKeys, error) {
	address, err := keySetURL(cfg)
	if err != nil {
		return nil, err
	}
	if address.Scheme == "http" && !isLoopback(address.Hostname()) {
		log.Warn("key set fetched over plain http, because AllowHTTP is set", "url", address.String())
	}
	ttl := cfg.CacheTTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	if cfg.MaxOutage < 0 {
		return nil, fmt.Errorf("picoauth: MaxOutage is %v; it must not be negative", cfg.MaxOutage)
	}
	source, err := newRevocationSource(cfg, log)
	if err != nil {
		return nil, err
	}
	return &remoteKeys{
		url: address.String(), client: keySetClient(cfg.Client), ttl: boundTTL(ttl),
		outage: cmp.Or(cfg.MaxOutage, defaultMaxOutage), source: source,
		now: now, log: log,
		unknown: bucket{size: unknownBurst, every: unknownEvery},
	}, nil
}

func boundTTL(ttl time.Duration) time.Duration { return min(max(ttl, minTTL), maxTTL) }

func (s *remoteSet) key(id string) *jose.PublicKey {
	if s == nil {
		return nil
	}
	return s.keys[id]
}

func (r *remoteKeys) key(ctx context.Context, id string) (*jose.PublicKey, error) {
	set, now := r.current.Load(), r.now()
	if key := set.key(id); key != nil && now.Before(set.refreshAt) {
		return key, nil
	}
	if done := r.refresh(id, now); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, unavailable(0, ctx.Err())
		}
	}
	return r.lookup(id, r.now())
}

// lookup returns the key from the current set, after refresh.
func (r *remoteKeys) lookup(id string, now time.Time) (*jose.PublicKey, error) {
	set := r.current.Load()
	if set == nil || !now.Before(set.usableTo) {
		return nil, r.unavailable(now)
	}
	if key := set.key(id); key != nil {
		return key, nil
	}
	if !now.Before(set.freshTo) {
		return nil, r.unavailable(now) // the issuer may have published it since
	}
	return nil, unknownKey()
}

func (r *remoteKeys) unavailable(now time.Time) *Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return unavailable(max(r.retryAt.Sub(now), minRetry), fmt.Errorf("no current key set from %s", r.url))
}

// refresh starts a fetch if one is due and allowed. It returns the channel to wait
// for, nil when the lookup need not wait: a known key waits only for the first
// fetch after its set became stale, not again while the issuer is unreachable.
func (r *remoteKeys) refresh(id string, now time.Time) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.current.Load()
	known := set.key(id) != nil
	if r.running == nil && r.mayFetch(set, known, now) {
		r.running = make(chan struct{})
		go r.fetch(r.running)
	}
	if known && (now.Before(set.freshTo) || (r.failures > 0 && now.Before(set.usableTo))) {
		return nil
	}
	return r.running
}

func (r *remoteKeys) mayFetch(set *remoteSet, known bool, now time.Time) bool {
	if now.Before(r.retryAt) {
		return false
	}
	if set == nil || !now.Before(set.refreshAt) {
		return true
	}
	return !known && r.unknown.take(now)
}

// fetch fetches a key set, or counts a failure, and closes done.
func (r *remoteKeys) fetch(done chan struct{}) {
	next, err := r.download(r.current.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(done)
	r.running = nil
	now := r.now()
	if err != nil {
		r.retryAt = now.Add(min(minRetry<<min(r.failures, 10), maxRetry))
		r.failures++
		r.log.Warn("key set not fetched", "url", r.url, "failures", r.failures, "error", err)
		return
	}
	r.failures, r.retryAt = 0, time.Time{}
	next.usableTo = now.Add(r.outage)
	r.current.Store(next)
}

// download fetches the successor of a set, which is nil the first time.
func (r *remoteKeys) download(before *remoteSet) (*remoteSet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	asked, next := r.now(), &remoteSet{}
	ttl, err := r.downloadKeys(ctx, before, next)
	if err != nil {
		return nil, err
	}
	ttl = min(ttl, r.outage)
	next.refreshAt = asked.Add(ttl - ttl/10) // a slow response may be as old as its request
	next.freshTo = r.now().Add(ttl)
	if r.source == nil {
		return next, nil
	}
	asked = r.now()
	if next.revoked, err = r.source.download(ctx, r.client, before, asked); err != nil {
		return nil, err
	}
	next.refreshAt = earlier(next.refreshAt, asked.Add(r.source.pause()))
	next.freshTo = earlier(next.freshTo, asked.Add(r.source.within))
	return next, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// bucket holds up to size permits and regains one in each interval every.
type bucket struct {
	size   int
	every  time.Duration
	fullAt time.Time // when all permits are back; the zero time: now
}

func (b *bucket) take(now time.Time) bool {
	fullAt := b.fullAt
	if fullAt.Before(now) {
		fullAt = now
	}
	if fullAt.Add(b.every).Sub(now) > time.Duration(b.size)*b.every {
		return false
	}
	b.fullAt = fullAt.Add(b.every)
	return true
}
