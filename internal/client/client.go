// Package client keeps registered clients of the OpenID provider: it creates and
// authenticates them.
//
// It owns the credentials of clients. It does not decide which redirect URI or which
// field is valid (oauth) nor who may change a client (identity, inside the transaction
// of the store), and issues nothing (token). oidc calls it to authenticate clients, and
// httpapi, cmd and server to manage them.
package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// Config is what New needs. Store and Audit are required.
type Config struct {
	Store *store.Store
	Audit *audit.Log

	Throttle *throttle.Throttle // nil: assertions of a client are not limited

	Issuer     string           // of the server: the audience of client assertions
	Audience   string           // auth.audience: no client_id may equal it, and only superadmins give it to a client
	Algorithms []jose.Algorithm // that the server signs with, or can; nil: all

	// AccessLifetime is the longest that tokens of a client are valid. 0: 15 minutes.
	AccessLifetime time.Duration

	Now func() time.Time // nil: time.Now
}

// Clients keeps registered clients. It is safe for concurrent use.
type Clients struct {
	store      *store.Store
	audit      *audit.Log
	throttle   *throttle.Throttle
	issuer     string
	audience   string
	algorithms []jose.Algorithm
	lifetime   time.Duration
	now        func() time.Time
	origins    origins
}

// New returns Clients.
func New(cfg Config) *Clients {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = jose.Algorithms()
	}
	if cfg.AccessLifetime == 0 {
		cfg.AccessLifetime = 15 * time.Minute
	}
	return &Clients{
		store: cfg.Store, audit: cfg.Audit, throttle: cfg.Throttle, issuer: cfg.Issuer, audience: cfg.Audience, algorithms: cfg.Algorithms, lifetime: cfg.AccessLifetime, now: cfg.Now,
	}
}

// Get returns the client, one that is suspended too; identity.ErrNoClient when there is
// none. It reads the database, so that a suspension on another replica is seen at once.
func (c *Clients) Get(ctx context.Context, id string) (oauth.Client, error) {
	if !identity.ValidID(id) {
		return oauth.Client{}, identity.ErrNoClient
	}
	found, err := c.store.Client(ctx, id)
	if err != nil {
		return oauth.Client{}, fmt.Errorf("read client: %w", err)
	}
	return found, nil
}

// newSecret returns 256 random bits. That many need no slow hash.
func newSecret() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// ended adds the action to the error, and records a refusal of the actor. The store has
// recorded a success.
func (c *Clients) ended(ctx context.Context, act store.Act, targetID string, err error) error {
	if err == nil {
		return nil
	}
	c.audit.Refused(ctx, act, targetID, err)
	return fmt.Errorf("%s: %w", act.Action, err)
}
