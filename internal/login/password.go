package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Password authenticates the user with that e-mail address and password. An
// unknown address, a wrong password, a suspended user and, on a server that a
// network reaches, the default password are identity.ErrInvalidCredentials after
// the same work; too many failed attempts, and too many concurrent ones, are
// Throttled.
func (l *Login) Password(ctx context.Context, by identity.Actor, email, password string) (identity.Proof, error) {
	user, err := l.find(ctx, email)
	if err != nil {
		l.countAccident(err)
		return identity.Proof{}, err
	}
	why, err := l.attempt(ctx, by, user, email, password, l.judge)
	if err != nil {
		l.countAccident(err)
		return identity.Proof{}, err
	}
	l.counts.of(why).Add(1)
	if why != succeeded {
		l.refuse(ctx, by, user, email, why)
		return identity.Proof{}, identity.ErrInvalidCredentials
	}
	return l.prove(ctx, by, user, password), nil
}

// prove is the proof of a user whose password matches.
func (l *Login) prove(ctx context.Context, by identity.Actor, user *identity.User, password string) identity.Proof {
	l.passwords.SignedIn(by.Network)
	proof := identity.NewProof(*user, l.now(), identity.MethodPassword)
	renewed, err := l.passwords.Renew(ctx, by.Network, user.PasswordHash, user.PasswordForm, password)
	if err == nil && renewed != "" { // otherwise the stored hash stays, and the next login tries again
		proof = proof.Renewing(user.PasswordHash, renewed)
	}
	return proof
}

// Confirm reauthenticates a signed-in user by their password. A wrong one is
// Forbidden, invalid_credentials, and counts as a failed login does.
func (l *Login) Confirm(ctx context.Context, by identity.Actor, userID, password string) (identity.Proof, error) {
	user, err := l.store.UserByID(ctx, userID)
	if err != nil {
		return identity.Proof{}, fmt.Errorf("read user: %w", err)
	}
	why, err := l.attempt(ctx, by, &user, user.Email, password, matched)
	if err != nil {
		return identity.Proof{}, err
	}
	if why != succeeded {
		return identity.Proof{}, ErrWrongPassword
	}
	return identity.NewProof(user, l.now(), identity.MethodPassword), nil
}

// attempt verifies the password, if guesses are not too many, and counts the outcome.
func (l *Login) attempt(
	ctx context.Context, by identity.Actor, user *identity.User, email, password string, judge func(*identity.User, bool) outcome,
) (outcome, error) {
	attempt, err := l.throttle.Admit(ctx, by, user, email)
	if err != nil {
		return "", fmt.Errorf("admit attempt: %w", err)
	}
	defer attempt.Cancel()
	matches, err := l.passwords.Verify(ctx, by.Network, user.PasswordHash, password)
	if err != nil {
		return "", fmt.Errorf("verify password: %w", err)
	}
	why := judge(user, matches)
	if why != succeeded {
		return why, attempt.Failed(ctx)
	}
	return why, attempt.Succeeded(ctx)
}

// find returns the user of that address, the zero User when there is none.
func (l *Login) find(ctx context.Context, email string) (*identity.User, error) {
	if !identity.Storable(email) {
		return new(identity.User), nil
	}
	user, err := l.store.UserByEmail(ctx, identity.EmailKey(email))
	switch {
	case err == nil:
		return user, nil
	case fault.KindOf(err) == fault.NotFound:
		return new(identity.User), nil
	default:
		return nil, fmt.Errorf("find user: %w", err)
	}
}

// judge returns the outcome of a login.
func (l *Login) judge(user *identity.User, matches bool) outcome {
	switch {
	case user.ID == "":
		return unknownUser
	case !matches:
		return wrongPassword
	case !identity.CanSignIn(*user):
		return suspendedUser
	case l.exposed && user.DefaultPassword:
		// The check at the start covers active superadmins only.
		return publishedPassword
	default:
		return succeeded
	}
}

// matched is judge for a user who is signed in.
func matched(_ *identity.User, matches bool) outcome {
	if !matches {
		return wrongPassword
	}
	return succeeded
}

func (l *Login) countAccident(err error) {
	switch {
	case fault.KindOf(err) == fault.Throttled:
		l.counts.throttled.Add(1)
	case !errors.Is(err, context.Canceled): // a cancelled request is no failure
		l.counts.failed.Add(1)
	}
}

// refuse records the failure.
func (l *Login) refuse(ctx context.Context, by identity.Actor, user *identity.User, email string, why outcome) {
	l.audit.FailedLogin(ctx, store.Act{Action: identity.ActionLogin, By: by, Detail: string(why)}, user.ID, user.OrgID, email)
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
