package keyring

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// AdoptedKID is the constant key id of the original server. The one key that
// an adopted installation was signing with keeps it.
const AdoptedKID = vault.AdoptedKID

// AtRest says where private keys are kept.
type AtRest string

// The places.
const (
	Files  AtRest = "files"  // in Config.Dir
	Sealed AtRest = "sealed" // in the database, under Config.Master
)

const (
	// maxFollow is the longest pause between two looks for changes.
	maxFollow = 2 * time.Second

	// countLease is after how long another replica counts the time of keys in the
	// place of one that has gone.
	countLease = 15 * time.Second

	defaultRSABits       = 2048
	defaultTokenLifetime = 15 * time.Minute

	// DefaultPublishAhead is for how long a key is published before it signs: long
	// enough for clients that keep a key set for 15 minutes whatever its header
	// says, and to restart services that pin algorithms at their start.
	DefaultPublishAhead = time.Hour
	// keySetLifetime is the longest time for which others may keep the key set. It
	// bounds for how long they accept a revoked key and refuse its replacement, so
	// it does not grow with the time ahead.
	keySetLifetime = 5 * time.Minute
	// Leeway is by how much the clocks of verifiers may be late.
	Leeway = time.Minute
)

// Config says where the keys are and how long they live.
type Config struct {
	Dir        string           // auth.data_dir, ~ expanded; required
	Algorithm  jose.Algorithm   // auth.algorithm: of the key that signs the API's tokens; required
	Algorithms []jose.Algorithm // keys.algorithms: further ones that have a key each; Algorithm may be left out
	Store      *store.Store     // records which key is what; nil: the folder alone decides, and nothing rotates
	Master     *seal.Master     // auth.master_key; nil: none
	AtRest     AtRest           // keys.at_rest; empty: Sealed on PostgreSQL with a master key, else Files
	Log        *slog.Logger     // nil: discard

	PublishAhead  time.Duration // keys.publish_ahead; zero: DefaultPublishAhead
	RotateEvery   time.Duration // keys.rotate_every; zero: only when asked to
	RSABits       int           // keys.rsa_bits, of new RSA keys; zero: 2048
	TokenLifetime time.Duration // of the access tokens that this server signs; zero: 15 minutes
	Leeway        time.Duration // zero: Leeway

	Now       func() time.Time     // the wall clock; nil: time.Now
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
	c.TokenLifetime = cmp.Or(c.TokenLifetime, defaultTokenLifetime)
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

// policy is the part of the configuration that lifecycle needs.
func (c Config) policy() lifecycle.Policy {
	return lifecycle.Policy{
		Default: c.Algorithm, Further: slices.Compact(slices.Sorted(slices.Values(c.Algorithms))),
		PublishAhead: c.PublishAhead, RotateEvery: c.RotateEvery, TokenLifetime: c.TokenLifetime, Leeway: c.Leeway,
	}
}

// MaxAge is how long others may keep the key set. A key is published for ahead
// before it signs, and every server has taken that up a little later: whoever keeps
// the set no longer than MaxAge always has the key that signs.
func MaxAge(ahead time.Duration) time.Duration {
	return min(keySetLifetime, ahead-margin(ahead)).Truncate(time.Second)
}

func margin(ahead time.Duration) time.Duration { return min(lifecycle.FollowWithin, ahead/2) }

// pace is the pause between two looks for changes: several times within the
// margin.
func pace(ahead time.Duration) time.Duration {
	return min(maxFollow, max(margin(ahead)/4, 50*time.Millisecond))
}

// Status is where a key is in its lifecycle.
type Status = store.KeyStatus

// The statuses.
const (
	Pending  = store.KeyPending  // published, and does not sign yet
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
	PQCOnly    bool   // published at /.well-known/jwks-pqc.json alone
	File       string // path of the private half; empty: it is sealed in the database, or erased; of a removed key: to be removed

	CreatedAt, ActivatedAt, RetiredAt, RemovedAt time.Time // zero: never, or not recorded

	// Problem says why a key cannot be used: its row is damaged or not authentic, or
	// it is pending or active and its private half is unavailable here. Only Admin
	// looks; empty: it can be used.
	Problem string

	// Due is how much of its status a pending or retiring key had before it when it
	// was read, of time in which a server runs; zero: now, or it stays.
	Due time.Duration
}

// Transition says what signs and what will, where a change of the algorithm to the
// configured one is under way; else it is empty. keys are in the order of the key
// set.
func Transition(keys []KeyInfo, configured jose.Algorithm, now time.Time) string {
	if len(keys) == 0 || keys[0].Status != Active || keys[0].Algorithm == configured {
		return ""
	}
	for _, k := range keys {
		if k.Status == Pending && k.Algorithm == configured {
			return fmt.Sprintf("signing with %s; %s is published and signs from %s; `pico-auth key rotate --now` signs with it at once",
				keys[0].Algorithm, configured, Clock(now.Add(k.Due), now))
		}
	}
	return ""
}

// Clock is a time soon to come as people read it, in UTC.
func Clock(at, now time.Time) string {
	if at.Sub(now) < 24*time.Hour {
		return at.UTC().Format("15:04 UTC")
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

// Argument is a key id as it stands in a command line.
func Argument(kid string) string { return vault.Argument(kid) }

// Stats counts signatures since Open.
type Stats struct {
	Signed  uint64
	Failed  uint64
	Seconds float64 // spent signing, failures included
}

var errNoSigner = &fault.Error{
	Kind: fault.Unavailable, Code: "no_signing_key", Message: "the active signing key is unavailable here", RetryAfter: lifecycle.FollowWithin,
}
