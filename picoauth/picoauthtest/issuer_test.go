package picoauthtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/pico-auth/pico-auth/picoauth"
	"github.com/pico-auth/pico-auth/picoauth/picoauthtest"
)

func newGuard(t *testing.T, cfg picoauth.Config) *picoauth.Guard {
	t.Helper()
	g, err := picoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func refused(t *testing.T, err error, status int) {
	t.Helper()
	var refusal *picoauth.Refusal
	if !errors.As(err, &refusal) || refusal.Status != status {
		t.Errorf("err = %v, want a refusal with %d", err, status)
	}
}

func TestGuardAcceptsWhatTheIssuerMints(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		t.Run(algorithm, func(t *testing.T) {
			issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm(algorithm))
			g := newGuard(t, issuer.Config())
			who, err := g.Verify(t.Context(), issuer.Mint(
				picoauthtest.Claims{"sub": "ann", "role": picoauth.Operator},
				picoauthtest.Claims{"groups": []string{"g"}, "email": nil},
			))
			if err != nil {
				t.Fatal(err)
			}
			if who.Subject != "ann" || who.Role != picoauth.Operator || !who.InGroup("g") || who.Email != "" || who.OrgID != "default" || who.TokenID == "" {
				t.Errorf("%+v", who)
			}
			if issuer.Fetches() != 1 {
				t.Errorf("%d fetches, want 1", issuer.Fetches())
			}
		})
	}
}

// TestAnIndependentLibraryAcceptsOurTokens runs go-oidc's discovery, key set and
// verification against the issuer.
func TestAnIndependentLibraryAcceptsOurTokens(t *testing.T) {
	for _, algorithm := range []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.ES384, oidc.EdDSA} {
		t.Run(algorithm, func(t *testing.T) {
			issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm(algorithm), picoauthtest.WithAudience("notes"))
			var verifier *oidc.IDTokenVerifier
			for range 2 {
				// A new one for each key: a fetch that has just ended still serves
				// go-oidc's next one, so right after a rotation it may miss the key.
				provider, err := oidc.NewProvider(t.Context(), issuer.URL())
				if err != nil {
					t.Fatal(err)
				}
				verifier = provider.Verifier(&oidc.Config{ClientID: "notes", SupportedSigningAlgs: []string{algorithm}})
				token, err := verifier.Verify(t.Context(), issuer.Mint(picoauthtest.Claims{"sub": "ann"}))
				if err != nil {
					t.Fatal(err)
				}
				if token.Subject != "ann" || token.Issuer != issuer.URL() {
					t.Errorf("%+v", token)
				}
				issuer.Rotate()
			}
			for name, bad := range map[string]string{
				"expired":  issuer.Mint(picoauthtest.Claims{"exp": time.Now().Add(-time.Minute).Unix()}),
				"audience": issuer.Mint(picoauthtest.Claims{"aud": "other"}),
				"issuer":   issuer.Mint(picoauthtest.Claims{"iss": "other"}),
			} {
				if _, err := verifier.Verify(t.Context(), bad); err == nil {
					t.Errorf("%s: accepted by go-oidc", name)
				}
			}
		})
	}
}

func TestRotateAndRetire(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := newGuard(t, issuer.Config())
	oldKID, old := issuer.KeyID(), issuer.Mint()
	if _, err := g.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if newKID := issuer.Rotate(); newKID == oldKID || newKID != issuer.KeyID() {
		t.Errorf("rotated from %s to %s", oldKID, newKID)
	}
	for name, token := range map[string]string{"old": old, "new": issuer.Mint()} {
		if _, err := g.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	issuer.Retire(oldKID)
	fresh := newGuard(t, issuer.Config())
	_, err := fresh.Verify(t.Context(), old)
	refused(t, err, 401)
	if !strings.Contains(string(issuer.KeySet()), issuer.KeyID()) || strings.Contains(string(issuer.KeySet()), oldKID) {
		t.Errorf("key set %s", issuer.KeySet())
	}
}

func TestDown(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	g := newGuard(t, issuer.Config())
	issuer.SetDown(true)
	_, err := g.Verify(t.Context(), issuer.Mint())
	refused(t, err, 503)
	w := httptest.NewRecorder()
	g.Refuse(w, httptest.NewRequest("GET", "/", nil), err)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if _, err := oidc.NewProvider(t.Context(), issuer.URL()); err == nil {
		t.Error("discovery answers while down")
	}
	issuer.SetDown(false)
	if _, err := newGuard(t, issuer.Config()).Verify(t.Context(), issuer.Mint()); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	if issuer.Fetches() != 2 {
		t.Errorf("%d fetches, want the failed one and one more", issuer.Fetches())
	}
}

func TestTheClockDatesTokens(t *testing.T) {
	now := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"), picoauthtest.WithClock(func() time.Time { return now }))
	g := newGuard(t, issuer.Config())
	token := issuer.Mint()
	who, err := g.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if want := now.Add(picoauthtest.TokenLife); !who.ExpiresAt.Equal(want) {
		t.Errorf("expires %v, want %v", who.ExpiresAt, want)
	}
	now = now.Add(time.Hour)
	_, err = g.Verify(t.Context(), token)
	refused(t, err, 401)
}

func TestCacheControlIsServed(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	issuer.SetCacheControl("max-age=7")
	req, err := http.NewRequestWithContext(t.Context(), "GET", issuer.JWKSURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header.Get("Cache-Control"); got != "max-age=7" {
		t.Errorf("Cache-Control %q", got)
	}
}

func TestBadUseEndsTheTest(t *testing.T) {
	for name, use := range map[string]func(){
		"claims that are no JSON": func() {
			issuer := picoauthtest.Start(picoauthtest.WithAlgorithm("EdDSA"))
			defer issuer.Close()
			issuer.Mint(picoauthtest.Claims{"f": func() {}})
		},
		"unknown algorithm": func() { picoauthtest.Start(picoauthtest.WithAlgorithm("HS256")) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("went on")
				}
			}()
			use()
		})
	}
}

// A service must refuse the tokens of other services.
func Example() {
	issuer := picoauthtest.Start() // in a test: picoauthtest.NewIssuer(t)
	defer issuer.Close()
	guard, err := picoauth.New(issuer.Config())
	if err != nil {
		panic(err)
	}
	_, err = guard.Verify(context.Background(), issuer.Mint(picoauthtest.Claims{"aud": "another service"}))
	fmt.Println(err)
	// Output: picoauth: the token is for another audience
}

func TestEndedSessionsAreRefusedByAGuardThatAsks(t *testing.T) {
	issuer := picoauthtest.NewIssuer(t, picoauthtest.WithAlgorithm("EdDSA"))
	cfg := issuer.Config()
	cfg.ServiceToken, cfg.RevokedWithin = "pico_svc_any", time.Second
	guard, err := picoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, other := issuer.Mint(), issuer.Mint(picoauthtest.Claims{"sid": "session-2"})
	for _, token := range []string{ended, other} {
		if _, err := guard.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	issuer.EndSession("session-1")
	time.Sleep(time.Second)
	if _, err := guard.Verify(t.Context(), ended); err == nil {
		t.Error("the token of an ended session is accepted")
	}
	if _, err := guard.Verify(t.Context(), other); err != nil {
		t.Errorf("another session: %v", err)
	}
}
