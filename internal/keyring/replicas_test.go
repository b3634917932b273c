package keyring_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func master(t testing.TB, fill byte) *seal.Master {
	t.Helper()
	m, err := seal.Parse(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// noFolder is a path of a folder that does not exist.
func noFolder(t testing.TB) string { return filepath.Join(t.TempDir(), "missing") }

func rows(t testing.TB, s *store.Store) store.KeySet {
	t.Helper()
	set, err := s.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// refused opens and wants a sentence with all the words.
func refused(t testing.TB, cfg keyring.Config, words ...string) {
	t.Helper()
	_, err := start(t.Context(), cfg)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Fatalf("%v is no refusal", err)
	}
	for _, word := range words {
		if !strings.Contains(f.Message, word) {
			t.Errorf("%q does not say %q", f.Message, word)
		}
	}
}

func accepts(t testing.TB, ring, signer *keyring.Ring) {
	t.Helper()
	token, err := sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, ring, token); err != nil {
		t.Errorf("a token of %s is refused: %v", signer.Active().KID, err)
	}
}

func TestKeysInFilesAreRecordedAtTheNextStart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		dir := pair(t, jose.RS256)
		before := open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)})
		cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
		for range 2 {
			ring := open(t, cfg)
			if created(ring) || ring.Active().KID != before.Active().KID || ring.Active().File != before.Active().File {
				t.Errorf("created %v: %+v, was %+v", created(ring), ring.Active(), before.Active())
			}
			set := rows(t, s)
			if set.Version != 1 || len(set.Keys) != 1 || set.First(store.KeyActive, "").KID != before.Active().KID || set.First(store.KeyActive, "").Sealed != "" {
				t.Errorf("%+v", set)
			}
		}
		loaded, err := load(t.Context(), cfg)
		if err != nil || loaded.Keys()[0].KID != before.Active().KID || rows(t, s).Version != 1 {
			t.Errorf("%v", err)
		}
	})
}

func TestAServerWithoutTheActiveKeyMakesNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.MLDSA65, Store: s}
		kid := open(t, cfg).Active().KID
		empty, other := t.TempDir(), pair(t, jose.MLDSA65)
		for _, dir := range []string{empty, other} {
			lost := keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: s}
			refused(t, lost, kid, dir, "restore its files", "pico-auth key revoke --lost ")
			lost.Algorithm = jose.RS256
			refused(t, lost, kid, dir)
			if _, err := load(t.Context(), lost); err == nil {
				t.Error("it can be loaded")
			}
		}
		if files := list(t, empty); len(files) != 1 || files[0] != "keys.lock" {
			t.Errorf("left %v", files)
		}
		if again := open(t, cfg); created(again) || again.Active().KID != kid {
			t.Errorf("%+v", again.Active())
		}
	})
}

func TestAChangeOfAlgorithmIsARotation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		dir := pair(t, jose.RS256)
		cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s}
		rsa := open(t, cfg)
		cfg.Algorithm = jose.MLDSA65
		var first string
		for range 2 { // a restart goes on with the same key
			pq := open(t, cfg)
			accepts(t, pq, rsa)
			accepts(t, pq, pq)
			set := rows(t, s)
			if len(set.Keys) != 2 || set.First(store.KeyActive, "").KID != rsa.Active().KID || pq.Active().KID != rsa.Active().KID || set.First(store.KeyPending, "").Algorithm != "ML-DSA-65" {
				t.Fatalf("%d keys, active %s", len(set.Keys), set.First(store.KeyActive, "").KID)
			}
			if first == "" {
				first = set.First(store.KeyPending, "").KID
			}
			if set.First(store.KeyPending, "").KID != first {
				t.Error("the restart made another next key")
			}
		}
		if loaded, err := load(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.ES256, Store: s}); err != nil || loaded.Keys()[0].KID != rsa.Active().KID || len(rows(t, s).Keys) != 2 {
			t.Errorf("a look with another algorithm configured: %v", err)
		}
		cfg.Algorithm = jose.RS256
		back := open(t, cfg)
		if created(back) || back.Active().KID != rsa.Active().KID || len(back.Published().Keys()) != 1 {
			t.Errorf("back before the new key signed: created %v, %d keys", created(back), len(back.Published().Keys()))
		}
		if row := rows(t, s).Key(first); row.Status != store.KeyRemoved {
			t.Errorf("the withdrawn key is %s", row.Status)
		}
		if files := strings.Join(list(t, dir), " "); strings.Contains(files, first) {
			t.Errorf("its file is still there: %s", files)
		}
	})
}

// An earlier installation had changed its algorithm, as the original let it: tokens of
// the former key were refused from then on.
func TestThePairOfAnotherAlgorithmIsLeft(t *testing.T) {
	s, dir := storetest.Open(t), pair(t, jose.MLDSA65)
	rsa := read(t, filepath.Join(pair(t, jose.RS256), "private.pem"))
	write(t, filepath.Join(dir, "private.pem"), rsa, 0o600)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: s}
	open(t, cfg)
	rotate(t, cfg, true)
	if set := rows(t, s); len(set.Keys) != 2 || set.Keys[0].Algorithm != "ML-DSA-65" || set.Keys[1].Algorithm != "ML-DSA-65" {
		t.Errorf("%+v", set)
	}
	if !bytes.Equal(read(t, filepath.Join(dir, "private.pem")), rsa) {
		t.Error("it was touched")
	}
}

func TestSealedKeysNeedNoFolderAndTheRightMasterKey(t *testing.T) {
	for _, algorithm := range signable {
		s := storetest.OpenURL(t, storetest.Postgres(t))
		var log bytes.Buffer
		cfg := keyring.Config{Dir: noFolder(t), Algorithm: algorithm, Store: s, Master: master(t, 1), Log: slog.New(slog.NewTextHandler(&log, nil))}
		first := open(t, cfg)
		if !created(first) || first.Active().File != "" {
			t.Errorf("%+v", first.Active())
		}
		if _, err := os.Stat(cfg.Dir); !os.IsNotExist(err) {
			t.Errorf("made the folder: %v", err)
		}
		if sealed := rows(t, s).First(store.KeyActive, "").Sealed; !strings.HasPrefix(sealed, "v1.") || strings.Contains(sealed, "PRIVATE") || strings.Contains(log.String(), sealed[20:40]) {
			t.Errorf("sealed as %.40s", sealed)
		}
		second := open(t, keyring.Config{Dir: noFolder(t), Algorithm: algorithm, Store: s, Master: master(t, 1)})
		if created(second) {
			t.Error("made another")
		}
		accepts(t, second, first)
		accepts(t, first, second)

		kid := first.Active().KID
		cfg.Master = master(t, 2)
		refused(t, cfg, kid, "auth.master_key is not the master key")
		cfg.Master = nil
		cfg.Dir = t.TempDir()
		refused(t, cfg, kid, "auth.master_key is not set", "AUTH_MASTER_KEY")
	}
}

func TestASealedKeyOpensInItsOwnRowOnly(t *testing.T) {
	url := storetest.Postgres(t)
	s := storetest.OpenURL(t, url)
	cfg := keyring.Config{Dir: noFolder(t), Algorithm: jose.MLDSA65, Store: s, Master: master(t, 1)}
	open(t, cfg)
	kid := rotate(t, cfg, true)
	storetest.Exec(t, url, `UPDATE signing_keys SET sealed_key = (SELECT sealed_key FROM signing_keys WHERE status = 'retiring') WHERE status = 'active'`)
	refused(t, cfg, kid, "was replaced")
	storetest.Exec(t, url, `UPDATE signing_keys SET sealed_key = 'v1.x.y', public_key = '{}' WHERE status = 'active'`)
	refused(t, cfg, kid, "cannot be used")
}

// Moving from SQLite to PostgreSQL keeps the key, its id and the hash key, those
// of the Python server included.
func TestFilesMoveIntoTheDatabase(t *testing.T) {
	dir := pair(t, jose.RS256)
	lite := storetest.SQLite(t)
	storetest.Exec(t, lite, string(read(t, "../store/testdata/original-0.1.sql")))
	source := storetest.OpenURL(t, lite)
	old := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: source}
	before, hash := open(t, old), hashKey(t, old)
	dest := storetest.EmptyPostgres(t)
	if _, err := transfer.Copy(t.Context(), store.Config{URL: lite}, dest, nil); err != nil {
		t.Fatal(err)
	}
	s := storetest.OpenURL(t, dest)
	refused(t, keyring.Config{Dir: noFolder(t), Algorithm: jose.RS256, Store: s, Master: master(t, 1)}, "pico-auth-1", "is not in auth.data_dir")

	var log bytes.Buffer
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s, Master: master(t, 1), Log: slog.New(slog.NewTextHandler(&log, nil))}
	moved := open(t, cfg)
	if got := hashKey(t, cfg); !bytes.Equal(got, hash) {
		t.Errorf("the hash key moves as %x", got)
	}
	if !strings.Contains(log.String(), "moved the signing key into the database") {
		t.Errorf("log %s", log.String())
	}
	cfg.Dir = noFolder(t)
	for _, ring := range []*keyring.Ring{moved, open(t, cfg)} {
		if created(ring) || ring.Active().KID != vault.AdoptedKID || !bytes.Equal(hashKey(t, cfg), hash) || hash == nil {
			t.Errorf("%+v, hash key %x", ring.Active(), hashKey(t, cfg))
		}
		accepts(t, ring, before)
	}
}

func TestAnAdoptionOnPostgresIsDecidedIntoTheDatabase(t *testing.T) {
	dir, url := pair(t, jose.RS256), storetest.EmptyPostgres(t)
	storetest.Exec(t, url, string(read(t, "../store/testdata/original-0.1.sql")))
	s := storetest.OpenURL(t, url)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: s, Master: master(t, 1)}
	first := open(t, cfg)
	cfg.Dir = noFolder(t)
	second := open(t, cfg)
	want := derived(string(read(t, filepath.Join(dir, "private.pem"))))
	if first.Active().KID != vault.AdoptedKID || second.Active() != first.Active() || !bytes.Equal(hashKey(t, cfg), want) {
		t.Errorf("%+v %+v %x", first.Active(), second.Active(), hashKey(t, cfg))
	}
	if files := list(t, dir); len(files) != 2 {
		t.Errorf("the folder has %v", files)
	}
}

// A rotation may be under way when the keys move: all of them are moved, and the rotation continues.
func TestKeysOfEveryStatusMoveIntoTheDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.EdDSA, Store: s}
		before := open(t, cfg)
		rotate(t, cfg, true)
		next := rotate(t, cfg, false)
		cfg.Master, cfg.AtRest = master(t, 1), keyring.Sealed
		open(t, cfg)
		for _, row := range rows(t, s).Keys {
			if !strings.HasPrefix(row.Sealed, "v1.") {
				t.Errorf("the %s key is not sealed", row.Status)
			}
		}
		cfg.Dir = noFolder(t)
		accepts(t, open(t, cfg), before)
		if got := rotate(t, cfg, true); got != next {
			t.Errorf("%s signs, not the one that was next", got)
		}
		if _, err := os.Stat(cfg.Dir); !os.IsNotExist(err) {
			t.Errorf("made the folder: %v", err)
		}
		refused(t, keyring.Config{Dir: cfg.Dir, Algorithm: jose.EdDSA, Store: s, AtRest: keyring.Sealed}, "needs auth.master_key")
	})
}

// In a change of master key one replica after another is restarted, and each
// signs until the reseal, before which all must have been restarted.
func TestAMasterKeyIsReplacedUnderRunningReplicas(t *testing.T) {
	url := storetest.EmptyPostgres(t)
	storetest.Exec(t, url, string(read(t, "../store/testdata/original-0.1.sql")))
	s := storetest.OpenURL(t, url)
	cfg := keyring.Config{Dir: pair(t, jose.RS256), Algorithm: jose.RS256, Store: s, Master: master(t, 1)}
	old := open(t, cfg)
	hash := hashKey(t, cfg)
	cfg.Dir = noFolder(t)
	both := cfg
	both.Master = master(t, 2).After(master(t, 1))
	middle := open(t, both)
	rotate(t, both, false)
	must(t, old.Refresh(t.Context()))
	accepts(t, middle, old)
	for want := 2; want >= 0; want -= 2 { // what rotate sealed is under the new one already
		if n, err := admin(t, both).Reseal(t.Context(), operator); n != want || err != nil {
			t.Errorf("resealed %d, want %d: %v", n, want, err)
		}
	}
	must(t, middle.Refresh(t.Context()))
	fresh := cfg
	fresh.Master = master(t, 2)
	after := open(t, fresh)
	// The rows mean nothing to a server that was not restarted with both.
	if err := old.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "auth.former_master_key") {
		t.Errorf("with the former master key alone: %v", err)
	}
	if err := old.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("with the former master key alone: %v", err)
	}
	for _, ring := range []*keyring.Ring{middle, after} {
		accepts(t, after, ring)
	}
	if !bytes.Equal(hashKey(t, fresh), hash) || len(hash) == 0 {
		t.Error("the hash key of the adopted installation is another one")
	}
	refused(t, cfg, "auth.master_key is not the master key", "auth.former_master_key")
	rotate(t, fresh, true)
	must(t, middle.Refresh(t.Context()))
	accepts(t, after, middle)
	if _, err := admin(t, cfg).Reseal(t.Context(), operator); err == nil {
		t.Error("resealed under a key that does not open anything")
	}
}

func TestReplicasThatStartTogetherAgreeOnOneKey(t *testing.T) {
	for name, sealed := range map[string]bool{"one folder": false, "database": true} {
		t.Run(name, func(t *testing.T) {
			url, shared := storetest.Postgres(t), filepath.Join(t.TempDir(), "keys")
			rings := make([]*keyring.Ring, 6)
			var all sync.WaitGroup
			for i := range rings {
				cfg := keyring.Config{Dir: shared, Algorithm: jose.MLDSA65, Store: storetest.OpenURL(t, url)}
				if sealed {
					cfg.Dir, cfg.Master = noFolder(t), master(t, 1)
				}
				all.Go(func() {
					var err error
					if rings[i], err = start(t.Context(), cfg); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			made := 0
			for _, ring := range rings {
				if ring == nil {
					t.Fatal("not all are there")
				}
				if created(ring) {
					made++
				}
				accepts(t, rings[0], ring)
				accepts(t, ring, rings[0])
			}
			if made != 1 {
				t.Errorf("%d made a key", made)
			}
		})
	}
}

func TestARunningServerFollowsAChangedKey(t *testing.T) {
	for name, sealed := range map[string]bool{"one folder": false, "database": true} {
		t.Run(name, func(t *testing.T) {
			s := storetest.OpenURL(t, storetest.Postgres(t))
			cfg := keyring.Config{Dir: pair(t, jose.RS256), Algorithm: jose.RS256, Store: s}
			if sealed {
				cfg.Master = master(t, 1)
			}
			a, b := open(t, cfg), open(t, cfg)
			before, err := sign(b)
			must(t, err)
			cfg.Algorithm = jose.MLDSA65
			kid := rotate(t, cfg, true)
			a2 := open(t, cfg)
			for _, look := range []func() error{func() error { return b.Recheck(t.Context()) }, func() error { return b.Refresh(t.Context()) }} {
				if err := look(); err != nil {
					t.Fatal(err)
				}
				if b.Active().KID != kid || a2.Active().KID != kid || len(b.Published().Keys()) != 2 {
					t.Errorf("%d keys, active %s", len(b.Published().Keys()), b.Active().KID)
				}
			}
			for _, signer := range []*keyring.Ring{a, a2, b} {
				accepts(t, b, signer)
				accepts(t, a2, signer)
			}
			if _, err := verify(t, b, before); err != nil {
				t.Errorf("a token of the former key: %v", err)
			}
		})
	}
}

// The other replica's folder is not ours, which is a mistake. Its tokens are
// accepted all the same, and ours stay good; when the file turns up it is used.
func TestAnUnavailableKeyIsPublishedAndDoesNotSign(t *testing.T) {
	s := storetest.Open(t)
	cfg := keyring.Config{Dir: pair(t, jose.MLDSA65), Algorithm: jose.MLDSA65, Store: s}
	ring := open(t, cfg)
	kid := ring.Active().KID
	elsewhere := keyring.Config{Dir: t.TempDir(), Algorithm: jose.MLDSA65, Store: s}
	write(t, filepath.Join(elsewhere.Dir, "pqc_secret.bin"), read(t, filepath.Join(cfg.Dir, "pqc_secret.bin")), 0o600)
	fresh := rotate(t, elsewhere, true)
	other := open(t, elsewhere)
	if err := ring.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "still signing with "+kid) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("%v", err)
	}
	if err := ring.Refresh(t.Context()); err != nil {
		t.Errorf("reported twice: %v", err)
	}
	accepts(t, ring, other)
	accepts(t, ring, ring)
	write(t, filepath.Join(cfg.Dir, "key-"+fresh+".bin"), read(t, filepath.Join(elsewhere.Dir, "key-"+fresh+".bin")), 0o600)
	must(t, ring.Refresh(t.Context()))
	if token, err := sign(ring); err != nil {
		t.Error(err)
	} else if h, err := verify(t, other, token); err != nil || h.KeyID != fresh {
		t.Errorf("signs with %s, %v", h.KeyID, err)
	}
}

func TestMadeUpKeysCostFewReads(t *testing.T) {
	s := storetest.Open(t)
	ring := open(t, keyring.Config{Dir: pair(t, jose.RS256), Algorithm: jose.RS256, Store: s})
	var all sync.WaitGroup
	for range 200 { // if they did not share a look, most would wait for longer than they may
		all.Go(func() {
			if err := ring.Recheck(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
