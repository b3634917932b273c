package picoauthtest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/picoauth"
)

// Defaults of an Issuer.
const (
	DefaultAudience  = "pico-bot"
	DefaultAlgorithm = "RS256"
	TokenLife        = 15 * time.Minute
)

// Claims are claims of a token by name. A nil value removes a claim.
type Claims map[string]any

// Option changes an Issuer before it starts.
type Option func(*Issuer)

// WithAlgorithm makes the issuer sign with another algorithm, such as ES256,
// EdDSA or ML-DSA-65.
func WithAlgorithm(name string) Option {
	return func(i *Issuer) { i.algorithm = jose.Algorithm(name) }
}

// WithAudience sets the aud of tokens.
func WithAudience(audience string) Option { return func(i *Issuer) { i.audience = audience } }

// WithClock makes the issuer date tokens by another clock than time.Now.
func WithClock(now func() time.Time) Option { return func(i *Issuer) { i.now = now } }

// Issuer mints tokens and publishes the keys to verify them. It is safe for
// concurrent use; an internal error ends the test.
type Issuer struct {
	fail      func(error) // does not return
	server    *httptest.Server
	algorithm jose.Algorithm
	audience  string
	now       func() time.Time

	mu      sync.Mutex
	ended   []endedSession
	active  key
	listed  []key
	down    bool
	caching string
	fetches int
}

type key struct {
	id     string
	public *jose.PublicKey
	signer *jose.Signer
}

// NewIssuer starts an issuer with one RS256 key; it stops when t ends.
func NewIssuer(t testing.TB, options ...Option) *Issuer {
	t.Helper()
	i := start(func(err error) { t.Fatalf("picoauthtest: %v", err) }, options)
	t.Cleanup(i.Close)
	return i
}

// Start starts an issuer without a testing.TB, as for an example: errors panic, and
// the caller must call Close.
func Start(options ...Option) *Issuer {
	return start(func(err error) { panic(err) }, options)
}

// Close stops serving.
func (i *Issuer) Close() { i.server.Close() }

func start(fail func(error), options []Option) *Issuer {
	i := &Issuer{
		fail: fail, algorithm: DefaultAlgorithm, audience: DefaultAudience,
		now: time.Now, caching: "public, max-age=300",
	}
	for _, option := range options {
		option(i)
	}
	i.Rotate()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/auth/jwks", i.serveKeys)
	mux.HandleFunc("GET /.well-known/jwks.json", i.serveKeys)
	mux.HandleFunc("GET /api/v1/auth/revoked-jtis", i.serveEnded)
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveDiscovery)
	i.server = httptest.NewServer(mux)
	return i
}

// URL is the issuer's iss and address.
func (i *Issuer) URL() string { return i.server.URL }

// JWKSURL is the address of the issuer's key set.
func (i *Issuer) JWKSURL() string { return i.server.URL + "/api/v1/auth/jwks" }

// Config returns the configuration of a Guard that accepts the issuer's tokens.
func (i *Issuer) Config() picoauth.Config {
	return picoauth.Config{Issuer: i.URL(), Audience: i.audience, Now: i.now}
}

// Mint returns a signed token with the claims that the server's own tokens have:
// a viewer without groups in the organization "default", valid for TokenLife.
// claims replace or add claims; nothing is checked, so that invalid tokens can be
// minted, too.
func (i *Issuer) Mint(claims ...Claims) string {
	now := i.now()
	all := Claims{
		"sub": "user-1", "email": "user@example.com", "role": "viewer", "org_id": "default", "groups": []string{},
		"iss": i.URL(), "aud": i.audience, "iat": now.Unix(), "exp": now.Add(TokenLife).Unix(),
		"jti": rand.Text(), "sid": "session-1",
	}
	for _, more := range claims {
		maps.Copy(all, more)
	}
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		i.fail(fmt.Errorf("claims: %w", err))
	}
	return i.Sign(payload)
}

// Sign returns a token with exactly this payload, JSON or not.
func (i *Issuer) Sign(payload []byte) string {
	i.mu.Lock()
	signer := i.active.signer
	i.mu.Unlock()
	token, err := signer.Sign(payload)
	if err != nil {
		i.fail(err)
	}
	return token
}

// Rotate makes a new key, signs with it from now on and returns its kid. Older
// keys stay published until Retire.
func (i *Issuer) Rotate() string {
	private, err := jose.Generate(i.algorithm)
	if err != nil {
		i.fail(err)
	}
	public := private.Public()
	next := key{public.Thumbprint(), public, jose.NewSigner(private, public.Thumbprint())}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.active = next
	i.listed = append(i.listed, next)
	return next.id
}

// KeyID returns the kid of the key that signs now.
func (i *Issuer) KeyID() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active.id
}

// Retire removes a key from the published set. The active key, too, can be
// retired: the issuer then signs with a key that it does not list.
func (i *Issuer) Retire(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	listed := make([]key, 0, len(i.listed))
	for _, k := range i.listed {
		if k.id != kid {
			listed = append(listed, k)
		}
	}
	i.listed = listed
}

// EndSession lists the tokens of a session (the claim sid) as those of one that has
// ended. A Guard refuses them if its Config has a ServiceToken, any one, and
// RevokedWithin has passed.
func (i *Issuer) EndSession(sid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = append(i.ended, endedSession{sid, i.now().Add(TokenLife).Unix()})
}

type endedSession struct {
	ID    string `json:"sid"`
	Until int64  `json:"until"`
}

// serveEnded is the list of ended sessions, complete each time.
func (i *Issuer) serveEnded(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	case r.Header.Get("Authorization") == "":
		http.Error(w, "a service token is required", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may have disconnected
		"sessions": append([]endedSession{}, i.ended...), "tokens": []any{}, "version": strconv.Itoa(len(i.ended)), "next": "0",
	})
}

// SetDown makes every request fail with 503, or succeed again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// SetCacheControl changes the Cache-Control of the key set, "public, max-age=300"
// at first.
func (i *Issuer) SetCacheControl(value string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.caching = value
}

// Fetches returns how often the key set was requested, failures included.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// KeySet returns the published JWK Set, for other verifiers.
func (i *Issuer) KeySet() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keySet()
}

func (i *Issuer) keySet() []byte {
	set := jose.JWKSet{Keys: []jose.JWK{}}
	for _, k := range i.listed {
		set.Keys = append(set.Keys, k.public.JWK(k.id))
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic(err) // strings always marshal
	}
	return body
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", i.caching)
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(i.keySet()) // the client may have disconnected
}

// serveDiscovery has what OpenID Connect Discovery 3 requires, as the server has it. The
// endpoints that sign users in are named, since libraries need them, and not served.
func (i *Issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // as above
		"issuer":                                i.server.URL,
		"jwks_uri":                              i.server.URL + "/api/v1/auth/jwks",
		"authorization_endpoint":                i.server.URL + "/oauth2/authorize",
		"token_endpoint":                        i.server.URL + "/oauth2/token",
		"userinfo_endpoint":                     i.server.URL + "/oauth2/userinfo",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{string(i.algorithm)},
	})
}
