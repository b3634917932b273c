package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/adopt"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// signable are the algorithms that the original knew.
var signable = []jose.Algorithm{jose.RS256, jose.MLDSA65, jose.MLDSA87}

func open(t testing.TB, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	ring, err := start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// start opens the keys as a server does.
func start(ctx context.Context, cfg keyring.Config) (*keyring.Ring, error) {
	count := &countMade{Handler: slog.DiscardHandler}
	if cfg.Log != nil {
		count.Handler = cfg.Log.Handler()
	}
	cfg.Log = slog.New(count)
	if cfg.Store != nil {
		if err := adoption(cfg).Decide(ctx); err != nil {
			return nil, err
		}
	}
	ring, err := keyring.Open(ctx, cfg)
	if err == nil && count.made.Load() > 0 {
		makers.Store(ring, true)
	}
	return ring, err
}

// load reads the published keys as a command does.
func load(ctx context.Context, cfg keyring.Config) (*keyring.Published, error) {
	d, err := keyring.NewAdmin(cfg)
	if err != nil {
		return nil, err
	}
	return d.Published(ctx)
}

// adoption is what a server does for the keys of an adopted installation.
func adoption(cfg keyring.Config) adopt.Keys {
	return adopt.Keys{Store: cfg.Store, Dir: cfg.Dir, Algorithm: cfg.Algorithm, Sealed: cfg.Sealed(), Master: cfg.Master, Log: cfg.Log}
}

// hashKey is the key of the token hashes of an adopted installation.
func hashKey(t testing.TB, cfg keyring.Config) []byte {
	t.Helper()
	key, err := adoption(cfg).HashKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// makers are the rings that made a key when they were opened.
var makers sync.Map

func created(ring *keyring.Ring) bool {
	_, made := makers.Load(ring)
	return made
}

// countMade counts the keys that are made, by the log.
type countMade struct {
	slog.Handler
	made atomic.Int32
}

func (*countMade) Enabled(context.Context, slog.Level) bool { return true }

func (c *countMade) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "made a signing key" {
		c.made.Add(1)
	}
	return c.Handler.Handle(ctx, r)
}

// pair returns a folder with a pair that was made once for all tests: RSA keys
// take their time.
func pair(t testing.TB, algorithm jose.Algorithm) (dir string) {
	t.Helper()
	made, err := templates()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	private, public := files(algorithm)
	write(t, filepath.Join(dir, private), made[algorithm][0], 0o600)
	write(t, filepath.Join(dir, public), made[algorithm][1], 0o644)
	return dir
}

var templates = sync.OnceValues(func() (map[jose.Algorithm][2][]byte, error) {
	rsa, err := jose.Generate(jose.RS256)
	if err != nil {
		return nil, err
	}
	private, err := rsa.MarshalPEM()
	if err != nil {
		return nil, err
	}
	public, err := rsa.Public().MarshalPEM()
	if err != nil {
		return nil, err
	}
	made := map[jose.Algorithm][2][]byte{jose.RS256: {private, public}}
	for _, algorithm := range []jose.Algorithm{jose.MLDSA65, jose.MLDSA87} {
		key, err := jose.Generate(algorithm)
		if err != nil {
			return nil, err
		}
		secret, half := key.MarshalExpanded()
		made[algorithm] = [2][]byte{secret, half}
	}
	return made, nil
})

func published(t testing.TB, ring *keyring.Ring) map[string]*jose.PublicKey {
	t.Helper()
	body := ring.Published().JWKS()
	keys, err := jose.ParseJWKSet(body)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func verify(t testing.TB, ring *keyring.Ring, token string) (jose.Header, error) {
	t.Helper()
	keys := published(t, ring)
	_, h, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return keys[h.KeyID], nil })
	return h, err
}

// sign returns a token of the key that signs the tokens of the API.
func sign(ring *keyring.Ring) (token string, err error) {
	signer, err := ring.Signer("")
	if err != nil {
		return "", err
	}
	return signer.Sign(jose.TypeJWT, []byte(`{"sub":"u"}`))
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func files(algorithm jose.Algorithm) (private, public string) {
	if algorithm == jose.RS256 {
		return "private.pem", "public.pem"
	}
	return "pqc_secret.bin", "pqc_public.bin"
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFirstOpenCreatesAndTheNextLoads(t *testing.T) {
	for _, algorithm := range signable {
		t.Run(string(algorithm), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "data")
			cfg := keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t)}
			first := open(t, cfg)
			if !created(first) {
				t.Error("the first did not create")
			}
			private, public := files(algorithm)
			want := []string{"keys.lock", public, private}
			if algorithm == jose.RS256 {
				want = []string{"keys.lock", private, public}
			}
			if diff := cmp.Diff(want, list(t, dir)); diff != "" {
				t.Error(diff)
			}
			second := open(t, cfg)
			if created(second) || second.Active() != first.Active() {
				t.Errorf("created %v: %+v, then %+v", created(second), first.Active(), second.Active())
			}
			token, err := sign(first)
			if err != nil {
				t.Fatal(err)
			}
			h, err := verify(t, second, token)
			if err != nil || h.Algorithm != algorithm || h.KeyID != first.Active().Thumbprint {
				t.Errorf("%+v %v", h, err)
			}
			if second.Active().Algorithm != algorithm || hashKey(t, cfg) != nil {
				t.Errorf("algorithm %s, legacy key %x", second.Active().Algorithm, hashKey(t, cfg))
			}
			made := first.Active().CreatedAt
			if diff := cmp.Diff([]keyring.KeyInfo{{
				KID: h.KeyID, Algorithm: algorithm, Thumbprint: h.KeyID, Status: store.KeyActive, File: filepath.Join(dir, private),
				CreatedAt: made, ActivatedAt: made,
			}}, second.Published().Keys()); diff != "" || made.IsZero() {
				t.Error(diff)
			}
		})
	}
}

func TestExpandedFilesHaveTheSizesOfLiboqs(t *testing.T) {
	for algorithm, sizes := range map[jose.Algorithm][2]int{jose.MLDSA65: {4032, 1952}, jose.MLDSA87: {4896, 2592}} {
		dir := t.TempDir()
		open(t, keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t)})
		if got := [2]int{len(read(t, filepath.Join(dir, "pqc_secret.bin"))), len(read(t, filepath.Join(dir, "pqc_public.bin")))}; got != sizes {
			t.Errorf("%s: %v, want %v", algorithm, got, sizes)
		}
	}
}

func TestRSAPrivateFileIsPKCS8Of2048Bits(t *testing.T) {
	dir := t.TempDir()
	open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)})
	private := read(t, filepath.Join(dir, "private.pem"))
	if !bytes.HasPrefix(private, []byte("-----BEGIN PRIVATE KEY-----\n")) {
		t.Errorf("starts with %.40s", private)
	}
	if public := read(t, filepath.Join(dir, "public.pem")); !bytes.HasPrefix(public, []byte("-----BEGIN PUBLIC KEY-----\n")) || len(public) != 451 {
		t.Errorf("%d bytes that start with %.40s", len(public), public)
	}
}

func TestKeySetIsStableAndPublicOnly(t *testing.T) {
	dir := pair(t, jose.RS256)
	var bodies []string
	for range 3 {
		body := open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}).Published().JWKS()
		bodies = append(bodies, string(body))
	}
	if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
		t.Errorf("changes between starts: %q", bodies)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(bodies[0]), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys", len(set.Keys))
	}
	for member := range set.Keys[0] {
		if !strings.Contains("kty kid use alg n e", member) {
			t.Errorf("publishes %s", member)
		}
	}
	other := open(t, keyring.Config{Dir: t.TempDir(), Algorithm: jose.RS256, Store: storetest.Open(t)}).Published().JWKS()
	if string(other) == bodies[0] {
		t.Error("another key has the same key set")
	}
	body := open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}).Published().JWKS()
	if cap(body) != len(body) {
		t.Error("a caller's append would write into the shared bytes")
	}
}

func TestStatsCountEverySignature(t *testing.T) {
	ring := open(t, keyring.Config{Dir: t.TempDir(), Algorithm: jose.MLDSA65, Store: storetest.Open(t)})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				if _, err := sign(ring); err != nil {
					t.Error(err)
				}
				_ = ring.Stats()
				_ = ring.Published().JWKS()
			}
		})
	}
	group.Wait()
	if s := ring.Stats(); s.Signed != 200 || s.Failed != 0 || s.Seconds <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestLoadChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}
	if _, err := load(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no signing key is active") {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	if err := os.Rename(pair(t, jose.RS256), dir); err != nil {
		t.Fatal(err)
	}
	ring := open(t, cfg)
	if err := os.Remove(filepath.Join(dir, "public.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	before := list(t, dir)
	loaded, err := load(t.Context(), cfg)
	if err != nil || loaded.Keys()[0] != ring.Active() {
		t.Errorf("%+v %v", loaded, err)
	}
	if diff := cmp.Diff(before, list(t, dir)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
}

func TestOpenNamesAMissingSetting(t *testing.T) {
	if _, err := start(t.Context(), keyring.Config{Algorithm: jose.RS256}); err == nil || !strings.Contains(err.Error(), "auth.data_dir is empty") {
		t.Errorf("no folder: %v", err)
	}
	for _, algorithm := range []jose.Algorithm{"", "none", "HS256", "Ed25519x"} {
		dir := t.TempDir()
		if _, err := start(t.Context(), keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t)}); err == nil || !strings.Contains(err.Error(), "auth.algorithm must be one of RS256, ") {
			t.Errorf("%q: %v", algorithm, err)
		}
		if len(list(t, dir)) != 0 {
			t.Errorf("%q: left %v", algorithm, list(t, dir))
		}
	}
}

func holdLock(t *testing.T, dir string) (unlock func()) {
	t.Helper()
	l := flock.New(filepath.Join(dir, "keys.lock"))
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	return func() { _ = l.Unlock() }
}

func TestOpenEndsWhenCancelled(t *testing.T) {
	dir := t.TempDir()
	unlock := holdLock(t, dir)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keyring.Open(ctx, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v", err)
	}
	expired, done := context.WithTimeout(t.Context(), 1)
	defer done()
	if _, err := keyring.Open(expired, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}); err == nil || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("%v", err)
	}
}

func TestLogsHoldNoKey(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	secret := strings.Split(string(read(t, filepath.Join(dir, "private.pem"))), "\n")[5]
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "made a signing key") {
		t.Errorf("log %s", log.String())
	}
}

// Commands say so, and docs/keys.md does of a key that is revoked.
func TestRunningServersFollowAChangeWithinFiveSeconds(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Second, time.Hour, 30 * 24 * time.Hour} {
		ring := open(t, keyring.Config{Dir: t.TempDir(), Algorithm: jose.ES256, Store: storetest.Open(t), PublishAhead: ahead})
		if pace := ring.Pace(); pace <= 0 || pace > 3*time.Second { // two more for the database
			t.Errorf("published %v ahead: a pause of %v", ahead, pace)
		}
	}
}
