package picoauth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pico-auth/pico-auth/internal/localkeys"
	"github.com/pico-auth/pico-auth/picoauth"
)

// verify is Verify with a context of its own.
func verify(t testing.TB, g *picoauth.Guard, token string) error {
	t.Helper()
	_, err := g.Verify(context.Background(), token)
	return err
}

func wantFetches(t testing.TB, w *wire, want int) {
	t.Helper()
	synctest.Wait()
	if got := w.count(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

func TestKeysAreFetchedOnceForAllRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.delay = time.Second
		g := w.guard(t)
		token := w.token(t, "a")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := verify(t, g, token); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantFetches(t, w, 1)
	})
}

func TestACancelledRequestDoesNotCancelTheFetchForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.delay = 2 * time.Second
		g := w.guard(t)
		token := w.token(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // the one that starts the fetch
			_, err := g.Verify(ctx, token)
			wantCode(t, err, 503)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := verify(t, g, token); err != nil {
				t.Errorf("cancelled, too: %v", err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		wantFetches(t, w, 1)
	})
}

func TestCacheControlIsFollowedWithinBounds(t *testing.T) {
	for header, lifetime := range map[string]time.Duration{
		"":                                5 * time.Minute,
		"public":                          5 * time.Minute,
		"max-age=600":                     10 * time.Minute,
		"public, MAX-AGE=600":             10 * time.Minute,
		`max-age="600"`:                   10 * time.Minute,
		"max-age=30":                      30 * time.Second,
		"max-age=5":                       5 * time.Second,
		"max-age=0":                       time.Minute,
		"max-age=31536000":                time.Hour,
		"max-age=99999999999999999999999": 5 * time.Minute,
		"max-age=-1":                      5 * time.Minute,
		"max-age=600, no-store":           time.Minute,
		"no-store, max-age=5":             time.Minute,
		"no-cache":                        time.Minute,
	} {
		t.Run(header, func(t *testing.T) { followed(t, lifetime, "Cache-Control", header) })
	}
}

// TestTheAgeOfAResponseIsSubtracted: in a cache a set becomes as old as Age says, and
// the key that was published after it must be known when it signs.
func TestTheAgeOfAResponseIsSubtracted(t *testing.T) {
	for _, c := range []struct {
		control, age string
		lifetime     time.Duration
	}{
		{"max-age=295", "0", 295 * time.Second},
		{"max-age=295", "95", 200 * time.Second},
		{"public, max-age=295", " 245 ", 50 * time.Second},
		{"max-age=295", "245, 3", 50 * time.Second},
		{"max-age=295", "294", time.Second},
		{"max-age=295", "295", time.Minute},
		{"max-age=295", "4000", time.Minute},
		{"max-age=295", "18446744073709551615", time.Minute},
		{"max-age=295", "99999999999999999999999", time.Minute},
		{"max-age=295", "-95", 295 * time.Second},
		{"max-age=295", "95.5", 295 * time.Second},
		{"max-age=295", "old", 295 * time.Second},
		{"max-age=31536000", "3600", time.Hour},
		{"no-cache", "95", time.Minute},
		{"", "95", 5 * time.Minute},
	} {
		t.Run(c.control+" "+c.age, func(t *testing.T) { followed(t, c.lifetime, "Cache-Control", c.control, "Age", c.age) })
	}
}

// followed checks that a response with these headers is cached for lifetime.
func followed(t *testing.T, lifetime time.Duration, headers ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		for i := 0; i < len(headers); i += 2 {
			w.header.Set(headers[i], headers[i+1])
		}
		g := w.guard(t)
		token := w.token(t, "a")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lifetime - lifetime/10 - time.Millisecond)
		_ = verify(t, g, token)
		wantFetches(t, w, 1)
		time.Sleep(lifetime / 10)
		_ = verify(t, g, token)
		wantFetches(t, w, 2)
	})
}

func TestCacheTTLCountsWithoutMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t, func(cfg *picoauth.Config) { cfg.CacheTTL = 20 * time.Minute })
		token := w.token(t, "a")
		_ = verify(t, g, token)
		time.Sleep(17 * time.Minute)
		_ = verify(t, g, token)
		wantFetches(t, w, 1)
		time.Sleep(2 * time.Minute)
		_ = verify(t, g, token)
		wantFetches(t, w, 2)
	})
}

func TestABusyServiceNeverWaitsForARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t)
		token := w.token(t, "a")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		w.change(func() { w.delay = 3 * time.Second })
		for range 3600 {
			time.Sleep(time.Second)
			before := time.Now()
			if err := verify(t, g, token); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(before); waited > 0 {
				t.Fatalf("waited %v", waited)
			}
		}
		if n := w.count(); n < 12 || n > 15 {
			t.Errorf("%d fetches in an hour of five-minute keys", n)
		}
	})
}

func TestAKeyThatIsNoLongerListedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", "b")
		g := w.guard(t)
		old, current := w.token(t, "a"), w.token(t, "b")
		if err := verify(t, g, old); err != nil {
			t.Fatal(err)
		}
		w.change(func() { delete(w.keys, "a") })
		time.Sleep(5 * time.Minute)
		wantCode(t, verify(t, g, old), 401)
		if err := verify(t, g, current); err != nil {
			t.Fatal(err)
		}
		// Even when the whole set is empty.
		w.change(func() { clear(w.keys) })
		time.Sleep(5 * time.Minute)
		wantCode(t, verify(t, g, current), 401)
	})
}

func TestANewKeyIsFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t)
		if err := verify(t, g, w.token(t, "a")); err != nil {
			t.Fatal(err)
		}
		for _, kid := range []string{"b", "c"} {
			w.add(t, kid)
			if err := verify(t, g, w.token(t, kid)); err != nil {
				t.Fatal(err)
			}
		}
		wantFetches(t, w, 3)
	})
}

func TestInventedKeyIDsDoNotFloodTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.header.Set("Cache-Control", "max-age=3600")
		g := w.guard(t)
		good := w.token(t, "a")
		if err := verify(t, g, good); err != nil {
			t.Fatal(err)
		}
		attacker := newWire(t, "x")
		w.change(func() { w.delay = 100 * time.Millisecond })
		start := time.Now()
		for i := range 3000 { // five minutes of ten a second
			forged := sign(t, attacker.keys["x"], strings.Repeat("x", i%50+1), nil)
			wantCode(t, verify(t, g, forged), 401)
			if err := verify(t, g, good); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		elapsed := time.Since(start)
		allowed := 1 + 2 + int(elapsed/(30*time.Second))
		if got := w.count(); got > allowed || got < allowed-1 {
			t.Errorf("%d fetches in %v, want about %d", got, elapsed, allowed)
		}
	})
}

func TestTokensThatNoKeyCouldVerifyFetchNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		anonymous := sign(t, w.keys["a"], "", nil)
		wantCode(t, verify(t, w.guard(t), anonymous), 401)
		g := w.guard(t, func(cfg *picoauth.Config) { cfg.Algorithms = []string{"RS256"} })
		wantCode(t, verify(t, g, w.token(t, "a")), 401)
		wantCode(t, verify(t, g, "a.b.c"), 401)
		wantFetches(t, w, 0)
	})
}

func TestKeysAreUsedForAnHourWhileTheIssuerIsUnreachable(t *testing.T) {
	usedForAtMost(t, time.Hour)
	usedForAtMost(t, 24*time.Hour, func(cfg *picoauth.Config) { cfg.MaxOutage = 24 * time.Hour })
	usedForAtMost(t, time.Minute, func(cfg *picoauth.Config) { cfg.MaxOutage = time.Minute })
}

// usedForAtMost checks how long keys are used after the last response of the issuer.
func usedForAtMost(t *testing.T, outage time.Duration, change ...func(*picoauth.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t, change...)
		token := w.token(t, "a")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		w.change(func() { w.status = -1 })
		for part := range 24 {
			if err := verify(t, g, token); err != nil {
				t.Fatalf("after %d of 24 parts of %v: %v", part, outage, err)
			}
			time.Sleep(outage / 24)
		}
		err := verify(t, g, token)
		wantCode(t, err, 503)
		var refusal *picoauth.Refusal
		if errors.As(err, &refusal); refusal.RetryAfter <= 0 {
			t.Error("no Retry-After")
		}
		w.change(func() { w.status = 0 })
		time.Sleep(30 * time.Second)
		if err := verify(t, g, token); err != nil {
			t.Errorf("the issuer is reachable again: %v", err)
		}
	})
}

func TestAHangingIssuerIsWaitedForOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t)
		token := w.token(t, "a")
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		w.change(func() { w.delay = time.Hour })
		time.Sleep(6 * time.Minute) // idle: nothing refreshed in the background
		before := time.Now()
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("the first request waited %v, want the fetch's 5 s", waited)
		}
		for range 600 {
			time.Sleep(time.Second)
			before := time.Now()
			if err := verify(t, g, token); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(before); waited > 0 {
				t.Fatalf("a later request waited %v", waited)
			}
		}
	})
}

func TestAKeyRemovedDuringAnOutageIsNotUsedStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.status = -1
		g := w.guard(t)
		token := w.token(t, "a")
		wantCode(t, verify(t, g, token), 503)
		w.change(func() { w.status = 0 })
		time.Sleep(2 * time.Second)
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
		w.change(func() { delete(w.keys, "a"); w.delay = time.Second })
		time.Sleep(6 * time.Minute)
		wantCode(t, verify(t, g, token), 401)
	})
}

func TestFailedFetchesAreRepeatedAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		w.status = http.StatusInternalServerError
		g := w.guard(t)
		token := w.token(t, "a")
		for range 6000 { // ten minutes
			wantCode(t, verify(t, g, token), 503)
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.count(); n < 15 || n > 30 {
			t.Errorf("%d fetches in ten minutes of failure", n)
		}
		for i := 1; i < len(w.fetches); i++ {
			if gap := w.fetches[i].Sub(w.fetches[i-1]); gap < time.Second || gap > 31*time.Second {
				t.Errorf("fetch %d came %v after the previous one", i, gap)
			}
		}
		w.change(func() { w.status = 0 })
		time.Sleep(30 * time.Second)
		if err := verify(t, g, token); err != nil {
			t.Errorf("the issuer is reachable again: %v", err)
		}
	})
}

func TestAnUnknownKeyWhileTheIssuerIsUnreachableIs503OnlyOnceTheSetIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a")
		g := w.guard(t)
		if err := verify(t, g, w.token(t, "a")); err != nil {
			t.Fatal(err)
		}
		w.add(t, "b")
		unknown := w.token(t, "b")
		w.change(func() { w.status = -1 })
		wantCode(t, verify(t, g, unknown), 401)
		time.Sleep(6 * time.Minute)
		wantCode(t, verify(t, g, unknown), 503)
	})
}

func TestBadResponsesChangeNothing(t *testing.T) {
	for name, spoil := range map[string]func(*wire){
		"redirect": func(w *wire) { w.status = http.StatusFound; w.header.Set("Location", "https://evil.test/jwks") },
		"204":      func(w *wire) { w.status = http.StatusNoContent },
		"404":      func(w *wire) { w.status = http.StatusNotFound },
		"HTML":     func(w *wire) { w.body = []byte("<html>") },
		"no keys":  func(w *wire) { w.body = []byte(`{}`) },
		"over 1 MB": func(w *wire) {
			w.body = []byte(`{"keys":[],"pad":"` + strings.Repeat("a", 1<<20) + `"}`)
		},
		"broken connection": func(w *wire) { w.status = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, "a")
				g := w.guard(t)
				token := w.token(t, "a")
				if err := verify(t, g, token); err != nil {
					t.Fatal(err)
				}
				w.change(func() { spoil(w) })
				time.Sleep(59 * time.Minute)
				if err := verify(t, g, token); err != nil {
					t.Fatal(err)
				}
				wantFetches(t, w, 2)
			})
		})
	}
}

func TestRedirectsAreNotFollowedEvenByAGivenClient(t *testing.T) {
	w := newWire(t, "a")
	evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
		_, _ = rw.Write(keySetOf(w.keys))
	}))
	defer evil.Close()
	issuer := httptest.NewServer(http.RedirectHandler(evil.URL, http.StatusFound))
	defer issuer.Close()
	for name, client := range map[string]*http.Client{"own": nil, "given": {}} {
		t.Run(name, func(t *testing.T) {
			g := w.guard(t, func(cfg *picoauth.Config) { cfg.Client, cfg.JWKSURL = client, issuer.URL })
			err := verify(t, g, w.token(t, "a"))
			wantCode(t, err, 503)
		})
	}
}

// TestAllowHTTPFetchesOverPlainHTTPAndWarns: every start warns, in case it was
// meant for a developer's machine only.
func TestAllowHTTPFetchesOverPlainHTTPAndWarns(t *testing.T) {
	for address, warns := range map[string]bool{
		"http://pico-auth:8100/jwks": true, "https://pico-auth:8100/jwks": false, "http://127.0.0.1:8100/jwks": false,
	} {
		var log bytes.Buffer
		w := newWire(t, "a")
		g := w.guard(t, func(cfg *picoauth.Config) {
			cfg.JWKSURL, cfg.AllowHTTP, cfg.Log = address, true, slog.New(slog.NewTextHandler(&log, nil))
		})
		if err := verify(t, g, w.token(t, "a")); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if w.address != address {
			t.Errorf("fetched from %s, want %s", w.address, address)
		}
		if strings.Contains(log.String(), "AllowHTTP") != warns {
			t.Errorf("%s: the log is %q", address, &log)
		}
	}
}

func TestAllowHTTPFollowsNoRedirectEither(t *testing.T) {
	w := newWire(t, "a")
	w.status = http.StatusFound
	w.header.Set("Location", "http://evil.test/jwks")
	g := w.guard(t, func(cfg *picoauth.Config) { cfg.JWKSURL, cfg.AllowHTTP = "http://pico-auth:8100/jwks", true })
	wantCode(t, verify(t, g, w.token(t, "a")), 503)
	if w.count() != 1 {
		t.Errorf("%d requests", w.count())
	}
}

func TestLocalKeysAreParsedAgainOnlyWhenTheyChange(t *testing.T) {
	w := newWire(t, "a", "b")
	document := keySetOf(w.keys)
	g := w.guard(t, func(cfg *picoauth.Config) { cfg.Client = localkeys.Client(func() []byte { return document }, nil) })
	a, b := w.token(t, "a"), w.token(t, "b")
	for _, token := range []string{a, b, a} {
		if err := verify(t, g, token); err != nil {
			t.Fatal(err)
		}
	}
	delete(w.keys, "a")
	document = keySetOf(w.keys)
	wantCode(t, verify(t, g, a), 401)
	if err := verify(t, g, b); err != nil {
		t.Fatal(err)
	}
	copy(document, "[]") // in place: the guard keeps no reference to our bytes
	wantCode(t, verify(t, g, b), 503)
	if n := w.count(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}
