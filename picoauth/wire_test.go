package picoauth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/picoauth"
)

const (
	wireIssuer   = "https://issuer.test"
	wireAudience = "tests"
)

// wire is the network between a Guard and an issuer, without sockets, so that it
// works inside a synctest bubble.
type wire struct {
	mu      sync.Mutex
	keys    map[string]*jose.PrivateKey
	status  int           // zero: 200
	header  http.Header   // of responses
	body    []byte        // nil: the key set
	delay   time.Duration // before the response
	fetches []time.Time
	address string // of the last fetch
}

func newWire(t testing.TB, kids ...string) *wire {
	t.Helper()
	w := &wire{keys: map[string]*jose.PrivateKey{}, header: http.Header{}}
	for _, kid := range kids {
		w.add(t, kid)
	}
	return w
}

func (w *wire) add(t testing.TB, kid string) *jose.PrivateKey {
	t.Helper()
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	w.change(func() { w.keys[kid] = key })
	return key
}

// change alters the wire under its lock.
func (w *wire) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.fetches)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.fetches = append(w.fetches, time.Now())
	w.address = r.URL.String()
	delay := w.delay
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status < 0 {
		return nil, errors.New("connection refused")
	}
	body, status := w.body, w.status
	if body == nil {
		body = keySetOf(w.keys)
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode: status, Header: w.header.Clone(), Request: r,
		Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

func keySetOf(keys map[string]*jose.PrivateKey) []byte {
	set := jose.JWKSet{Keys: []jose.JWK{}}
	for kid, key := range keys {
		set.Keys = append(set.Keys, key.Public().JWK(kid))
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return body
}

func (w *wire) guard(t testing.TB, change ...func(*picoauth.Config)) *picoauth.Guard {
	t.Helper()
	cfg := picoauth.Config{Issuer: wireIssuer, Audience: wireAudience, Client: &http.Client{Transport: w}}
	for _, f := range change {
		f(&cfg)
	}
	g, err := picoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// token mints a token valid for two days, longer than any cache keeps a set.
func (w *wire) token(t testing.TB, kid string) string {
	t.Helper()
	w.mu.Lock()
	key := w.keys[kid]
	w.mu.Unlock()
	return sign(t, key, kid, nil)
}

type claims = map[string]any

// sign mints a token that is valid except for the changes; nil removes a claim.
func sign(t testing.TB, key *jose.PrivateKey, kid string, changes claims) string {
	t.Helper()
	all := claims{
		"iss": wireIssuer, "aud": wireAudience, "sub": "u1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(48 * time.Hour).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return signRaw(t, key, kid, payload)
}

func signRaw(t testing.TB, key *jose.PrivateKey, kid string, payload []byte) string {
	t.Helper()
	token, err := jose.NewSigner(key, kid).Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// code is the status and code of a refusal, 0 and "" when there is none.
func code(t testing.TB, err error) (int, string) {
	t.Helper()
	if err == nil {
		return 0, ""
	}
	var refusal *picoauth.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("not a *Refusal: %v", err)
	}
	return refusal.Status, refusal.Code
}

func wantCode(t testing.TB, err error, status int) {
	t.Helper()
	if got, _ := code(t, err); got != status {
		t.Fatalf("refused with %d (%v), want %d", got, err, status)
	}
}
