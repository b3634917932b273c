// Package login authenticates users.
//
// It knows passwords; other methods will be added beside Password. It guarantees
// that an unknown address, a wrong password and a suspended user look and cost the
// same. It issues nothing: what it returns is
// an identity.Proof, which session.Start turns into a session. httpapi calls it.
package login

import (
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// ErrWrongPassword refuses a signed-in user whose password does not match on
// reauthentication.
var ErrWrongPassword = fault.New(fault.Forbidden, "invalid_credentials", "the password is not right")

// Config is what a Login needs. Store, Passwords and Audit are required.
type Config struct {
	Store     *store.Store
	Passwords *password.Hasher
	Audit     *audit.Log
	Throttle  *throttle.Throttle // nil: guesses are not limited
	Exposed   bool               // a network reaches the server: the published default password is refused
	Now       func() time.Time   // nil: time.Now
}

// Login authenticates users. It is safe for concurrent use.
type Login struct {
	store     *store.Store
	passwords *password.Hasher
	audit     *audit.Log
	throttle  *throttle.Throttle
	exposed   bool
	now       func() time.Time
	counts    counts
}

// New returns a Login.
func New(cfg Config) *Login {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Login{
		store: cfg.Store, passwords: cfg.Passwords, audit: cfg.Audit, throttle: cfg.Throttle, exposed: cfg.Exposed, now: cfg.Now,
	}
	return l
}
