package picoauth_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pico-auth/pico-auth/picoauth"
)

const serviceToken = "pico_svc_test"

// endings is an issuer's list of ended sessions beside its key set.
type endings struct {
	*wire

	mu     sync.Mutex
	ended  []string // in order; the version is their number
	asked  []string // queries
	fail   int      // status; zero: none
	spared int      // responses without a body
	until  time.Duration
}

// bubble is synctest.Test that ends when the fetches in the background have ended.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t)
		time.Sleep(time.Minute)
	})
}

func newEndings(t *testing.T) *endings { return &endings{wire: newWire(t, "a"), until: time.Hour} }

func (e *endings) end(sessions ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = append(e.ended, sessions...)
}

func (e *endings) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *endings) requests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

func (e *endings) lastAsked() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[len(e.asked)-1]
}

// unchanged is the number of responses that nothing is new.
func (e *endings) unchanged() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.spared
}

func (e *endings) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/revoked-jtis") {
		return e.wire.RoundTrip(r)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.RawQuery)
	status := e.fail
	switch {
	case status != 0:
	case r.Header.Get("Authorization") != "Bearer "+serviceToken || r.URL.Query().Get("format") != "sessions":
		status = http.StatusUnauthorized
	default:
		status = http.StatusOK
	}
	body, err := json.Marshal(e.list(len(r.URL.Query().Get("since"))))
	if err != nil {
		return nil, err
	}
	header := http.Header{"Etag": {strconv.Quote(r.URL.RawQuery + strings.Join(e.ended, ","))}}
	if status == http.StatusOK && r.Header.Get("If-None-Match") == header.Get("Etag") {
		status, body = http.StatusNotModified, nil
		e.spared++
	}
	return &http.Response{StatusCode: status, Header: header, Request: r, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

// list returns what ended after the first n-1; its next is as long as their number.
// The last entry comes again, as from the server.
func (e *endings) list(n int) map[string]any {
	sessions, tokens := []map[string]any{}, []map[string]any{}
	for _, id := range e.ended[max(n-2, 0):] {
		until := time.Now().Add(e.until).Unix()
		if jti, ok := strings.CutPrefix(id, "jti "); ok {
			tokens = append(tokens, map[string]any{"jti": jti, "until": until})
		} else {
			sessions = append(sessions, map[string]any{"sid": id, "until": until})
		}
	}
	next := strings.Repeat("9", len(e.ended)+1)
	return map[string]any{"sessions": sessions, "tokens": tokens, "version": next + "0", "next": next}
}

func (e *endings) guard(t *testing.T, change ...func(*picoauth.Config)) *picoauth.Guard {
	t.Helper()
	return e.wire.guard(t, append(change, func(cfg *picoauth.Config) {
		cfg.Client, cfg.ServiceToken = &http.Client{Transport: e}, serviceToken
	})...)
}

func (e *endings) session(t *testing.T, id string) string {
	t.Helper()
	return sign(t, e.keys["a"], "a", claims{"sid": id})
}

func TestTokensOfAnEndedSessionAreRefusedWithinTheBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		e.end("before")
		g := e.guard(t)
		wantCode(t, verify(t, g, e.session(t, "before")), 401)
		for _, id := range []string{"one", "two", "three"} {
			token := e.session(t, id)
			if err := verify(t, g, token); err != nil {
				t.Fatal(err)
			}
			e.end(id)
			time.Sleep(15 * time.Second)
			wantCode(t, verify(t, g, token), 401)
		}
		if err := verify(t, g, e.session(t, "four")); err != nil {
			t.Errorf("another session: %v", err)
		}
		if err := verify(t, g, e.token(t, "a")); err != nil {
			t.Errorf("a token without a session: %v", err)
		}
		if last := e.lastAsked(); !strings.Contains(last, "since=9999") {
			t.Errorf("asked for everything again: %s", last)
		}
	})
}

func TestABusyServiceNeverWaitsForTheListOfEndedSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		g := e.guard(t)
		token := e.session(t, "one")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		e.change(func() { e.delay = time.Second })
		for range 6000 {
			time.Sleep(100 * time.Millisecond)
			before := time.Now()
			if err := verify(t, g, token); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(before); waited > 0 {
				t.Fatalf("waited %v", waited)
			}
		}
		if n := e.requests(); n < 600/15 || n > 600/7+1 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := e.unchanged(); n < 600/15-2 {
			t.Errorf("only %d responses that nothing is new", n)
		}
	})
}

func TestAnIdleServiceAsksForNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		g := e.guard(t)
		token := e.session(t, "one")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if n := e.requests(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		e.end("one")
		wantCode(t, verify(t, g, token), 401) // the first request afterwards waits for the list
	})
}

func TestServicesThatStartTogetherDoNotAskTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		at := map[time.Time]bool{}
		for range 20 {
			e := newEndings(t)
			g := e.guard(t)
			token := e.session(t, "one")
			_ = verify(t, g, token)
			start := time.Now()
			for e.requests() < 2 {
				time.Sleep(10 * time.Millisecond)
				_ = verify(t, g, token)
			}
			at[time.Time{}.Add(time.Since(start))] = true
		}
		if len(at) < 10 {
			t.Errorf("%d different pauses of 20", len(at))
		}
	})
}

func TestARevokedKeyIsRefusedWithinTheBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		e.add(t, "b")
		e.header.Set("Cache-Control", "max-age=300")
		g := e.guard(t, func(cfg *picoauth.Config) { cfg.RevokedWithin = 5 * time.Second })
		token := e.session(t, "one")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		e.change(func() { delete(e.keys, "a") })
		time.Sleep(5 * time.Second)
		wantCode(t, verify(t, g, token), 401)
	})
}

func TestASingleTokenIsRevoked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		g := e.guard(t)
		revoked := sign(t, e.keys["a"], "a", claims{"sid": "one", "jti": "r"})
		e.end("jti r")
		wantCode(t, verify(t, g, revoked), 401)
		if err := verify(t, g, sign(t, e.keys["a"], "a", claims{"sid": "one", "jti": "s"})); err != nil {
			t.Errorf("another token of the session: %v", err)
		}
	})
}

func TestEntriesAreForgottenWhenNoTokenOfTheirsIsValid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		e.until = time.Minute
		e.end("one")
		g := e.guard(t)
		token := e.session(t, "one")
		wantCode(t, verify(t, g, token), 401)
		e.set(func() { e.ended = nil })
		for range 20 { // the issuer has forgotten it, too
			time.Sleep(10 * time.Second)
			_ = verify(t, g, token)
		}
		if err := verify(t, g, token); err != nil { // such a token would have expired
			t.Errorf("the entry is kept: %v", err)
		}
	})
}

func TestWithoutAListTokensAreAcceptedForTheOutageOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		var log bytes.Buffer
		e.set(func() { e.fail = http.StatusUnauthorized })
		g := e.guard(t, func(cfg *picoauth.Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		token := e.session(t, "one")
		wantCode(t, verify(t, g, token), 503) // the service token was never good
		if !strings.Contains(log.String(), "refused the service token with status 401") || strings.Contains(log.String(), serviceToken) {
			t.Errorf("log %s", log.String())
		}
		e.set(func() { e.fail = 0 })
		time.Sleep(2 * time.Second)
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		e.end("two")
		e.set(func() { e.fail = http.StatusInternalServerError })
		time.Sleep(59 * time.Minute)
		if err := verify(t, g, token); err != nil {
			t.Errorf("during an outage: %v", err)
		}
		time.Sleep(2 * time.Minute)
		wantCode(t, verify(t, g, token), 503)
	})
}

func TestAMalformedListIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t, func(cfg *picoauth.Config) {
			cfg.ServiceToken = serviceToken
		}) // it responds with the key set at each address
		wantCode(t, verify(t, g, w.token(t, "a")), 503)
	})
}

func TestTheServiceTokenIsSentToASafeAddressOnly(t *testing.T) {
	for name, change := range map[string]func(*picoauth.Config){
		"plain http":        func(cfg *picoauth.Config) { cfg.RevokedURL = "http://auth.example.com/list" },
		"no URL":            func(cfg *picoauth.Config) { cfg.RevokedURL = "list" },
		"too often":         func(cfg *picoauth.Config) { cfg.RevokedWithin = time.Millisecond },
		"before":            func(cfg *picoauth.Config) { cfg.RevokedWithin = -time.Second },
		"a line break":      func(cfg *picoauth.Config) { cfg.ServiceToken = "pico_svc_a\n" },
		"a negative outage": func(cfg *picoauth.Config) { cfg.MaxOutage = -time.Second },
	} {
		cfg := picoauth.Config{Issuer: wireIssuer, Audience: wireAudience, ServiceToken: serviceToken}
		change(&cfg)
		if _, err := picoauth.New(cfg); err == nil || strings.Contains(err.Error(), "pico_svc") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := picoauth.New(picoauth.Config{Issuer: wireIssuer, Audience: wireAudience, ServiceToken: serviceToken, RevokedURL: "http://pico-auth:8100/list", AllowHTTP: true}); err != nil {
		t.Error(err)
	}
}

// A session comes again when another of its tokens is listed, which may expire earlier.
func TestASessionStaysEndedUntilItsLastTokenExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEndings(t)
		g := e.guard(t)
		token := e.session(t, "one")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		for _, until := range []time.Duration{10 * time.Minute, time.Minute} {
			e.set(func() { e.until = until })
			e.end("one")
			time.Sleep(15 * time.Second)
			wantCode(t, verify(t, g, token), 401)
		}
		e.end("another")
		for range 8 {
			time.Sleep(30 * time.Second)
			_ = verify(t, g, e.session(t, "other")) // asks the issuer
		}
		wantCode(t, verify(t, g, token), 401)
	})
}
