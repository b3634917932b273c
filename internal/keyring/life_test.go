package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

var operator = identity.Actor{Kind: identity.ActorSystem}

func admin(t testing.TB, cfg keyring.Config) *keyring.Admin {
	t.Helper()
	d, err := keyring.NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rotate does what `key rotate` does.
func rotate(t testing.TB, cfg keyring.Config, now bool) (kid string) {
	t.Helper()
	kid, _, err := admin(t, cfg).Rotate(t.Context(), operator, "", now)
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

// withdraw does what `key retire` does with a pending key.
func withdraw(t testing.TB, cfg keyring.Config, kid string) {
	t.Helper()
	if _, err := admin(t, cfg).Retire(t.Context(), operator, kid); err != nil {
		t.Fatal(err)
	}
}

// clockwork is a wall clock and a monotonic one.
type clockwork struct {
	wall      *storetest.Clock
	monotonic time.Duration
}

func newClockwork() *clockwork { return &clockwork{wall: storetest.NewClock()} }

func (c *clockwork) pass(d time.Duration) {
	c.wall.Advance(d)
	c.monotonic += d
}

// tick lets time pass and the rings look, as servers do.
func (c *clockwork) tick(t testing.TB, d time.Duration, rings ...*keyring.Ring) {
	t.Helper()
	c.pass(d)
	for _, ring := range rings {
		succeed(t, ring.Refresh(t.Context()))
		succeed(t, ring.Step(t.Context()))
	}
	for _, ring := range rings {
		succeed(t, ring.Refresh(t.Context()))
	}
}

func succeed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *clockwork) config(s *store.Store, dir string) keyring.Config {
	return keyring.Config{
		Dir: dir, Algorithm: jose.EdDSA, Store: s, TokenLifetime: 10 * time.Minute, PublishAhead: 5 * time.Minute,
		Now: c.wall.Now, Monotonic: func() time.Duration { return c.monotonic },
	}
}

// statuses is what the database says, such as "active/next".
func statuses(t testing.TB, s *store.Store, kids ...string) string {
	t.Helper()
	set := rows(t, s)
	var all []string
	for _, kid := range kids {
		if row := set.Key(kid); row != nil {
			all = append(all, string(row.Status))
		}
	}
	return strings.Join(all, "/")
}

func eachClocked(t *testing.T, test func(t *testing.T, c *clockwork, cfg keyring.Config)) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := newClockwork()
		cfg := c.config(storetest.OpenURL(t, url, storetest.WithClock(c.wall)), filepath.Join(t.TempDir(), "keys"))
		if cfg.Store.Engine() == "postgres" {
			cfg.Master = master(t, 1)
		}
		test(t, c, cfg)
	})
}

func TestTheLifecycleOfAKey(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		ring := open(t, cfg)
		first := ring.Active().KID
		old, err := sign(ring)
		must(t, err)
		second := rotate(t, cfg, false)
		c.tick(t, 0, ring)
		if keys := ring.Published().Keys(); len(keys) != 2 || keys[0].KID != first || keys[1].KID != second || keys[1].Status != store.KeyPending || keys[1].Due != 5*time.Minute {
			t.Fatalf("%+v", keys)
		}
		c.tick(t, 5*time.Minute-time.Second, ring)
		if got := statuses(t, cfg.Store, first, second); got != "active/next" {
			t.Errorf("a second early: %s", got)
		}
		c.tick(t, time.Second, ring)
		if got := statuses(t, cfg.Store, first, second); got != "retiring/active" || ring.Active().KID != second {
			t.Errorf("when it was published long enough: %s", got)
		}
		if _, err := verify(t, ring, old); err != nil {
			t.Errorf("a token of the former key: %v", err)
		}
		// The last token may have been signed just now, by a replica that looks in
		// five seconds.
		c.tick(t, 10*time.Minute+time.Minute+4*time.Second, ring)
		if got := statuses(t, cfg.Store, first, second); got != "retiring/active" {
			t.Errorf("while tokens may be good: %s", got)
		}
		c.tick(t, time.Second, ring)
		if got := statuses(t, cfg.Store, first, second); got != "removed/active" || len(ring.Published().Keys()) != 1 {
			t.Errorf("when the last has expired: %s", got)
		}
		if _, err := verify(t, ring, old); err == nil {
			t.Error("a removed key is still published")
		}
		row := rows(t, cfg.Store).Key(first)
		if row.Sealed != "" || row.ActivatedAt.IsZero() || row.RetiredAt.IsZero() || row.RemovedAt.IsZero() {
			t.Errorf("%+v", row)
		}
		events, err := cfg.Store.Events(t.Context(), 0)
		must(t, err)
		var acts []string
		for _, e := range events {
			acts = append([]string{string(e.Action)}, acts...)
		}
		if got := strings.Join(acts, " "); got != "key.rotate key.retire key.activate key.remove" {
			t.Errorf("audit: %s", got)
		}
	})
}

func TestFilesFollowTheLifecycleOfAKey(t *testing.T) {
	c := newClockwork()
	for _, algorithm := range []jose.Algorithm{jose.EdDSA, jose.MLDSA65, jose.RS256, jose.MLDSA44} {
		s := storetest.Open(t, storetest.WithClock(c.wall))
		cfg := c.config(s, filepath.Join(t.TempDir(), "keys"))
		cfg.Algorithm = algorithm
		ring := open(t, cfg)
		names := list(t, cfg.Dir)
		if len(names) != 3 {
			t.Fatalf("%s: at first %v", algorithm, names)
		}
		second := rotate(t, cfg, false)
		third := filepath.Join(cfg.Dir, "key-"+second+".pem")
		if strings.HasPrefix(string(algorithm), "ML-DSA") {
			third = strings.TrimSuffix(third, ".pem") + ".bin"
		}
		c.tick(t, 0, ring)
		c.tick(t, 5*time.Minute, ring)
		if got := list(t, cfg.Dir); len(got) != 4 || ring.Active().File != third {
			t.Errorf("%s: after the change %v", algorithm, got)
		}
		if info, err := os.Stat(third); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", algorithm, info, err)
		}
		if again := open(t, cfg); again.Active().KID != second {
			t.Errorf("%s: a restart finds %s", algorithm, again.Active().KID)
		}
		c.tick(t, time.Hour, ring)
		c.tick(t, 0, ring)
		if got, want := list(t, cfg.Dir), []string{filepath.Base(third), "keys.lock"}; strings.Join(got, " ") != strings.Join(want, " ") || len(rows(t, s).Keys) != 2 {
			t.Errorf("%s: in the end %v", algorithm, got)
		}
		accepts(t, open(t, cfg), ring)
	}
}

// Earlier versions gave an active pair the file names of the first one.
func TestFilesUnderTheNamesOfEarlierVersionsAreUsed(t *testing.T) {
	c := newClockwork()
	cfg := c.config(storetest.Open(t, storetest.WithClock(c.wall)), filepath.Join(t.TempDir(), "keys"))
	file := func(name string) string { return filepath.Join(cfg.Dir, name) }
	former := open(t, cfg).Active().KID
	active := rotate(t, cfg, true)
	must(t, os.Rename(file("eddsa_private.pem"), file("key-"+former+".pem")))
	must(t, os.Rename(file("key-"+active+".pem"), file("eddsa_private.pem")))
	must(t, os.Remove(file("eddsa_public.pem")))
	ring := open(t, cfg)
	if ring.Active().KID != active || ring.Active().File != file("eddsa_private.pem") {
		t.Errorf("%+v", ring.Active())
	}
	accepts(t, ring, ring)
	next := rotate(t, cfg, true)
	c.tick(t, 0, ring)
	for range 2 {
		c.tick(t, time.Hour, ring)
	}
	if got := strings.Join(list(t, cfg.Dir), " "); got != "key-"+next+".pem keys.lock" || ring.Active().KID != next {
		t.Errorf("in the end %s", got)
	}
}

func TestNothingIsCountedWhileNoServerRuns(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		ring := open(t, cfg)
		kid := rotate(t, cfg, false)
		c.tick(t, 0, ring)
		c.tick(t, 2*time.Minute, ring)
		must(t, ring.Rest(t.Context()))
		c.pass(24 * time.Hour)
		ring = open(t, cfg)
		c.tick(t, 0, ring)
		c.tick(t, 3*time.Minute-time.Second, ring)
		if got := statuses(t, cfg.Store, kid); got != "next" {
			t.Errorf("%s although it was down", got)
		}
		c.tick(t, time.Second, ring)
		if got := statuses(t, cfg.Store, kid); got != "active" {
			t.Errorf("%s after the rest of the time", got)
		}
	})
}

func TestAClockThatJumpsMovesNoKey(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		ring := open(t, cfg)
		first, second := ring.Active().KID, rotate(t, cfg, false)
		c.tick(t, 0, ring)
		c.wall.Advance(1000 * time.Hour)
		c.tick(t, time.Minute, ring)
		c.wall.Advance(-1000 * time.Hour)
		c.tick(t, time.Minute, ring)
		if got := statuses(t, cfg.Store, first, second); got != "active/next" {
			t.Fatalf("a jump made %s", got)
		}
		c.tick(t, 3*time.Minute, ring)
		c.wall.Advance(1000 * time.Hour)
		c.tick(t, time.Minute, ring)
		if got := statuses(t, cfg.Store, first, second); got != "retiring/active" {
			t.Fatalf("a jump removed a key: %s", got)
		}
		// Set back, tokens live longer by the clock on the wall than was counted.
		c.wall.Advance(-1001 * time.Hour)
		c.tick(t, time.Hour-time.Minute, ring)
		if got := statuses(t, cfg.Store, first, second); got != "retiring/active" {
			t.Fatalf("tokens of it are still good: %s", got)
		}
		c.tick(t, 15*time.Minute, ring)
		if got := statuses(t, cfg.Store, first, second); got != "removed/active" {
			t.Fatalf("it stays for ever: %s", got)
		}
	})
}

func TestAKeyStaysForTheLongestTokensThatItSigned(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.TokenLifetime = 3 * time.Hour
		ring := open(t, cfg)
		first := ring.Active().KID
		cfg.TokenLifetime = time.Minute
		ring = open(t, cfg)
		rotate(t, cfg, true)
		c.tick(t, 0, ring)
		c.tick(t, 3*time.Hour, ring)
		if got := statuses(t, cfg.Store, first); got != "retiring" {
			t.Errorf("%s while its long tokens are good", got)
		}
		// A replica that is not yet restarted takes up the new key, and signs long ones.
		slow := cfg
		slow.TokenLifetime = 3 * time.Hour
		open(t, slow)
		if got := rows(t, cfg.Store).First(store.KeyActive, "").TokenLifetime; got != 3*time.Hour {
			t.Errorf("the new key is known for tokens of %v", got)
		}
		c.tick(t, 2*time.Minute, ring)
		if got := statuses(t, cfg.Store, first); got != "removed" {
			t.Errorf("%s after them", got)
		}
	})
}

func TestRotateEveryGoesByTheAgeOfTheKey(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.RotateEvery = 24 * time.Hour
		a, b := open(t, cfg), open(t, cfg)
		seen := map[string]bool{a.Active().KID: true}
		for day := 1; day <= 3; day++ {
			c.tick(t, 24*time.Hour-time.Hour, a, b)
			if n := len(a.Published().Keys()); n != 1 {
				t.Fatalf("day %d: %d keys before its time", day, n)
			}
			c.tick(t, time.Hour, a, b)
			if keys := b.Published().Keys(); len(keys) != 2 || keys[1].Status != store.KeyPending {
				t.Fatalf("day %d: no next key", day)
			}
			for range 3 {
				c.tick(t, 150*time.Second, a, b)
			}
			if seen[a.Active().KID] || a.Active() != b.Active() {
				t.Errorf("day %d: active are %s and %s", day, a.Active().KID, b.Active().KID)
			}
			seen[a.Active().KID] = true
			for range 2 {
				c.tick(t, 10*time.Minute, a, b)
			}
		}
		if set := rows(t, cfg.Store); len(set.Keys) != 4 {
			t.Errorf("%d keys in three days", len(set.Keys))
		}
	})
}

// A clock in error made a key of the next century active.
func TestAKeyOfTheFutureIsReplaced(t *testing.T) {
	c := newClockwork()
	s := storetest.Open(t, storetest.WithClock(c.wall))
	cfg := c.config(s, t.TempDir())
	cfg.RotateEvery = 24 * time.Hour
	c.wall.Advance(50 * 365 * 24 * time.Hour)
	ring := open(t, cfg)
	c.wall.Advance(-50 * 365 * 24 * time.Hour)
	c.tick(t, time.Second, ring)
	if rows(t, s).First(store.KeyPending, "") == nil {
		t.Error("it would be rotated in fifty years")
	}
}

func TestWithdrawnAndRevokedKeys(t *testing.T) {
	eachClocked(t, func(t *testing.T, _ *clockwork, cfg keyring.Config) {
		ring := open(t, cfg)
		first, second := ring.Active().KID, rotate(t, cfg, false)
		d := admin(t, cfg)
		if got, err := d.Retire(t.Context(), operator, first); err != nil || got != second || statuses(t, cfg.Store, first, second) != "active/next" {
			t.Errorf("the active key while another waits: %s, %v", got, err)
		}
		withdraw(t, cfg, second)
		if _, err := d.Retire(t.Context(), operator, second); err == nil || !strings.Contains(err.Error(), "is removed") {
			t.Errorf("twice: %v", err)
		}
		if got := statuses(t, cfg.Store, first, second); got != "active/removed" {
			t.Errorf("withdrawn: %s", got)
		}

		leaked, err := sign(ring)
		must(t, err)
		fresh, err := d.Revoke(t.Context(), operator, first, false)
		must(t, err)
		if got := statuses(t, cfg.Store, first, second, fresh); got != "removed/removed/active" {
			t.Errorf("revoked: %s", got)
		}
		must(t, ring.Refresh(t.Context()))
		if _, err := verify(t, ring, leaked); err == nil {
			t.Error("a token of the revoked key is accepted")
		}
		accepts(t, ring, ring)

		waiting := rotate(t, cfg, false)
		if got, err := d.Revoke(t.Context(), operator, fresh, false); got != waiting || err != nil {
			t.Errorf("with a next key %s takes over, %v", got, err)
		}
		last := rotate(t, cfg, true)
		if got, err := d.Revoke(t.Context(), operator, waiting, false); got != "" || err != nil {
			t.Errorf("a retiring one: %q %v", got, err)
		}
		if got := statuses(t, cfg.Store, fresh, waiting, last); got != "removed/removed/active" {
			t.Errorf("in the end: %s", got)
		}
		for _, kid := range []string{first, "nonsense"} {
			if _, err := d.Revoke(t.Context(), operator, kid, false); err == nil {
				t.Errorf("%s is revoked again", kid)
			}
		}
		if cfg.Master == nil {
			if got := strings.Join(list(t, cfg.Dir), " "); got != "key-"+last+".pem keys.lock" {
				t.Errorf("files that are left: %s", got)
			}
		}
	})
}

// A server that cannot load the active key after a revocation must not sign.
func TestAServerThatLacksTheNewKeyStopsSigningWithARevokedOne(t *testing.T) {
	s := storetest.Open(t)
	cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.EdDSA, Store: s}
	ring := open(t, cfg)
	fresh, err := admin(t, cfg).Revoke(t.Context(), operator, ring.Active().KID, false)
	must(t, err)
	away := filepath.Join(t.TempDir(), "away")
	must(t, os.Rename(cfg.Dir, away))
	if err := ring.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "signing is unavailable") {
		t.Errorf("%v", err)
	}
	if _, err := sign(ring); err == nil || !strings.Contains(err.Error(), "unavailable here") {
		t.Errorf("signs: %v", err)
	}
	must(t, os.Rename(away, cfg.Dir))
	must(t, ring.Refresh(t.Context()))
	accepts(t, ring, ring)
	if ring.Active().KID != fresh {
		t.Error("another key")
	}
}

func TestImportedKeysArePublishedBeforeTheySign(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		ring := open(t, cfg)
		d := admin(t, cfg)
		outside, err := jose.Generate(jose.EdDSA)
		must(t, err)
		secret, err := outside.MarshalPEM()
		must(t, err)
		kid, err := d.Import(t.Context(), operator, "", secret)
		if err != nil || kid != outside.Public().Thumbprint() || statuses(t, cfg.Store, kid) != "next" {
			t.Fatalf("%s %v", kid, err)
		}
		if _, err := d.Import(t.Context(), operator, "", secret); err == nil || !strings.Contains(err.Error(), "pico-auth key retire") {
			t.Errorf("while one waits: %v", err)
		}
		c.tick(t, 0, ring)
		c.tick(t, 5*time.Minute, ring)
		token, err := sign(ring)
		must(t, err)
		if _, _, err := jose.Verify(token, func(jose.Header) (*jose.PublicKey, error) { return outside.Public(), nil }); err != nil {
			t.Errorf("it does not sign: %v", err)
		}
		out, err := d.Export(t.Context(), operator, kid)
		if err != nil || string(out) != string(secret) {
			t.Errorf("exported as something else: %v", err)
		}
		if _, err := d.Revoke(t.Context(), operator, kid, false); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Import(t.Context(), operator, "", secret); err == nil || !strings.Contains(err.Error(), "is removed") {
			t.Errorf("a revoked key is imported again: %v", err)
		}
		if _, err := d.Export(t.Context(), operator, kid); err == nil {
			t.Error("a removed key is exported")
		}
		if k, err := d.Find(t.Context(), kid); err != nil || k.JWK().Kid != kid || k.PublicKey.Thumbprint() != kid {
			t.Errorf("the public half of a removed key: %v", err)
		}
		if _, err := d.Import(t.Context(), operator, "", []byte("garbage")); err == nil || strings.Contains(err.Error(), "garbage") {
			t.Errorf("%v", err)
		}
	})
}

func TestRSAKeysHaveTheConfiguredSize(t *testing.T) {
	cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.RS256, Store: storetest.Open(t), RSABits: 3072}
	ring := open(t, cfg)
	token, err := sign(ring)
	must(t, err)
	if signature := token[strings.LastIndexByte(token, '.')+1:]; len(signature) != 512 {
		t.Errorf("a signature of %d characters", len(signature))
	}
	accepts(t, open(t, cfg), ring)
}

func TestAdminNeedsAnActiveKey(t *testing.T) {
	cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.EdDSA, Store: storetest.Open(t)}
	if _, _, err := admin(t, cfg).Rotate(t.Context(), operator, "", false); err == nil || !strings.Contains(err.Error(), "no signing key is active") {
		t.Errorf("%v", err)
	}
	if keys, err := admin(t, cfg).Keys(t.Context()); len(keys) != 0 || err != nil {
		t.Errorf("%v %v", keys, err)
	}
	open(t, cfg)
	if _, err := admin(t, cfg).Key(t.Context(), "nonsense"); err == nil || errors.Is(err, store.ErrKeysChanged) {
		t.Errorf("%v", err)
	}
}

func secondCount(n int) time.Duration { return time.Duration(n) * time.Second }
func minuteCount(n int) time.Duration { return time.Duration(n) * time.Minute }
