// Package token issues and revokes the credentials that an authenticated user or a
// program presents: access tokens, refresh tokens, service tokens.
//
// It owns the claims of an access token, the form and hashing of the opaque
// ones, and the order of a grant: one transaction in the store, and only after
// its commit a signature, so that signing never holds a write lock. It does
// not authenticate users (login does), does not keep keys (keyring does) and
// knows no HTTP. httpapi calls it.
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// The default lifetimes of tokens.
const (
	DefaultAccessLifetime  = 15 * time.Minute
	DefaultRefreshLifetime = 7 * 24 * time.Hour
)

// Config is what an Issuer needs. Store, Keys, Audit, Issuer and Audience are
// required.
type Config struct {
	Store           *store.Store
	Keys            *keyring.Ring
	Audit           *audit.Log
	Throttle        *throttle.Throttle // nil: unknown tokens are not limited
	Issuer          string             // the claim iss
	Audience        string             // the claim aud
	GroupClaim      GroupClaim         // empty: GroupIDs; the others need store.Config.GroupNames
	AccessLifetime  time.Duration      // whole seconds; 0: DefaultAccessLifetime
	RefreshLifetime time.Duration      // slides with each rotation; 0: DefaultRefreshLifetime
	Now             func() time.Time   // nil: time.Now

	// LegacyHashKey is the HMAC key under which later versions of the original server
	// hashed the tokens that were adopted; nil: none.
	LegacyHashKey []byte

	// ReuseGrace is for how long a used refresh token of the JSON login yields its
	// successor again while that is unused, at most store.MaxReuseGrace; 0: it ends
	// its family.
	ReuseGrace time.Duration

	// RotationsPerFamily is how many rotations a refresh token family may do at once;
	// one a second is added. 0: no limit.
	RotationsPerFamily int

	// FamiliesPerUser is for how many families the rotations of a user suffice,
	// however many sessions they start, and how many families of offline_access a user
	// has; 0: no limit.
	FamiliesPerUser int
}

// Issuer issues, rotates and revokes tokens. It is safe for concurrent use.
type Issuer struct {
	store           *store.Store
	keys            *keyring.Ring
	audit           *audit.Log
	throttle        *throttle.Throttle
	issuer          string
	audience        string
	groupClaim      GroupClaim
	accessLifetime  time.Duration
	refreshLifetime time.Duration
	now             func() time.Time
	legacyHashKey   []byte
	reuseGrace      time.Duration
	rotations       *rotations // nil: no limit
	familiesPerUser int        // 0: no limit
	recent          recent
	known           jose.Memory // access tokens are presented many times
	counts          counts
	uses            uses
}

// New returns an Issuer.
func New(cfg Config) *Issuer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Issuer{
		store: cfg.Store, keys: cfg.Keys, audit: cfg.Audit, throttle: cfg.Throttle,
		issuer: cfg.Issuer, audience: cfg.Audience, groupClaim: cmp.Or(cfg.GroupClaim, GroupIDs),
		accessLifetime:  orDefault(cfg.AccessLifetime, DefaultAccessLifetime),
		refreshLifetime: orDefault(cfg.RefreshLifetime, DefaultRefreshLifetime),
		reuseGrace:      min(cfg.ReuseGrace, store.MaxReuseGrace),
		rotations:       newRotations(cfg.RotationsPerFamily, cfg.FamiliesPerUser),
		familiesPerUser: cfg.FamiliesPerUser,
		now:             cfg.Now,
		legacyHashKey:   cfg.LegacyHashKey,
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Pair is the result of a login, a refresh or a grant. Printing redacts it.
type Pair struct {
	AccessToken  string
	RefreshToken string        // empty: none
	IDToken      string        // of the scope openid of a registered client; empty: none
	ExpiresIn    time.Duration // of the access token, from now
	Scope        string        // of the access token, separated by spaces
}

// Format hides the tokens from fmt, whatever the verb.
func (Pair) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue hides the tokens from slog.
func (Pair) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Limited returns err, the refusal of a token; when the token is unknown, and there
// were too many such tokens from the actor's network, it is Throttled instead.
func (i *Issuer) Limited(ctx context.Context, by identity.Actor, err error) error {
	if !errors.Is(err, store.ErrUnknownToken) {
		return err
	}
	if limited := i.throttle.UnknownToken(ctx, by); limited != nil {
		return fmt.Errorf("refuse unknown token: %w", limited)
	}
	return err
}

type counts struct {
	issued, rotated, repeated, reused, limited, refused atomic.Uint64
}

// Stats counts grants since the start.
type Stats struct {
	Issued   uint64 // pairs after a login, and access tokens for service tokens
	Rotated  uint64 // pairs after a refresh
	Repeated uint64 // pairs issued again within the reuse grace
	Reused   uint64 // used refresh tokens that were presented again and ended their family
	Limited  uint64 // refreshes refused because their family, or their user, had too many
	Refused  uint64 // other invalid refresh tokens
}

// Stats returns the counts so far.
func (i *Issuer) Stats() Stats {
	return Stats{
		Issued: i.counts.issued.Load(), Rotated: i.counts.rotated.Load(),
		Repeated: i.counts.repeated.Load(), Limited: i.counts.limited.Load(),
		Reused: i.counts.reused.Load(), Refused: i.counts.refused.Load(),
	}
}
