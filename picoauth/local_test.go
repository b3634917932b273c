package picoauth_test

import (
	"context"
	"testing"

	"github.com/pico-auth/pico-auth/picoauth"
)

// A replica may begin to sign with a key that this process has not heard of.
func TestLocalKeysAreRefreshedForAnUnknownKey(t *testing.T) {
	w := newWire(t, "a", "b")
	a, b := w.token(t, "a"), w.token(t, "b")
	document, asked := keySetOf(w.keys), 0
	whole := document
	delete(w.keys, "b")
	document = keySetOf(w.keys)
	g := w.guard(t, func(cfg *picoauth.Config) {
		cfg.LocalKeys = func() []byte { return document }
		cfg.LocalRefresh = func(context.Context) { asked++ }
	})
	if err := verify(t, g, a); err != nil || asked != 0 {
		t.Fatalf("a known key: %v, asked %d times", err, asked)
	}
	wantCode(t, verify(t, g, b), 401)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	g = w.guard(t, func(cfg *picoauth.Config) {
		cfg.LocalKeys = func() []byte { return document }
		cfg.LocalRefresh = func(context.Context) { document = whole }
	})
	if err := verify(t, g, b); err != nil {
		t.Errorf("after the refresh: %v", err)
	}
}
