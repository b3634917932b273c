package picoauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
)

const (
	maxLeeway     = 60 * time.Second
	defaultLeeway = 30 * time.Second
)

// Config says which tokens a Guard accepts. Issuer and Audience are required.
type Config struct {
	// Issuer is the exact iss of acceptable tokens, such as "https://auth.example.com".
	Issuer string
	// Audience must be the aud of a token, or one of several.
	Audience string
	// Algorithms limits the accepted signature algorithms, by their JOSE names.
	// Nil: every algorithm that this package supports.
	Algorithms []string

	// JWKSURL is the address of the key set. Empty: Issuer + "/api/v1/auth/jwks". It
	// may be on another host than the issuer, such as the address inside a container
	// network; Issuer is compared with iss only, and need not be a URL then. It must
	// be https, except for loopback hosts.
	JWKSURL string
	// AllowHTTP allows the key set to be fetched over plain http from any host.
	// DANGER: an attacker who can change that response, by a spoofed name, address or
	// route, chooses the keys, and can then make tokens of any user and role that
	// this service accepts. Set it only if the connection stays inside one
	// container network, or inside a mesh that encrypts and authenticates it
	// outside of this process. No proxy of the environment is used then. False: plain http is for loopback hosts only.
	AllowHTTP bool
	// Client fetches the key set; its redirect policy is replaced by one that
	// follows none, and each fetch ends after 5 seconds. Nil: a client of its own.
	Client *http.Client
	// CacheTTL is how long a key set is cached when the response has no max-age,
	// between one minute and one hour. Zero: 5 minutes.
	CacheTTL time.Duration

	// MaxOutage is how long tokens are accepted while the issuer cannot be reached, by
	// its last keys and its last list of revoked tokens. Zero: 1 hour.
	MaxOutage time.Duration

	// ServiceToken (pico_svc_...) makes the Guard ask the issuer which tokens were
	// revoked and which sessions have ended, and refuse those. Empty: a token is accepted
	// until it expires.
	ServiceToken string
	// RevokedWithin is how soon after the end of its session, or after the revocation of
	// its key, a token is refused, at least 1 second; the issuer is asked a little more
	// often, if there are requests. Without a ServiceToken it has no effect. Zero: 15
	// seconds.
	RevokedWithin time.Duration
	// RevokedURL is the address of the list of revoked tokens; the ServiceToken is sent
	// to it, so the rules of JWKSURL apply. Empty: Issuer + "/api/v1/auth/revoked-jtis".
	RevokedURL string

	// Leeway is how far the clocks of issuer and service may differ, at most a
	// minute. Negative: not at all. Zero: 30 seconds.
	Leeway time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Log receives failed fetches (warning) and refused tokens (debug),
	// never with any part of a token. Nil: nothing is logged.
	Log *slog.Logger
}

// keySource provides verification keys: of another server or of this process.
type keySource interface {
	// key returns the key of that id, or the *Refusal of the request.
	key(ctx context.Context, id string) (*jose.PublicKey, error)
	// revoked reports whether a token is known to be revoked, alone or with its session.
	// It waits for nothing: call it after key.
	revoked(who *SecurityContext) bool
}

// Guard verifies bearer tokens. It is safe for concurrent use and needs no
// closing. Create one with New and keep it: it owns the cache of keys.
type Guard struct {
	keys       keySource
	rules      rules
	algorithms []jose.Algorithm
	now        func() time.Time
	log        *slog.Logger
	known      jose.Memory // tokens are presented many times
}

// New returns a Guard, or an error that says what is wrong with cfg. It fetches
// nothing: the issuer may start later than the service.
func New(cfg Config) (*Guard, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("picoauth: Issuer and Audience are required")
	}
	algorithms, err := algorithmsNamed(cfg.Algorithms)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		rules:      rules{issuer: cfg.Issuer, audience: cfg.Audience},
		algorithms: algorithms,
		now:        cfg.Now,
		log:        cfg.Log,
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	local := localTransport(cfg.Client)
	if g.rules.early, g.rules.late, err = leeway(cfg.Leeway, local != nil); err != nil {
		return nil, err
	}
	if local != nil {
		g.keys = &localKeys{from: local}
		return g, nil
	}
	if g.keys, err = newRemoteKeys(cfg, g.now, g.log); err != nil {
		return nil, err
	}
	return g, nil
}

// algorithmsNamed returns the accepted algorithms, all of them for nil.
func algorithmsNamed(names []string) ([]jose.Algorithm, error) {
	if names == nil {
		return jose.Algorithms(), nil
	}
	accepted := make([]jose.Algorithm, 0, len(names))
	for _, name := range names {
		algorithm, err := jose.ParseAlgorithm(name)
		if err != nil {
			return nil, fmt.Errorf("picoauth: Algorithms: %q: %w", name, err)
		}
		accepted = append(accepted, algorithm)
	}
	if len(accepted) == 0 {
		return nil, errors.New("picoauth: an empty list of Algorithms would refuse every token")
	}
	return accepted, nil
}

// leeway returns the tolerance before and after the validity of a token. With
// local keys an expired token has no tolerance by default: one clock wrote and reads
// its exp.
func leeway(given time.Duration, local bool) (early, late time.Duration, err error) {
	switch {
	case given > maxLeeway:
		return 0, 0, fmt.Errorf("picoauth: Leeway is %v; at most %v is allowed", given, maxLeeway)
	case given > 0:
		return given, given, nil
	case given < 0:
		return 0, 0, nil
	case local:
		// Replicas of one issuer share keys but not exactly a clock, and iat is
		// truncated to whole seconds: a token may look younger than it is, never older.
		return defaultLeeway, 0, nil
	default:
		return defaultLeeway, defaultLeeway, nil
	}
}

// Verify returns the user of a token. Its error is always a *Refusal. The context
// limits the wait for a key set, not the fetch that other callers wait for, too.
func (g *Guard) Verify(ctx context.Context, token string) (*SecurityContext, error) {
	if len(token) > jose.MaxToken {
		return nil, invalidToken("the token is too long", nil)
	}
	var keyErr error
	payload, _, err := g.known.Verify(token, func(h jose.Header) (*jose.PublicKey, error) {
		var key *jose.PublicKey
		key, keyErr = g.key(ctx, h)
		return key, keyErr
	})
	switch {
	case keyErr != nil:
		return nil, keyErr
	case err != nil:
		return nil, invalidToken(describe(err), err)
	}
	who, err := g.rules.check(payload, g.now())
	if err != nil {
		return nil, err
	}
	if g.keys.revoked(who) {
		return nil, invalidToken("the token was revoked, or its session has ended", nil)
	}
	return who, nil
}

// key finds the key that must have signed the token. jose checks that the header's
// algorithm is the key's.
func (g *Guard) key(ctx context.Context, h jose.Header) (*jose.PublicKey, error) {
	if !slices.Contains(g.algorithms, h.Algorithm) {
		return nil, invalidToken("the token is signed with an algorithm that is not accepted", nil)
	}
	if h.KeyID == "" {
		return nil, invalidToken("the token does not name its key", nil)
	}
	return g.keys.key(ctx, h.KeyID)
}

// describe turns an error of jose into a fixed sentence, so that no part of a
// token can be in a response.
func describe(err error) string {
	switch {
	case errors.Is(err, jose.ErrSignature):
		return "the token's signature does not verify"
	case errors.Is(err, jose.ErrAlgorithm):
		return "the token is signed with an algorithm that is not accepted"
	default:
		return "the token is malformed"
	}
}

// Authenticate returns the user that makes a request. Its error is ErrNoToken when the
// request has no token, otherwise a *Refusal; Refuse responds with either.
func (g *Guard) Authenticate(r *http.Request) (*SecurityContext, error) {
	token, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	return g.Verify(r.Context(), token)
}

// Require is middleware that refuses requests without a valid token. Handlers
// get the user with FromContext.
func (g *Guard) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.Authenticate(r)
		g.admit(w, r, next, who, err)
	})
}

// Optional is middleware that lets requests without a token pass, without a
// SecurityContext, and refuses those with an invalid one. Another Authorization scheme
// than Bearer counts as no token.
func (g *Guard) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.Authenticate(r)
		if errors.Is(err, ErrNoToken) {
			next.ServeHTTP(w, r)
			return
		}
		g.admit(w, r, next, who, err)
	})
}

func (g *Guard) admit(w http.ResponseWriter, r *http.Request, next http.Handler, who *SecurityContext, err error) {
	if err != nil {
		g.Refuse(w, r, err)
		return
	}
	next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), who)))
}

// Refuse responds to a request according to an error of Authenticate, Verify or the
// caller's own *Refusal. Any other error becomes a 500 without details.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	refusal := asRefusal(err)
	g.log.DebugContext(r.Context(), "request refused", "status", refusal.Status, "code", refusal.Code, "cause", err)
	refusal.write(w)
}
