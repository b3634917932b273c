// Package session turns a proof into a session, which is a user signed in on one
// device, and ends sessions.
//
// It owns the lifetime of a session, and what starts and ends one. It does not
// authenticate users (login) and issues no tokens: token mints those of a session,
// with the transaction that is passed to it. httpapi and directory call it.
package session

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
	"github.com/pico-auth/pico-auth/internal/token"
)

// DefaultMax is the default time from the start of a session to its absolute end.
const DefaultMax = 90 * 24 * time.Hour

// maxUserAgent is how many bytes of the User-Agent are stored.
const maxUserAgent = 255

// Config is what Sessions need. Store, Tokens and Audit are required.
type Config struct {
	Store    *store.Store
	Tokens   *token.Issuer
	Audit    *audit.Log
	Throttle *throttle.Throttle // nil: what administrators end is not limited

	Issuer string           // as in the claim iss; for front-channel logout
	Max    time.Duration    // to the absolute end; 0: DefaultMax
	Limit  int              // sessions of a user; the least recently used ends; 0: no limit
	Now    func() time.Time // nil: time.Now
}

// Sessions starts and ends sessions. It is safe for concurrent use.
type Sessions struct {
	store    *store.Store
	tokens   *token.Issuer
	audit    *audit.Log
	throttle *throttle.Throttle
	issuer   string
	max      time.Duration
	limit    int
	now      func() time.Time
}

// New returns Sessions.
func New(cfg Config) *Sessions {
	if cfg.Max == 0 {
		cfg.Max = DefaultMax
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sessions{store: cfg.Store, tokens: cfg.Tokens, audit: cfg.Audit, throttle: cfg.Throttle, issuer: cfg.Issuer, max: cfg.Max, limit: cfg.Limit, now: cfg.Now}
}

// Start turns a proof into a session of the JSON login, and returns its first
// pair of tokens. Its transaction checks again that the user may sign in, and
// that their credentials are still those that were proved.
func (s *Sessions) Start(ctx context.Context, by identity.Actor, proof identity.Proof) (token.Pair, error) {
	by.UserAgent = storable(by.UserAgent)
	act := store.Act{Action: identity.ActionLogin, By: by}
	pair, err := s.tokens.Mint(ctx, s.grant(), func(ctx context.Context, first *store.NewFamily) (store.Subject, error) {
		first.Limit = s.limit
		subject, err := s.store.StartSession(ctx, act, proof, *first)
		if fault.KindOf(err) == fault.Unauthenticated { // suspended, or other credentials, since the proof
			s.refused(ctx, by, proof)
		}
		return subject, err
	})
	if err != nil {
		return token.Pair{}, fmt.Errorf("start session: %w", err)
	}
	return pair, nil
}

// refused records that a proof has become invalid.
func (s *Sessions) refused(ctx context.Context, by identity.Actor, proof identity.Proof) {
	user, _ := s.store.UserByID(ctx, proof.UserID()) // deleted: without an organization
	act := store.Act{Action: identity.ActionLogin, By: by, Detail: "changed_meanwhile"}
	s.audit.Failed(ctx, act, proof.UserID(), user.OrgID)
}

// ChangePassword replaces the password of the user of proof. All their sessions
// end except the actor's, which continues with the pair returned; of its earlier
// access tokens only the one that made the change may read the profile.
func (s *Sessions) ChangePassword(ctx context.Context, act store.Act, proof identity.Proof, hash identity.PasswordHash) (token.Pair, error) {
	act.By.UserAgent = storable(act.By.UserAgent)
	return s.tokens.Mint(ctx, s.grant(), func(ctx context.Context, next *store.NewFamily) (store.Subject, error) {
		return s.store.ChangePassword(ctx, act, proof, hash, *next)
	})
}

// Reauthenticate moves the time of the authentication of the actor's session to that
// of proof, which a refresh does not.
func (s *Sessions) Reauthenticate(ctx context.Context, act store.Act, proof identity.Proof) error {
	return s.store.Reauthenticate(ctx, act, proof)
}

// grant is the grant of a session that starts now.
func (s *Sessions) grant() token.Grant {
	g := token.FirstParty()
	g.End = s.now().UTC().Add(s.max)
	return g
}

// storable is the part of a User-Agent that the store accepts.
func storable(userAgent string) string {
	clean := strings.ReplaceAll(strings.ToValidUTF8(userAgent, ""), "\x00", "")
	for len(clean) > maxUserAgent {
		_, size := utf8.DecodeLastRuneInString(clean)
		clean = clean[:len(clean)-size]
	}
	return clean
}
