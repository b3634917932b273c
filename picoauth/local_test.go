package picoauth_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// A replica may start to sign with a key that this process does not know yet.
func TestLocalKeysAreRefreshedForAnUnknownKey(t *testing.T) {
	w := newWire(t, "a", "b")
	a, b := w.token(t, "a"), w.token(t, "b")
	document, asked := keySetOf(w.keys), 0
	whole := document
	delete(w.keys, "b")
	document = keySetOf(w.keys)
	g := w.guard(t, func(cfg *picoauth.Config) {
		cfg.Client = localkeys.Client(func() []byte { return document }, func(context.Context) { asked++ })
	})
	if err := verify(t, g, a); err != nil || asked != 0 {
		t.Fatalf("a known key: %v, %d refreshes", err, asked)
	}
	wantCode(t, verify(t, g, b), 401)
	if asked != 1 {
		t.Errorf("%d refreshes", asked)
	}
	g = w.guard(t, func(cfg *picoauth.Config) {
		cfg.Client = localkeys.Client(func() []byte { return document }, func(context.Context) { document = whole })
	})
	if err := verify(t, g, b); err != nil {
		t.Errorf("after the refresh: %v", err)
	}
}

// The client of local keys is an HTTP client like any other, for code that does
// not recognize it.
func TestTheClientOfLocalKeysAlsoServesRequests(t *testing.T) {
	w := newWire(t, "a")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://issuer.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := localkeys.Client(func() []byte { return keySetOf(w.keys) }, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !bytes.Equal(body, keySetOf(w.keys)) {
		t.Errorf("%d %s, %v", res.StatusCode, body, err)
	}
}
