package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/client"
	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/outbound"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/throttle"
	"github.com/pico-auth/pico-auth/internal/token"
)

// closeTimeout limits how long the last writes may take.
const closeTimeout = 2 * time.Second

// Services are the parts of the server below HTTP, built from one configuration.
// The commands of the program use them without a listener.
type Services struct {
	Store     *store.Store
	Keys      *keyring.Ring
	Passwords *password.Hasher
	Audit     *audit.Log
	Throttle  *throttle.Throttle
	Chain     *audit.Chain
	Login     *login.Login
	Tokens    *token.Issuer
	Sessions  *session.Sessions
	Logouts   *session.Logouts
	Authorize *authorize.Requests
	Directory *directory.Directory
	Clients   *client.Clients
}

// OpenServices opens the database (and creates, migrates or adopts it) and the
// signing keys (and creates them if none exist), and builds the services. Its
// errors are sentences for an operator. The caller must close the result.
func OpenServices(ctx context.Context, cfg config.Config, log *slog.Logger) (*Services, error) {
	return openServices(ctx, cfg, StoreConfig(cfg, log), nil, func(*store.Store) (*seal.Master, error) { return Master(cfg, log) })
}

// OpenReading is OpenServices for commands that only read the database: it needs
// neither the keys nor a file system that can be written. Keys is nil.
func OpenReading(ctx context.Context, cfg config.Config, log *slog.Logger) (*Services, error) {
	st, err := store.OpenReading(ctx, StoreConfig(cfg, log))
	if err != nil {
		return nil, err
	}
	services := assemble(cfg, log, st, signingKeys{}, audit.New(audit.Config{Store: st, Log: log, Addresses: cfg.Log.Addresses}))
	return services, nil
}

func openServices(
	ctx context.Context, cfg config.Config, database store.Config, stream *audit.Stream, masterOf func(*store.Store) (*seal.Master, error),
) (*Services, error) {
	log := database.Log
	database.Committed = stream.Committed(database.Committed)
	st, err := store.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	ring, err := KeysConfig(cfg, st, log)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	keys, err := openKeys(ctx, ring)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	master, err := masterOf(st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	events := audit.New(audit.Config{Store: st, Log: log, Master: master, Addresses: cfg.Log.Addresses, Stream: stream})
	services := assemble(cfg, log, st, keys, events)
	services.Chain = audit.NewChain(st, master, log)
	return services, nil
}

// StoreConfig is the part of the configuration that the database needs.
func StoreConfig(cfg config.Config, log *slog.Logger) store.Config {
	return store.Config{
		URL:       string(cfg.Database.URL),
		Pooler:    cfg.Database.Pooler == config.PoolerTransaction,
		Log:       log,
		Committed: audit.Writer(log),
		Echo:      cfg.Database.Echo,

		Issuer:     cfg.Auth.Issuer,
		GroupNames: cfg.Auth.GroupClaim != config.GroupIDs,

		PrivilegedMaxAge: minutes(cfg.Auth.PrivilegedMaxAgeMinutes),
		Browser:          store.BrowserTimes{Idle: time.Duration(cfg.Auth.BrowserIdleHours) * time.Hour, Max: days(cfg.Auth.BrowserMaxDays)},
		Adopt: adopt.New(adopt.Config{
			SessionMax:        days(cfg.Auth.SessionMaxDays),
			IsDefaultPassword: password.IsDefault,
		}),
	}
}

// KeysConfig is the part of the configuration that the signing keys need.
func KeysConfig(cfg config.Config, st *store.Store, log *slog.Logger) (keyring.Config, error) {
	keys := keyring.Config{
		Dir: cfg.Auth.DataDir, Algorithm: jose.Algorithm(cfg.Auth.Algorithm), Store: st, Log: log,
		AtRest: keyring.AtRest(cfg.Keys.AtRest), PublishAhead: cfg.Keys.PublishAhead, RotateEvery: cfg.Keys.RotateEvery,
		RSABits: cfg.Keys.RSABits, TokenLifetime: accessLife(cfg),
	}
	for _, algorithm := range cfg.Keys.Algorithms {
		keys.Algorithms = append(keys.Algorithms, jose.Algorithm(algorithm))
	}
	if keys.Algorithm != jose.RS256 && !slices.Contains(keys.Algorithms, jose.RS256) {
		// ID tokens are signed with it unless the client asked for another one
		// (OpenID Connect Core 15.1).
		keys.Algorithms, keys.Late = append(keys.Algorithms, jose.RS256), jose.RS256
	}
	var err error
	keys.Master, err = configuredMaster(cfg)
	return keys, err
}

// signingKeys is the keys of the installation, and of an adopted one the key of its token
// hashes.
type signingKeys struct {
	ring       *keyring.Ring
	legacyHash []byte
}

func openKeys(ctx context.Context, cfg keyring.Config) (keys signingKeys, err error) {
	adopted := adopt.Keys{Store: cfg.Store, Dir: cfg.Dir, Algorithm: cfg.Algorithm, Sealed: cfg.Sealed(), Master: cfg.Master, Log: cfg.Log}
	if err := adopted.Decide(ctx); err != nil {
		return keys, err
	}
	if keys.ring, err = keyring.Open(ctx, cfg); err != nil {
		return keys, err
	}
	keys.legacyHash, err = adopted.HashKey(ctx)
	return keys, err
}

// clientAlgorithms are those that clients may ask for. RS256, the default of ID tokens,
// is always one of them.
func clientAlgorithms(cfg config.Config) []jose.Algorithm {
	algorithms := []jose.Algorithm{jose.RS256}
	for _, name := range append([]string{cfg.Auth.Algorithm}, cfg.Keys.Algorithms...) {
		if a := jose.Algorithm(name); !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	return algorithms
}

func accessLife(cfg config.Config) time.Duration {
	return minutes(cfg.Auth.AccessTokenExpireMinutes)
}

func rotations(cfg config.Config) int {
	if !cfg.Throttle.Enabled {
		return 0
	}
	return cfg.Auth.RotationsPerFamily
}

func newPasswords(cfg config.Config) *password.Hasher {
	return password.New(password.Config{
		Cost:        cfg.Auth.BcryptCost,
		MinLength:   cfg.Auth.PasswordMinLength,
		Workers:     runtime.GOMAXPROCS(0), // unlike runtime.NumCPU it respects the CPU limit of a container
		ServiceName: cfg.FastAPI.Title,
		AllowCommon: !cfg.Auth.PasswordBlocklist,
	})
}

func assemble(cfg config.Config, log *slog.Logger, st *store.Store, keys signingKeys, events *audit.Log) *Services {
	passwords := newPasswords(cfg)
	limits := throttle.New(throttle.Config{
		Store: st, Log: log, Off: !cfg.Throttle.Enabled, WaitingRequests: cfg.Auth.AuthorizationRequests,
	})
	logins := login.New(login.Config{
		Store: st, Passwords: passwords, Audit: events, Throttle: limits, Exposed: exposed(cfg.Server),
	})
	tokens := token.New(token.Config{
		Store: st, Keys: keys.ring, LegacyHashKey: keys.legacyHash, Audit: events, Throttle: limits,
		Issuer:          cfg.Auth.Issuer,
		Audience:        cfg.Auth.Audience,
		GroupClaim:      token.GroupClaim(cfg.Auth.GroupClaim),
		AccessLifetime:  accessLife(cfg),
		RefreshLifetime: days(cfg.Auth.RefreshTokenExpireDays),

		ReuseGrace:         time.Duration(cfg.Auth.RefreshReuseGraceSeconds) * time.Second,
		RotationsPerFamily: rotations(cfg),
		FamiliesPerUser:    cfg.Auth.SessionsPerUser,
	})
	sessions := session.New(session.Config{
		Store: st, Tokens: tokens, Audit: events, Throttle: limits, Issuer: cfg.Auth.Issuer, Max: days(cfg.Auth.SessionMaxDays), Limit: cfg.Auth.SessionsPerUser,
	})
	clients := clientsConfig(cfg)
	clients.Store, clients.Audit, clients.Throttle = st, events, limits
	return &Services{
		Store: st, Keys: keys.ring, Passwords: passwords, Audit: events, Throttle: limits, Login: logins, Tokens: tokens, Sessions: sessions,
		Authorize: authorize.New(authorize.Config{Store: st, Audit: events, Throttle: limits, Issuer: cfg.Auth.Issuer, MaxOpen: cfg.Auth.AuthorizationRequests, Hint: tokens.HintedUser}),
		Logouts:   newLogouts(cfg, log, st, tokens),
		Clients:   client.New(clients),
		Directory: directory.New(directory.Config{
			Store: st, Passwords: passwords, Audit: events, Login: logins, Sessions: sessions, Throttle: limits, Log: log,
			RegistrationDefault: cfg.Auth.RegistrationEnabled,
			RegistrationOrg:     cfg.Auth.RegistrationOrg,
			GroupsOfMembers:     cfg.Groups.Visibility == config.VisibleToMembers,
			RegistrationOff:     !cfg.Auth.RegistrationEnabled && cfg.Explicit("auth.registration_enabled"),
		}),
	}
}

// newLogouts returns what tells clients that a session has ended. While the issuer is
// http on loopback, so are its clients.
func newLogouts(cfg config.Config, log *slog.Logger, st *store.Store, tokens *token.Issuer) *session.Logouts {
	issuer, err := url.Parse(cfg.Auth.Issuer)
	local := err == nil && issuer.Scheme == "http" && isLoopback(issuer.Hostname())
	return session.NewLogouts(session.LogoutConfig{
		Store: st, Tokens: tokens, Outbound: outbound.New(outbound.Config{Allow: cfg.Outbound.Allow, Loopback: local}), Log: log,
	})
}

// Close ends the deliveries to clients and the hashing threads, writes the audit events and the uses of service
// tokens, and closes the database, in that order, so that no write is pending when
// the writer ends.
func (r *Services) Close() error {
	r.Logouts.Close()
	r.Passwords.Close()
	r.Audit.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	failed := r.Tokens.WriteUses(ctx)
	if err := r.Store.Close(); err != nil {
		failed = errors.Join(failed, fmt.Errorf("close the database: %w", err))
	}
	return failed
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

var _ io.Closer = (*Services)(nil)
