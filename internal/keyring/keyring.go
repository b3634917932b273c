package keyring

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// AtRest is the place of private keys.
type AtRest string

// The places.
const (
	Files  AtRest = "files"  // in Config.Dir
	Sealed AtRest = "sealed" // in the database, under Config.Master
)

const (
	// maxFollow is the longest pause between two checks for changes.
	maxFollow = 2 * time.Second

	// countLease is the time after which another replica counts the time of keys when
	// the counting one has stopped.
	countLease = 15 * time.Second

	defaultRSABits       = 2048
	defaultTokenLifetime = 15 * time.Minute

	// DefaultPublishAhead is how long a key is published before it signs: long enough
	// for clients that keep a key set for 15 minutes whatever its header says, and to
	// restart services that pin algorithms when they start.
	DefaultPublishAhead = time.Hour
	// keySetLifetime is the longest time for which clients may keep the key set. It
	// bounds how long they accept a revoked key and refuse its replacement, so it does
	// not grow with PublishAhead.
	keySetLifetime = 5 * time.Minute
)

// Config is the place of the keys and the times of their lifecycle.
type Config struct {
	Dir        string           // auth.data_dir, ~ expanded; required
	Algorithm  jose.Algorithm   // auth.algorithm: of the key that signs the API's tokens; required
	Algorithms []jose.Algorithm // keys.algorithms: further ones with a key each; Algorithm is optional in it
	Late       jose.Algorithm   // one of Algorithms whose first key Step makes, and not Open; empty: none
	Store      *store.Store     // records the status of each key; required
	Master     *seal.Master     // auth.master_key; nil: none
	AtRest     AtRest           // keys.at_rest; empty: Sealed on PostgreSQL with a master key, else Files
	Log        *slog.Logger     // nil: discard

	PublishAhead  time.Duration // keys.publish_ahead; zero: DefaultPublishAhead
	RotateEvery   time.Duration // keys.rotate_every; zero: only on request
	RSABits       int           // keys.rsa_bits, of new RSA keys; zero: 2048
	TokenLifetime time.Duration // of the access tokens that this server signs; zero: 15 minutes

	Now       func() time.Time     // the wall clock; nil: time.Now
	Monotonic func() time.Duration // the monotonic clock, from any origin; nil: that of the system
}

// Sealed reports whether private keys are sealed in the database.
func (c Config) Sealed() bool {
	return c.AtRest == Sealed || c.AtRest == "" && c.Master != nil && c.Store.Engine() == "postgres"
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.PublishAhead = cmp.Or(c.PublishAhead, DefaultPublishAhead)
	c.RSABits = cmp.Or(c.RSABits, defaultRSABits)
	c.TokenLifetime = cmp.Or(c.TokenLifetime, defaultTokenLifetime)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Monotonic == nil {
		begin := time.Now()
		c.Monotonic = func() time.Duration { return time.Since(begin) }
	}
	return c
}

// MaxAge is how long clients may keep the key set. A key is published for ahead before
// it signs, and every server publishes it at most margin later, so a client that keeps
// the set no longer than MaxAge always has the key that signs.
func MaxAge(ahead time.Duration) time.Duration {
	return min(keySetLifetime, ahead-margin(ahead)).Truncate(time.Second)
}

func margin(ahead time.Duration) time.Duration { return min(lifecycle.FollowWithin, ahead/2) }

// KeyInfo describes a key without holding it.
type KeyInfo struct {
	KID        string
	Algorithm  jose.Algorithm
	Thumbprint string // RFC 7638; the KID of all but the adopted key
	Status     store.KeyStatus
	PQCOnly    bool   // published at /.well-known/jwks-pqc.json only
	File       string // path of the private half; empty: it is sealed in the database, or erased; for a removed key the file that the operator must remove

	CreatedAt, ActivatedAt, RetiredAt, RemovedAt time.Time // zero: never, or not recorded

	// Problem is the reason why a key cannot be used: its row is damaged or not
	// authentic, or it is pending or active and its private half is unavailable here.
	// Only Admin checks this; empty: it can be used.
	Problem string

	// Due is the time until the next status of a pending or retiring key when it was
	// read. It passes only while a server runs; zero: now, or there is no next status.
	Due time.Duration
}

// Stats counts signatures since Open.
type Stats struct {
	Signed  uint64
	Failed  uint64
	Seconds float64 // duration of all signatures, failures included
}

var errNoSigner = &fault.Error{
	Kind: fault.Unavailable, Code: "no_signing_key", Message: "the active signing key is unavailable here", RetryAfter: lifecycle.FollowWithin,
}

var errNoneActive = fault.New(fault.NotFound, "no_signing_key", "no signing key is active; the next start of the server creates one")
