package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Password authenticates the user with that e-mail address and password. An
// unknown address, a wrong password, a suspended user and, on a server that a
// network reaches, the default password are identity.ErrInvalidCredentials after
// the same work; too many concurrent logins are Throttled.
func (l *Login) Password(ctx context.Context, by identity.Actor, email, password string) (identity.Proof, error) {
	user, err := l.find(ctx, email)
	if err != nil {
		l.countAccident(err)
		return identity.Proof{}, err
	}
	matches, err := l.passwords.Verify(ctx, by.Network, user.PasswordHash, password)
	if err != nil {
		l.countAccident(err)
		return identity.Proof{}, fmt.Errorf("verify password: %w", err)
	}
	outcome := l.judge(user, matches)
	if outcome != succeeded {
		l.refuse(ctx, by, user, email, outcome)
		return identity.Proof{}, identity.ErrInvalidCredentials
	}
	l.passwords.SignedIn(by.Network)
	return identity.NewProof(user, l.now(), identity.MethodPassword), nil
}

// Confirm reauthenticates a signed-in user by their password. A wrong one is
// Forbidden, invalid_credentials.
func (l *Login) Confirm(ctx context.Context, by identity.Actor, userID, password string) (identity.Proof, error) {
	user, err := l.store.UserByID(ctx, userID)
	if err != nil {
		return identity.Proof{}, fmt.Errorf("read user: %w", err)
	}
	matches, err := l.passwords.Verify(ctx, by.Network, user.PasswordHash, password)
	if err != nil {
		return identity.Proof{}, fmt.Errorf("verify password: %w", err)
	}
	if !matches {
		return identity.Proof{}, ErrWrongPassword
	}
	return identity.NewProof(user, l.now(), identity.MethodPassword), nil
}

// find returns the user of that address, the zero User when there is none.
func (l *Login) find(ctx context.Context, email string) (identity.User, error) {
	if !identity.Storable(email) {
		return identity.User{}, nil
	}
	user, err := l.store.UserByEmail(ctx, identity.EmailKey(email))
	switch {
	case err == nil:
		return user, nil
	case fault.KindOf(err) == fault.NotFound:
		return identity.User{}, nil
	default:
		return identity.User{}, fmt.Errorf("find user: %w", err)
	}
}

// judge counts the attempt and returns its outcome.
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
	case l.exposed && user.DefaultPassword:
		// The check at the start covers active superadmins only.
		l.counts.published.Add(1)
		return publishedPassword
	default:
		l.counts.succeeded.Add(1)
		return succeeded
	}
}

func (l *Login) countAccident(err error) {
	switch {
	case fault.KindOf(err) == fault.Throttled:
		l.counts.throttled.Add(1)
	case !errors.Is(err, context.Canceled): // a cancelled request is no failure
		l.counts.failed.Add(1)
	}
}

// refuse records the failure. An unknown address may be a password typed into the
// wrong field. Only eight digits of a keyed digest are kept: enough to recognize
// repeated attempts with one address, and useless for guessing what was typed, since
// the key never leaves this process.
func (l *Login) refuse(ctx context.Context, by identity.Actor, user identity.User, email string, why outcome) {
	detail := string(why)
	if why == unknownUser {
		mac := hmac.New(sha256.New, l.digestKey[:])
		mac.Write([]byte(email))
		detail += " " + hex.EncodeToString(mac.Sum(nil)[:4])
	}
	l.audit.Failed(ctx, store.Act{Action: identity.ActionLogin, By: by, Detail: detail}, user.ID, user.OrgID)
}

// outcome is the outcome of an attempt, as named in the audit log.
type outcome string

const (
	succeeded     outcome = "succeeded"
	unknownUser   outcome = "unknown_user"
	wrongPassword outcome = "wrong_password"
	suspendedUser outcome = "suspended"

	publishedPassword outcome = "default_password"
)
