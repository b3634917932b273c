package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// The secrets of the original's test database, and two that its later versions
// would have stored keyed.
const (
	bobsRefresh   = "refresh-of-bob"
	ciSecret      = "pico_svc_ci"
	keyedRefresh  = "9f2c54b0e5f14d1f8a3bb1d1d3ce0c11"
	keyedSecret   = "pico_svc_5d41402abc4b2a76b9719d911017c592"
	keyedService  = "nightly"
	newestVersion = 3
)

// eachAdopted runs test in a world that was adopted from the original: its
// database and its folder of keys.
func eachAdopted(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := keyring.Open(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}); err != nil {
			t.Fatal(err)
		}
		for v := 1; v <= newestVersion; v++ {
			script, err := os.ReadFile(filepath.Join("..", "store", "testdata", fmt.Sprintf("original-0.%d.sql", v)))
			if err != nil {
				t.Fatal(err)
			}
			storetest.Exec(t, url, string(script))
		}
		storetest.Exec(t, url, fmt.Sprintf(`INSERT INTO refresh_tokens VALUES
			('612f8df88899', '1b2c3d4e5f60', '%s', '2027-11-22T00:00:00+00:00', '2026-11-22T00:00:00+00:00')`,
			keyedHash(t, dir, keyedRefresh)))
		storetest.Exec(t, url, fmt.Sprintf(`INSERT INTO service_tokens VALUES
			('51d1f0000099', '%s', '%s', 'operator', 'robots', '', '2026-11-08T00:00:00+00:00', NULL)`,
			keyedService, keyedHash(t, dir, keyedSecret)))
		test(t, newWorld(testrig.New(t, url, rigged([]option{withRS256, inFolder(dir)})...)))
	})
}

// keyedHash is how later versions of the original store a token.
func keyedHash(t *testing.T, dir, secret string) string {
	t.Helper()
	private, err := os.ReadFile(filepath.Join(dir, "private.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(append([]byte("pico-auth/token-hash-key/v1:"), private...))
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(secret))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestRefreshTokensOfTheOriginalRotate(t *testing.T) {
	for name, presented := range map[string]string{"hashed": bobsRefresh, "keyed": keyedRefresh} {
		t.Run(name, func(t *testing.T) {
			eachAdopted(t, func(t *testing.T, w *world) {
				next := w.rotate(t, presented)
				c := w.claims(t, next)
				if c["sub"] != "1b2c3d4e5f60" || c["email"] != "bob" || c["groups"].([]any)[0] != "aaaaaaaaaaaa" {
					t.Errorf("claims: %v", c)
				}
				next = w.rotate(t, next.RefreshToken)
				w.refuses(t, presented) // a reuse
				w.refuses(t, next.RefreshToken)
			})
		})
	}
}

// A user finds a stolen refresh token of the original among their sessions, and
// ends it.
func TestRefreshTokensOfTheOriginalAreSessions(t *testing.T) {
	eachAdopted(t, func(t *testing.T, w *world) {
		page, err := w.store.Sessions(t.Context(), system, "1b2c3d4e5f60", store.ListFilter{})
		if err != nil || len(page.Items) != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, s := range page.Items {
			by := identity.Actor{Kind: identity.ActorUser, ID: "1b2c3d4e5f60", SessionID: s.ID}
			if err := w.store.EndUserSession(t.Context(), store.Act{Action: identity.ActionEndSession, By: by}, by.ID, s.ID); err != nil {
				t.Error(err)
			}
		}
		w.refuses(t, bobsRefresh)
		w.refuses(t, keyedRefresh)
	})
}

func TestRefreshTokensThatTheOriginalWouldRefuseAreRefused(t *testing.T) {
	eachAdopted(t, func(t *testing.T, w *world) {
		for _, presented := range []string{"refresh-of-ada-expired", "refresh-of-nobody", "refresh-of-carol"} {
			w.refuses(t, presented)
		}
	})
}

func TestServiceTokensOfTheOriginalValidate(t *testing.T) {
	eachAdopted(t, func(t *testing.T, w *world) {
		for name, secret := range map[string]string{"ci": ciSecret, keyedService: keyedSecret} {
			got, err := w.ValidateServiceToken(t.Context(), web, secret)
			if err != nil || got.Name != name || got.Role != "operator" || got.OrgID != "robots" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		if _, err := w.ValidateServiceToken(t.Context(), web, "pico_svc_old"); err == nil {
			t.Error("a revoked token validates")
		}
	})
}
