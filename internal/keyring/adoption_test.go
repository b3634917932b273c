package keyring_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const legacyFile = "legacy-token-hash.key"

// adopted is a store that has just adopted a database of the original.
func adopted(t *testing.T) *store.Store {
	t.Helper()
	url := storetest.SQLite(t)
	storetest.Exec(t, url, string(read(t, "../store/testdata/original-0.1.sql")))
	s := storetest.OpenURL(t, url)
	if key, err := s.AdoptedKey(t.Context()); err != nil || !key.Pending {
		t.Fatalf("the store adopted nothing: %+v %v", key, err)
	}
	return s
}

func derived(text string) []byte {
	sum := sha256.Sum256([]byte("pico-auth/token-hash-key/v1:" + text))
	return sum[:]
}

func TestAdoptedPairKeepsTheOriginalsKid(t *testing.T) {
	for _, algorithm := range signable {
		t.Run(string(algorithm), func(t *testing.T) {
			s, dir := adopted(t), pair(t, algorithm)
			private, _ := files(algorithm)
			want := derived(string(read(t, filepath.Join(dir, private))))
			cfg := keyring.Config{Dir: dir, Algorithm: algorithm, Store: s}

			if _, err := load(t.Context(), cfg); err == nil {
				t.Error("a look before the decision shows a key")
			}
			for range 2 {
				ring := open(t, cfg)
				if created(ring) || ring.Active().KID != "pico-auth-1" || !bytes.Equal(hashKey(t, cfg), want) {
					t.Errorf("created %v, %+v, key %x", created(ring), ring.Active(), hashKey(t, cfg))
				}
				token, err := sign(ring)
				if err != nil {
					t.Fatal(err)
				}
				if h, err := verify(t, ring, token); err != nil || h.KeyID != "pico-auth-1" {
					t.Errorf("%+v %v", h, err)
				}
				decided, err := s.AdoptedKey(t.Context())
				if err != nil || decided.Pending || decided.Thumbprint != ring.Active().Thumbprint {
					t.Errorf("decided %+v %v", decided, err)
				}
			}
			info, err := os.Stat(filepath.Join(dir, legacyFile))
			if err != nil || info.Size() != sha256.Size || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
			if loaded, err := load(t.Context(), cfg); err != nil || loaded.Keys()[0].KID != "pico-auth-1" {
				t.Errorf("%+v %v", loaded, err)
			}
		})
	}
}

// Python reads the PEM file as text, in which every line end is a newline.
func TestLegacyHashKeyIsTheOneThatPythonDerives(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	path := filepath.Join(dir, "private.pem")
	text := string(read(t, path))
	write(t, path, []byte(strings.ReplaceAll(text, "\n", "\r\n")), 0o600)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
	open(t, cfg)
	if got, want := hashKey(t, cfg), derived(text); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	// python3 -c 'import hashlib; print(hashlib.sha256(b"pico-auth/token-hash-key/v1:x\n").hexdigest())'
	if got := hex.EncodeToString(derived("x\n")); got != "3f09f73c7c0276f0a7e8267f032bfd8f34f0bcce4a8f6f0c9c22db9a335a9572" {
		t.Errorf("the label gives %s", got)
	}
}

func TestAdoptionWithoutTheKeyDecidesForNone(t *testing.T) {
	s, dir := adopted(t), t.TempDir()
	var log bytes.Buffer
	cfg := keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: s, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 2 {
		ring := open(t, cfg)
		if ring.Active().KID != ring.Active().Thumbprint || hashKey(t, cfg) != nil {
			t.Errorf("%+v %x", ring.Active(), hashKey(t, cfg))
		}
	}
	if decided, err := s.AdoptedKey(t.Context()); err != nil || decided != (store.AdoptedKey{}) {
		t.Errorf("%+v %v", decided, err)
	}
	if !strings.Contains(log.String(), "the signing key of the adopted database is missing") {
		t.Errorf("log %s", log.String())
	}
}

// The adopted key signs until the new one has been published long
// enough: its clients have a key set in which there is no other.
func TestAnAlgorithmChangedWithTheMoveIsARotation(t *testing.T) {
	for _, move := range []struct{ from, to jose.Algorithm }{
		{jose.RS256, jose.MLDSA65}, {jose.MLDSA65, jose.RS256}, {jose.MLDSA87, jose.RS256}, {jose.RS256, jose.ES256},
	} {
		s, dir := adopted(t), pair(t, move.from)
		old := open(t, keyring.Config{Dir: dir, Algorithm: move.from, Store: storetest.Open(t)}).Active().Thumbprint
		cfg := keyring.Config{Dir: dir, Algorithm: move.to, Store: s}
		ring := open(t, cfg)
		keys := ring.Published().Keys()
		if len(keys) != 2 || keys[0].KID != "pico-auth-1" || keys[0].Thumbprint != old || keys[0].Algorithm != move.from {
			t.Errorf("%s to %s: %+v", move.from, move.to, keys)
		}
		if len(keys) == 2 && (keys[1].Status != store.KeyPending || keys[1].Algorithm != move.to || keys[1].KID != keys[1].Thumbprint) {
			t.Errorf("%s to %s: %+v", move.from, move.to, keys[1])
		}
		if len(hashKey(t, cfg)) == 0 {
			t.Errorf("%s to %s: the hash key is lost", move.from, move.to)
		}
	}
}

func TestThePairOfTheConfiguredAlgorithmIsAdoptedBeforeAnother(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	pq := pair(t, jose.MLDSA65)
	for _, name := range []string{"pqc_secret.bin", "pqc_public.bin"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join(pq, name)), 0o600)
	}
	ring := open(t, keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: s})
	if keys := ring.Published().Keys(); len(keys) != 1 || keys[0].KID != "pico-auth-1" || keys[0].Algorithm != jose.MLDSA65 {
		t.Errorf("%+v", keys)
	}
}

// Stopped between the two steps of the decision, the next start takes both.
func TestDecisionIsRepeatedAfterACrash(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	want := derived(string(read(t, filepath.Join(dir, "private.pem"))))
	write(t, filepath.Join(dir, legacyFile), want, 0o600)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
	ring := open(t, cfg)
	if ring.Active().KID != "pico-auth-1" || !bytes.Equal(hashKey(t, cfg), want) {
		t.Errorf("%+v %x", ring.Active(), hashKey(t, cfg))
	}
}

func TestHashKeyOutlivesTheAdoptedSigningKey(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
	open(t, cfg)
	want := hashKey(t, cfg)

	cfg.Algorithm = jose.MLDSA65
	rotate(t, cfg, true)
	pq := open(t, cfg)
	if !bytes.Equal(hashKey(t, cfg), want) || pq.Published().Keys()[1].KID != "pico-auth-1" || pq.Active().KID == "pico-auth-1" {
		t.Errorf("after a change of algorithm: %x, %+v", hashKey(t, cfg), pq.Published().Keys())
	}
	if err := os.Remove(filepath.Join(dir, legacyFile)); err != nil {
		t.Fatal(err)
	}
	if again := hashKey(t, cfg); !bytes.Equal(again, want) {
		t.Errorf("lost while the pair is there, derived as %x", again)
	}

	for _, name := range []string{"private.pem", "public.pem"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if kept := hashKey(t, cfg); !bytes.Equal(kept, want) {
		t.Errorf("after the pair went: %x", kept)
	}
	if err := os.Remove(filepath.Join(dir, legacyFile)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	if gone := hashKey(t, cfg); gone != nil || !strings.Contains(log.String(), "lost with its signing key") {
		t.Errorf("%x, log %s", gone, log.String())
	}
}

// A damaged row of the adopted key, which signs no more, stops no start: its hash key is
// lost if its file is, too.
func TestADamagedRowOfTheAdoptedKeyStopsNoStart(t *testing.T) {
	url := storetest.SQLite(t)
	storetest.Exec(t, url, string(read(t, "../store/testdata/original-0.1.sql")))
	cfg := keyring.Config{Dir: pair(t, jose.RS256), Algorithm: jose.RS256, Store: storetest.OpenURL(t, url)}
	open(t, cfg)
	rotate(t, cfg, true)
	storetest.Exec(t, url, "UPDATE signing_keys SET public_key = '{}' WHERE kid = 'pico-auth-1'")
	if key := hashKey(t, cfg); key == nil {
		t.Error("the hash key that has a file is not found")
	}
	must(t, os.Remove(filepath.Join(cfg.Dir, legacyFile)))
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	open(t, cfg)
	if key := hashKey(t, cfg); key != nil || !strings.Contains(log.String(), "lost with its signing key") {
		t.Errorf("%x, log %s", key, log.String())
	}
}

func TestDamagedHashKeyIsRefused(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
	open(t, cfg)
	write(t, filepath.Join(dir, legacyFile), []byte("short"), 0o600)
	if _, err := adoption(cfg).HashKey(t.Context()); err == nil || !strings.Contains(err.Error(), "has 5 bytes and must have 32") {
		t.Errorf("%v", err)
	}
	write(t, filepath.Join(dir, legacyFile), make([]byte, 32), 0o644)
	if _, err := adoption(cfg).HashKey(t.Context()); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("%v", err)
	}
}

func TestUnavailableDatabaseStopsTheStart(t *testing.T) {
	s, dir := adopted(t), pair(t, jose.RS256)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
	if _, err := start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "which key was adopted") {
		t.Errorf("open: %v", err)
	}
	if _, err := load(t.Context(), cfg); err == nil {
		t.Error("load ignores that")
	}
}
