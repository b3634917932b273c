// Package testrig builds the flows over a real database and real keys for tests:
// what the package server assembles, with a clock that a test sets, cheap hashes
// and keys that are made quickly.
//
// It does not know HTTP, and the program never imports it. The tests of login,
// token, directory, httpapi and server use it.
package testrig

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/throttle"
	"github.com/pico-auth/pico-auth/internal/token"
)

// What tokens say unless an option says otherwise.
const (
	Issuer   = "https://auth.example"
	Audience = "pico-bot"
)

// Rig is the services over one database.
type Rig struct {
	Clock *storetest.Clock
	Log   *Buffer // JSON, a line a record

	Store     *store.Store
	Keys      *keyring.Ring
	Passwords *password.Hasher
	Audit     *audit.Log
	Throttle  *throttle.Throttle
	Login     *login.Login
	Tokens    *token.Issuer
	Sessions  *session.Sessions
	Authorize *authorize.Requests
	Directory *directory.Directory
	Clients   *client.Clients
}

// Config is what a test may change before anything is built. Services that are
// built from others are put in afterwards.
type Config struct {
	Now       func() time.Time // of everything; the clock's unless it is changed
	MaxAge    time.Duration    // of an authentication, for privileged acts; 0: any, for actors without a session
	Keys      keyring.Config
	Passwords password.Config
	Throttle  throttle.Config
	Login     login.Config
	Tokens    token.Config
	Directory directory.Config
}

// Option changes the configuration.
type Option func(*Config)

// Epoch is when the clock of a rig begins. It has a fraction of a second, so that
// truncation shows.
func Epoch() time.Time { return storetest.NewClock().Now().Add(600 * time.Millisecond) }

// Each runs test with a rig on each engine.
func Each(t *testing.T, test func(t *testing.T, r *Rig), opts ...Option) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) { test(t, New(t, url, opts...)) })
}

// Open returns a rig on a fresh SQLite database.
func Open(t testing.TB, opts ...Option) *Rig {
	t.Helper()
	return New(t, storetest.MigratedSQLite(t), opts...)
}

// New returns a rig on the database of the URL. It is closed when the test ends.
func New(t testing.TB, url string, opts ...Option) *Rig {
	t.Helper()
	r := &Rig{Clock: storetest.NewClock(), Log: new(Buffer)}
	r.Clock.Advance(Epoch().Sub(r.Clock.Now()))
	cfg := Config{
		Now:       r.Clock.Now,
		Keys:      keyring.Config{Dir: t.TempDir(), Algorithm: jose.EdDSA},
		Passwords: password.Config{Cost: 4},
		Tokens:    token.Config{Issuer: Issuer, Audience: Audience},
		Directory: directory.Config{RegistrationDefault: true},
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	log := slog.New(slog.NewJSONHandler(r.Log, nil))
	r.Store = storetest.OpenURL(t, url, func(c *store.Config) {
		c.Now, c.Committed, c.PrivilegedMaxAge = cfg.Now, audit.Writer(log), cfg.MaxAge
		c.Issuer = cfg.Tokens.Issuer
		c.GroupNames = cfg.Tokens.GroupClaim != "" && cfg.Tokens.GroupClaim != token.GroupIDs
	})
	r.Audit = audit.New(audit.Config{Store: r.Store, Log: log, Now: cfg.Now})
	t.Cleanup(r.Audit.Flush)
	r.Passwords = password.New(cfg.Passwords)
	t.Cleanup(r.Passwords.Close)
	cfg.Keys.Store = r.Store
	adopted := adopt.Keys{
		Store: r.Store, Dir: cfg.Keys.Dir, Algorithm: cfg.Keys.Algorithm, Sealed: cfg.Keys.Sealed(), Master: cfg.Keys.Master,
	}
	err := adopted.Decide(t.Context())
	if err == nil {
		r.Keys, err = keyring.Open(t.Context(), cfg.Keys)
	}
	if err == nil {
		cfg.Tokens.LegacyHashKey, err = adopted.HashKey(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.flows(cfg, log)
	return r
}

// flows builds what stands on the store, the keys and the passwords.
func (r *Rig) flows(cfg Config, log *slog.Logger) {
	cfg.Throttle.Store, cfg.Throttle.Log, cfg.Throttle.Now = r.Store, log, cfg.Now
	r.Throttle = throttle.New(cfg.Throttle)
	cfg.Login.Throttle, cfg.Tokens.Throttle, cfg.Directory.Throttle = r.Throttle, r.Throttle, r.Throttle
	cfg.Login.Store, cfg.Login.Passwords, cfg.Login.Audit, cfg.Login.Now = r.Store, r.Passwords, r.Audit, cfg.Now
	r.Login = login.New(cfg.Login)
	cfg.Tokens.Store, cfg.Tokens.Keys, cfg.Tokens.Audit, cfg.Tokens.Now = r.Store, r.Keys, r.Audit, cfg.Now
	r.Tokens = token.New(cfg.Tokens)
	r.Sessions = session.New(session.Config{Store: r.Store, Tokens: r.Tokens, Audit: r.Audit, Throttle: r.Throttle, Issuer: cfg.Tokens.Issuer, Now: cfg.Now})
	r.Clients = client.New(client.Config{Store: r.Store, Audit: r.Audit, Throttle: r.Throttle, Issuer: cfg.Tokens.Issuer, Audience: cfg.Tokens.Audience, Now: cfg.Now})
	r.Authorize = authorize.New(authorize.Config{Store: r.Store, Audit: r.Audit, Throttle: r.Throttle, Issuer: cfg.Tokens.Issuer, Now: cfg.Now, Hint: r.Tokens.HintedUser})
	cfg.Directory.Store, cfg.Directory.Passwords, cfg.Directory.Audit, cfg.Directory.Now = r.Store, r.Passwords, r.Audit, cfg.Now
	cfg.Directory.Login, cfg.Directory.Sessions, cfg.Directory.Log = r.Login, r.Sessions, log
	r.Directory = directory.New(cfg.Directory)
}

// Buffer is a log that may be written and read at once.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Reset forgets what was written.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}
