package keyring

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// AdoptedKID is the constant key id of the original server. The one key that
// an adopted installation was signing with keeps it.
const AdoptedKID = "pico-auth-1"

// AtRest says where private keys are kept.
type AtRest string

// The places.
const (
	Files  AtRest = "files"  // in Config.Dir
	Sealed AtRest = "sealed" // in the database, under Config.Master
)

const (
	// followWithin is how soon every running server has taken up a change.
	followWithin = 5 * time.Second
	// maxFollow is the longest pause between two looks for changes.
	maxFollow = 2 * time.Second

	// countLease is after how long another replica counts the time of keys in the
	// place of one that has gone.
	countLease = 15 * time.Second
	// clockError is more than the clocks of replicas differ by.
	clockError = time.Hour

	defaultRSABits   = 2048
	defaultTokenLife = 15 * time.Minute

	// DefaultPublishAhead is for how long a key is published before it signs: long
	// enough for clients that keep a key set for 15 minutes whatever its header
	// says, and to restart services that pin algorithms at their start.
	DefaultPublishAhead = time.Hour
	// keySetLifetime is the longest time for which others may keep the key set. It
	// bounds for how long they accept a revoked key and refuse its replacement, so
	// it does not grow with the time ahead.
	keySetLifetime = 5 * time.Minute
	// Leeway is by how much the clocks of those who verify tokens may be late.
	Leeway = time.Minute
)

// Config says where the keys are and how long they live.
type Config struct {
	Dir       string         // auth.data_dir, ~ expanded; required
	Algorithm jose.Algorithm // auth.algorithm: of new keys; required
	Store     *store.Store   // records which key is what; nil: the folder alone decides, and nothing rotates
	Master    *seal.Master   // auth.master_key; nil: none
	AtRest    AtRest         // keys.at_rest; empty: Sealed on PostgreSQL with a master key, else Files
	Log       *slog.Logger   // nil: discard

	PublishAhead time.Duration // keys.publish_ahead; zero: DefaultPublishAhead
	RotateEvery  time.Duration // keys.rotate_every; zero: only when asked to
	RSABits      int           // keys.rsa_bits, of new RSA keys; zero: 2048
	TokenLife    time.Duration // of the access tokens that this server signs; zero: 15 minutes
	Leeway       time.Duration // zero: Leeway

	Now       func() time.Time     // the wall's clock; nil: time.Now
	Monotonic func() time.Duration // a clock that nobody sets, from any origin; nil: that of the system
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.AtRest == "" {
		c.AtRest = Files
		if c.Master != nil && c.Store != nil && c.Store.Engine() == "postgres" {
			c.AtRest = Sealed
		}
	}
	c.PublishAhead = cmp.Or(c.PublishAhead, DefaultPublishAhead)
	c.RSABits = cmp.Or(c.RSABits, defaultRSABits)
	c.TokenLife = cmp.Or(c.TokenLife, defaultTokenLife)
	c.Leeway = cmp.Or(c.Leeway, Leeway)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Monotonic == nil {
		begin := time.Now()
		c.Monotonic = func() time.Duration { return time.Since(begin) }
	}
	return c
}

// MaxAge is how long the key set may be kept by who fetches it. A key is
// published for ahead before it signs, and every server has taken that up a
// little later: whoever keeps the set no longer than MaxAge always has the key
// that signs.
func MaxAge(ahead time.Duration) time.Duration {
	return min(keySetLifetime, ahead-margin(ahead)).Truncate(time.Second)
}

func margin(ahead time.Duration) time.Duration { return min(followWithin, ahead/2) }

// pace is the pause between two looks for changes: several times within the
// margin.
func pace(ahead time.Duration) time.Duration {
	return min(maxFollow, max(margin(ahead)/4, 50*time.Millisecond))
}

// Status is where a key is in its life.
type Status = store.KeyStatus

// The statuses.
const (
	Next     = store.KeyNext     // published, and does not sign yet
	Active   = store.KeyActive   // signs and verifies
	Retiring = store.KeyRetiring // verifies what it signed before
	Removed  = store.KeyRemoved  // was one of ours
)

// KeyInfo describes a key without holding it.
type KeyInfo struct {
	KID        string
	Algorithm  jose.Algorithm
	Thumbprint string // RFC 7638; the KID of all but the adopted key
	Status     Status
	File       string // path of the private half; empty: it is sealed in the database, or erased; of a removed key: to be removed

	CreatedAt, ActivatedAt, RetiredAt, RemovedAt time.Time // zero: never, or not recorded

	// Problem says why a key cannot be used here: its row is damaged, or it is
	// next or active and its private half is not to be had. Only Desk looks; empty:
	// it can.
	Problem string

	// Due is how much of its status a next or retiring key had before it when it
	// was read, of time in which a server runs; zero: now, or it stays.
	Due time.Duration
}

// Stats counts signatures since Open.
type Stats struct {
	Signed  uint64
	Failed  uint64
	Seconds float64 // spent signing, failures included
}

// Ring is the set of keys in use. It changes when Refresh finds that another
// process changed the keys, and is safe for concurrent use.
type Ring struct {
	opener  *opener
	created bool
	held    atomic.Pointer[held]

	checking chan struct{} // holds one while somebody looks for changes
	checked  time.Time     // when the last look began; guarded by checking
	seen     atomic.Int64  // when the last look began that succeeded, by the monotonic clock

	lacked atomic.Pointer[string] // id of the last next key that was due and not to be had here; nil: none

	stepping sync.Mutex // held while counting; guards what follows
	holder   string     // this replica, to those who count
	counting bool
	watched  map[string]watched // by key id

	signed, failed, nanoseconds atomic.Uint64
}

// held is the keys at one time. It is immutable.
type held struct {
	version  int64
	kid      string       // of signer
	signer   *jose.Signer // nil: the key that this process could sign with is good for nothing any more
	behind   bool         // another key is active, and its private half was not to be had
	underWay bool         // a key is next or retiring
	infos    []KeyInfo    // in the order of the key set
	jwks     []byte
	etag     string
	legacy   []byte
}

var errNoSigner = &fault.Error{
	Kind: fault.Unavailable, Code: "no_signing_key", Message: "the active signing key is not to be had here", RetryAfter: followWithin,
}

// Ready returns an error, Unavailable, when Sign would, or when another key may
// have taken over so long ago that what is signed here may be refused before it
// expires: ask before anything is done that only a token makes good. It looks at
// the database where that was not done lately.
func (r *Ring) Ready(ctx context.Context) error {
	longest := r.opener.signUnseen()
	if r.unseen() > longest {
		if err := r.Recheck(ctx); r.unseen() > longest {
			return &fault.Error{
				Kind: fault.Unavailable, Code: "no_signing_key", Message: "the signing keys could not be looked for lately",
				RetryAfter: followWithin, Cause: err,
			}
		}
	}
	if r.held.Load().signer == nil {
		return errNoSigner
	}
	return nil
}

// signUnseen is for how long a server signs on without having seen the database.
// By then another key may have taken over just as long ago; the former one stays
// for the leeway longer than its tokens, which is more.
func (o *opener) signUnseen() time.Duration { return o.leeway / 2 }

// unseen is for how long this process has not seen the database.
func (r *Ring) unseen() time.Duration {
	if r.opener.store == nil {
		return 0
	}
	return r.opener.monotonic() - time.Duration(r.seen.Load())
}

// Sign returns the compact token of claims, which is a JSON object, under the
// active key.
func (r *Ring) Sign(claims []byte) (string, error) { return r.SignType(jose.TypeJWT, claims) }

// SignType is Sign for a token of the type, jose.TypeJWT or jose.TypeAccessToken.
func (r *Ring) SignType(typ string, claims []byte) (string, error) {
	begin := time.Now()
	token, err := r.held.Load().sign(typ, claims)
	r.nanoseconds.Add(uint64(time.Since(begin))) //nolint:gosec // monotonic, never negative
	if err != nil {
		r.failed.Add(1)
		return "", fmt.Errorf("sign a token: %w", err)
	}
	r.signed.Add(1)
	return token, nil
}

func (h *held) sign(typ string, claims []byte) (string, error) {
	switch {
	case h.signer == nil:
		return "", errNoSigner
	case typ == jose.TypeAccessToken:
		return h.signer.SignAccessToken(claims)
	default:
		return h.signer.Sign(claims)
	}
}

// Algorithm returns the algorithm of the key that signs here.
func (r *Ring) Algorithm() jose.Algorithm { return r.Active().Algorithm }

// Algorithms returns those of all keys in the set, that of the active one first.
func (r *Ring) Algorithms() (all []jose.Algorithm) {
	for _, k := range r.held.Load().infos {
		if !slices.Contains(all, k.Algorithm) {
			all = append(all, k.Algorithm)
		}
	}
	return all
}

// MaxAge is how long others may keep the key set: not at all when this process
// has not seen the database for so long that another key may be in it by now.
func (r *Ring) MaxAge() time.Duration {
	o := r.opener
	if r.unseen() > margin(o.publishAhead) {
		return 0
	}
	return MaxAge(o.publishAhead)
}

// Pace is the pause between two calls of Refresh and Step.
func (r *Ring) Pace() time.Duration { return pace(r.opener.publishAhead) }

// Active describes the key that signs here: the active one, or while that is not
// to be had the one before.
func (r *Ring) Active() KeyInfo {
	h := r.held.Load()
	info, _ := h.describes(h.kid)
	return info
}

// Keys describes all keys in the order of the key set, the active one first.
func (r *Ring) Keys() []KeyInfo { return slices.Clone(r.held.Load().infos) }

// JWKS returns the public key set and its strong ETag. The bytes are shared:
// callers write them and do not change them.
func (r *Ring) JWKS() (body []byte, etag string) {
	h := r.held.Load()
	return h.jwks, h.etag
}

// LegacyHashKey returns the HMAC key under which later versions of the
// original server hashed refresh and service tokens; nil when none is known.
func (r *Ring) LegacyHashKey() []byte { return r.held.Load().legacy }

// Created reports whether this Open made the active key.
func (r *Ring) Created() bool { return r.created }

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	return Stats{
		Signed:  r.signed.Load(),
		Failed:  r.failed.Load(),
		Seconds: time.Duration(r.nanoseconds.Load()).Seconds(), //nolint:gosec // 292 years
	}
}
