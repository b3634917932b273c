package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/picoauth"
)

// rotations are the algorithms that the keys are rotated to under load. With a
// leading plus the servers are restarted one after another with that
// auth.algorithm; else `key rotate` is run.
var rotations = []string{
	"+ES256", "ES256", "EdDSA", "RS256", "+ML-DSA-65", "ML-DSA-44", "EdDSA", "RS256", "RS256", "ES256",
}

// TestRotationUnderLoadFailsNoRequest runs with realistic times if ROTATIONS=n is
// in the environment: keys are published for 65 seconds, tokens are valid for a
// minute, and keys are removed during the test.
func TestRotationUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	path := program(t)
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		testRotation(t, path, "sqlite:///"+filepath.ToSlash(filepath.Join(t.TempDir(), "auth.db")), 1)
	})
	t.Run("three replicas", func(t *testing.T) {
		t.Parallel()
		testRotation(t, path, storetest.EmptyPostgres(t), 3, "AUTH_MASTER_KEY="+masterKey(1))
	})
}

func testRotation(t *testing.T, path, database string, n int, env ...string) {
	plan, ahead, slow := rotations, "3s", false
	if os.Getenv("TEST_FULL") == "" {
		plan = []string{"+ES256", "ES256", "EdDSA", "+ML-DSA-65", "RS256"} // one of each kind
	}
	if count, err := strconv.Atoi(os.Getenv("ROTATIONS")); err == nil && count > 0 {
		plan, ahead, slow = rotations[:min(count, len(rotations))], "65s", true
		env = append(env, "AUTH_ACCESS_TOKEN_EXPIRE_MINUTES=1")
	}
	w := &rotating{fleet: newFleet(t, path, database, n, append(env, "KEYS_PUBLISH_AHEAD="+ahead, "AUTH_SESSIONS_PER_USER=100000")...), slow: slow}
	w.store = storetest.OpenURL(t, database)
	w.verifiers(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { w.session(ctx) })
	}
	all.Go(func() { w.reverify(ctx) })
	first := w.active().KID
	for i, step := range plan {
		if i%2 == 0 && !slow {
			w.freshGuard()
		}
		w.rotate(strings.TrimPrefix(step, "+"), strings.HasPrefix(step, "+"))
		t.Logf("%2d: %-9s signs; %d tokens, %d verifications", i+1, w.active().Algorithm, w.minted.Load(), w.verified.Load())
	}
	little := func() bool {
		return w.minted.Load() < int64(5*len(plan)) || w.verified.Load() < 5*w.minted.Load()
	}
	time.Sleep(time.Second)
	for begin := time.Now(); little() && time.Since(begin) < server.Patience; {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	all.Wait()
	if len(w.refusals) > 0 {
		t.Errorf("%d refusals, such as:\n%s", len(w.refusals), strings.Join(w.refusals[:min(len(w.refusals), 10)], "\n"))
	}
	if little() {
		t.Errorf("%d tokens, %d verifications: too little load", w.minted.Load(), w.verified.Load())
	}
	want := store.KeyRetiring
	if slow && len(plan) > 3 {
		want = store.KeyRemoved
	}
	if set := w.set(); len(set.Keys) != len(plan)+1 || set.Key(first).Status != want {
		t.Errorf("%d keys, the first is %s", len(set.Keys), set.Key(first).Status)
	}
}

// rotating is a load of sessions, and of services that verify their tokens,
// while the keys are rotated.
type rotating struct {
	*fleet
	store *store.Store
	slow  bool

	guard     atomic.Pointer[picoauth.Guard]
	verify    map[string]func(token string) error
	published string // the URL of the key set

	mu       sync.Mutex
	tokens   []minted
	refusals []string

	minted, verified atomic.Int64
}

type minted struct {
	token, algorithm string
	until            time.Time // when it expires
}

func (w *rotating) set() store.KeySet {
	w.t.Helper()
	set, err := w.store.SigningKeys(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

// active is the key that signs the tokens of the API. RS256 has an active key for ID
// tokens besides.
func (w *rotating) active() store.SigningKey {
	w.t.Helper()
	for _, key := range w.set().Keys {
		if key.Status == store.KeyActive && key.API {
			return key
		}
	}
	w.t.Fatal("no key signs")
	return store.SigningKey{}
}

// rotate waits until the new key signs and is known to all verifiers.
func (w *rotating) rotate(algorithm string, restart bool) {
	w.t.Helper()
	before := w.active().KID
	for _, r := range w.replicas {
		r.env = append(r.env, "AUTH_ALGORITHM="+algorithm)
		if restart {
			r.stop()
			r.start()
			r.ready()
		}
	}
	if !restart {
		cmd := exec.Command(w.replicas[0].path, "key", "rotate")
		cmd.Env, cmd.Dir = w.replicas[0].env, strings.TrimPrefix(w.replicas[0].env[0], "HOME=")
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("%v\n%s", err, out)
		}
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		active := w.active()
		if active.KID != before && active.Algorithm == algorithm && w.verifies(active.KID) {
			return
		}
		if time.Since(begin) > 2*server.Patience {
			w.t.Fatalf("%s does not sign\n%s", algorithm, w.replicas[0].log)
		}
	}
}

// verifies reports whether a new token is one of the key, after all verifiers have checked
// it: the next restart may take longer than they wait for a set with a key that they lack.
func (w *rotating) verifies(kid string) bool {
	begin := time.Now()
	a, _, err := w.patient("POST", auth+"/login", "", body{"email": rootEmail, "password": rootPassword})
	token := a.text("access_token")
	if err != nil || a.status != 200 || !strings.Contains(headerOf(token), kid) {
		return false
	}
	w.check(minted{token: token, algorithm: algorithmOf(token), until: begin.Add(30 * time.Second)})
	return true
}

// session logs in and refreshes, and verifies each access token at once.
func (w *rotating) session(ctx context.Context) {
	refresh := ""
	for n := 0; ctx.Err() == nil; n++ {
		var a response
		var again bool
		var err error
		begin := time.Now()
		if refresh == "" || n%8 == 0 {
			a, again, err = w.patient("POST", auth+"/login", "", body{"email": rootEmail, "password": rootPassword})
		} else {
			a, again, err = w.patient("POST", auth+"/refresh", "", body{"refresh_token": refresh})
		}
		if err != nil || a.status != 200 {
			if !again {
				w.refuse("a session", fmt.Errorf("%d %v %w", a.status, a.fields, err))
			}
			refresh = ""
			continue
		}
		refresh = a.text("refresh_token")
		lifetime, _ := a.fields["expires_in"].(float64)
		token := minted{token: a.text("access_token"), until: begin.Add(time.Duration(lifetime-2) * time.Second)}
		token.algorithm = algorithmOf(token.token)
		w.minted.Add(1)
		w.check(token)
		w.mu.Lock()
		w.tokens = append(w.tokens, token)
		w.mu.Unlock()
		time.Sleep(2 * pace)
	}
}

// reverify verifies earlier tokens until they expire.
func (w *rotating) reverify(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		w.tokens = slices.DeleteFunc(w.tokens, func(m minted) bool { return time.Now().After(m.until) })
		var some []minted
		for range min(len(w.tokens), 4) {
			some = append(some, w.tokens[rand.IntN(len(w.tokens))])
		}
		w.mu.Unlock()
		for _, token := range some {
			w.check(token)
		}
		time.Sleep(2 * pace)
	}
}

func headerOf(token string) string {
	header, _, err := jose.Inspect(token)
	if err != nil {
		return err.Error()
	}
	return string(header)
}

func algorithmOf(token string) string {
	_, rest, _ := strings.Cut(headerOf(token), `"alg":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// check verifies a token with every verifier that supports its algorithm.
func (w *rotating) check(m minted) {
	if a, _, err := w.patient("GET", auth+"/me", m.token, nil); err != nil || a.status != 200 {
		w.refuse("the server, "+m.algorithm, fmt.Errorf("%d %v %w", a.status, a.fields, err))
	}
	w.verified.Add(1)
	for name, verify := range w.verify {
		if strings.HasPrefix(m.algorithm, "ML-DSA") && strings.Contains(name, "jose") {
			continue
		}
		if time.Now().After(m.until) {
			return
		}
		w.verified.Add(1)
		if err := verify(m.token); err != nil {
			w.refuse(name+", "+m.algorithm, err)
		}
	}
}

func (w *rotating) refuse(verifier string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals = append(w.refusals, time.Now().Format("05.000 ")+verifier+":  "+err.Error())
}

// patient retries while a server restarts.
func (w *rotating) patient(method, path, bearer string, body any) (a response, again bool, err error) {
	for begin := time.Now(); time.Since(begin) < server.Patience; time.Sleep(20 * time.Millisecond) {
		a, again, err = w.call(method, path, bearer, body)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return a, again, err
		}
	}
	return a, again, err
}

// RoundTrip fetches the key set from one server after another.
func (w *rotating) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	for begin := time.Now(); time.Since(begin) < server.Patience; time.Sleep(20 * time.Millisecond) {
		base := w.replicas[int(w.next.Add(1))%len(w.replicas)].base
		req = req.Clone(req.Context())
		req.URL.Host = strings.TrimPrefix(base, "http://")
		resp, err = w.client.Transport.RoundTrip(req)
		cut := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
		if !cut {
			return resp, err
		}
	}
	return resp, err
}

// freshGuard creates a Guard with an empty cache. A Guard caches a key set for at
// least a minute. For unknown keys in tokens it fetches the set two times at once
// and then once per half minute, which keys that are published for seconds would
// exceed within two rotations.
func (w *rotating) freshGuard() {
	guard, err := picoauth.New(picoauth.Config{
		Issuer: "http://localhost:8100", Audience: "pico-bot", JWKSURL: w.published, Client: &http.Client{Transport: w},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.guard.Store(guard)
}

// verifiers creates the verifiers: picoauth; go-oidc, which caches the key set
// until a token names an unknown key; keyfunc, which fetches it at intervals, here
// of its max-age, and at no other time; and one that caches it for exactly its
// max-age and does not fetch it for an unknown key.
func (w *rotating) verifiers(ctx context.Context) {
	w.published = "http://127.0.0.1:1" + auth + "/jwks"
	client := &http.Client{Transport: w, Timeout: server.Patience}
	w.freshGuard()
	strict := &strictCache{client: client, url: w.published}
	if _, err := strict.key(""); err != nil {
		w.t.Fatal(err)
	}
	remote := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, client), w.published)
	every := max(strict.maxAge, time.Second)
	timed := &timedSet{Storage: jwkset.NewMemoryStorage(), RoundTripper: w}
	storage, err := jwkset.NewStorageFromHTTP(w.published, jwkset.HTTPClientStorageOptions{
		Ctx: ctx, Client: &http.Client{Transport: timed}, RefreshInterval: every, Storage: timed,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	interval, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage})
	if err != nil {
		w.t.Fatal(err)
	}
	w.verify = map[string]func(string) error{
		"picoauth": func(token string) error {
			_, err := w.guard.Load().Verify(context.Background(), token)
			return err
		},
		"jose by go-oidc": func(token string) error {
			_, err := remote.VerifySignature(context.Background(), token)
			return err
		},
		"jose by keyfunc": func(token string) error {
			late := timed.age() > every+500*time.Millisecond
			_, err := jwt.Parse(token, interval.Keyfunc, jwt.WithLeeway(time.Second))
			if late {
				return nil // this machine had no time to fetch the set when it was due
			}
			return err
		},
		"strict cache": func(token string) error {
			_, _, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return strict.key(h.KeyID) })
			return err
		},
	}
}

// timedSet knows when the key set that it has was asked for.
type timedSet struct {
	jwkset.Storage
	http.RoundTripper
	asked, has atomic.Int64 // Unix nanoseconds
}

func (s *timedSet) RoundTrip(req *http.Request) (*http.Response, error) {
	s.asked.Store(time.Now().UnixNano())
	return s.RoundTripper.RoundTrip(req)
}

func (s *timedSet) KeyReplaceAll(ctx context.Context, keys []jwkset.JWK) error {
	defer func() { s.has.Store(s.asked.Load()) }()
	return s.Storage.KeyReplaceAll(ctx, keys)
}

func (s *timedSet) age() time.Duration { return time.Duration(time.Now().UnixNano() - s.has.Load()) }

// strictCache follows Cache-Control strictly.
type strictCache struct {
	client *http.Client
	url    string
	maxAge time.Duration

	mu    sync.Mutex
	keys  map[string]*jose.PublicKey
	until time.Time
}

func (c *strictCache) key(kid string) (*jose.PublicKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); !now.Before(c.until) {
		if err := c.fetch(now); err != nil {
			return nil, err
		}
	}
	if c.keys[kid] == nil && kid != "" {
		return nil, fmt.Errorf("%s is not in the set, which is cached for another %v", kid, time.Until(c.until))
	}
	return c.keys[kid], nil
}

func (c *strictCache) fetch(now time.Time) error {
	resp, err := c.client.Get(c.url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	seconds := 0 // no-cache: the server has not read the database recently
	if _, age, named := strings.Cut(resp.Header.Get("Cache-Control"), "max-age="); named {
		if seconds, err = strconv.Atoi(age); err != nil {
			return err
		}
	}
	c.maxAge = time.Duration(seconds) * time.Second
	c.until = now.Add(c.maxAge)
	c.keys, err = jose.ParseJWKSet(text)
	return err
}
