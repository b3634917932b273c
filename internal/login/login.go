// Package login answers one question: is this the person they say they are?
//
// Today it knows passwords; other proofs join as further methods beside
// Password. It owns the promise that somebody unknown, a wrong password and a
// suspended person look and cost the same. It issues nothing: the caller takes
// the proven person to token.Issue, which asks again inside its transaction.
// httpapi calls it.
package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
)

// ErrCredentials is the one answer to every failed proof.
var ErrCredentials = store.ErrInvalidCredentials

// Config is what a Login needs. Store, Passwords and Audit are required.
type Config struct {
	Store     *store.Store
	Passwords *password.Hasher
	Audit     *audit.Log
	Now       func() time.Time // nil: time.Now
}

// Login proves people. It is safe for concurrent use.
type Login struct {
	store     *store.Store
	passwords *password.Hasher
	audit     *audit.Log
	now       func() time.Time
	counts    counts
}

// New returns a Login.
func New(cfg Config) *Login {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Login{store: cfg.Store, passwords: cfg.Passwords, audit: cfg.Audit, now: cfg.Now}
}

// Password returns the person whose e-mail and password these are, with the
// hash that was verified. Nobody, a wrong password and a suspended person are
// ErrCredentials after the same work; too many logins at once are Throttled.
func (l *Login) Password(ctx context.Context, by identity.Actor, email, password string) (identity.User, error) {
	user, err := l.find(ctx, email)
	if err != nil {
		l.countAccident(err)
		return identity.User{}, err
	}
	matches, err := l.passwords.Verify(ctx, user.PasswordHash, password)
	if err != nil {
		l.countAccident(err)
		return identity.User{}, fmt.Errorf("verify password: %w", err)
	}
	outcome := l.judge(user, matches)
	if outcome != succeeded {
		l.refuse(ctx, by, user, email, outcome)
		return identity.User{}, ErrCredentials
	}
	return user, nil
}

// find returns the person of that address, the zero person when there is none.
func (l *Login) find(ctx context.Context, email string) (identity.User, error) {
	if !identity.Storable(email) {
		return identity.User{}, nil
	}
	user, err := l.store.UserByEmail(ctx, identity.EmailKey(email))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return identity.User{}, fmt.Errorf("find person: %w", err)
	}
	if err != nil {
		return identity.User{}, nil
	}
	return user, nil
}

// judge counts the attempt and names its outcome.
func (l *Login) judge(user identity.User, matches bool) outcome {
	switch {
	case user.ID == "":
		l.counts.unknown.Add(1)
		return unknownUser
	case !matches:
		l.counts.wrong.Add(1)
		return wrongPassword
	case !identity.CanSignIn(user):
		l.counts.suspended.Add(1)
		return suspendedUser
	default:
		l.counts.succeeded.Add(1)
		return succeeded
	}
}

func (l *Login) countAccident(err error) {
	switch {
	case fault.KindOf(err) == fault.Throttled:
		l.counts.throttled.Add(1)
	case !errors.Is(err, context.Canceled): // hanging up is the caller's own doing
		l.counts.failed.Add(1)
	}
}

// refuse records the failure. Of an address that is nobody's only a short
// digest is kept: people type passwords into the wrong field, and eight hex
// digits still show that one address is being tried again and again.
func (l *Login) refuse(ctx context.Context, by identity.Actor, user identity.User, email string, why outcome) {
	detail := string(why)
	if why == unknownUser {
		digest := sha256.Sum256([]byte(identity.EmailKey(email)))
		detail += " " + hex.EncodeToString(digest[:4])
	}
	l.audit.Failed(ctx, store.Event{
		At: l.now(), Action: audit.Login, TargetID: user.ID, OrgID: user.OrgID,
		Address: by.Address, RequestID: by.RequestID, Detail: detail,
	})
}

// outcome is how an attempt ended, in the words of the audit record.
type outcome string

const (
	succeeded     outcome = "succeeded"
	unknownUser   outcome = "unknown_user"
	wrongPassword outcome = "wrong_password"
	suspendedUser outcome = "suspended"
)

type counts struct {
	succeeded, unknown, wrong, suspended, throttled, failed atomic.Uint64
}

// Stats counts password logins since the start, by outcome.
type Stats struct {
	Succeeded     uint64 // proven and allowed to sign in
	UnknownUser   uint64 // nobody has that e-mail
	WrongPassword uint64
	Suspended     uint64 // right password; the person or their organisation is suspended
	Throttled     uint64 // turned away: too many logins at once
	Failed        uint64 // an accident of ours, such as a database that is away
}

// Stats returns the counts so far.
func (l *Login) Stats() Stats {
	return Stats{
		Succeeded: l.counts.succeeded.Load(), UnknownUser: l.counts.unknown.Load(),
		WrongPassword: l.counts.wrong.Load(), Suspended: l.counts.suspended.Load(),
		Throttled: l.counts.throttled.Load(), Failed: l.counts.failed.Load(),
	}
}
