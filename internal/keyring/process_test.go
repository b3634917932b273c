//go:build unix

package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestMain lets a test start this binary again as a process that only opens a
// folder and prints what it found.
func TestMain(m *testing.M) {
	if url := os.Getenv("KEYRING_ROTATE"); url != "" {
		fmt.Println(rotateForEver(url, os.Getenv("KEYRING_DIR")))
		os.Exit(1)
	}
	if dir := os.Getenv("KEYRING_OPEN"); dir != "" {
		thumbprint, err := openOnce(os.Getenv("KEYRING_URL"), dir, jose.Algorithm(os.Getenv("KEYRING_ALGORITHM")))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(thumbprint)
		os.Exit(0)
	}
	storetest.Main(m)
}

func openOnce(url, dir string, algorithm jose.Algorithm) (thumbprint string, err error) {
	s, err := store.Open(context.Background(), store.Config{URL: url})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ring, err := start(context.Background(), keyring.Config{Dir: dir, Algorithm: algorithm, Store: s})
	if err != nil {
		return "", err
	}
	return ring.Active().Thumbprint, nil
}

func process(t *testing.T, url, dir string, algorithm jose.Algorithm) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "KEYRING_OPEN="+dir, "KEYRING_URL="+url, "KEYRING_ALGORITHM="+string(algorithm))
	return cmd
}

func TestProcessesThatStartTogetherShareOneKey(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.MLDSA65} {
		dir, url := filepath.Join(t.TempDir(), "data"), storetest.MigratedSQLite(t)
		var started []*exec.Cmd
		var outputs []*strings.Builder
		for range 5 {
			cmd, out := process(t, url, dir, algorithm), new(strings.Builder)
			cmd.Stdout = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			started, outputs = append(started, cmd), append(outputs, out)
		}
		for i, cmd := range started {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, outputs[i])
			}
			if outputs[i].String() != outputs[0].String() {
				t.Errorf("%s: two keys, %s and %s", algorithm, outputs[0], outputs[i])
			}
		}
	}
}

// Killed at any moment of its first start, a server starts again: with the key
// that was committed, or with a new one where none was.
func TestKilledFirstStartLeavesAFolderThatOpens(t *testing.T) {
	rounds, step := 15, 2400*time.Microsecond
	if os.Getenv("TEST_FULL") != "" {
		rounds, step = 60, 600*time.Microsecond
	}
	committed := 0
	for round := range rounds {
		dir, url := filepath.Join(t.TempDir(), "data"), storetest.MigratedSQLite(t)
		cmd := process(t, url, dir, jose.MLDSA65)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * step)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, err := os.Stat(filepath.Join(dir, "pqc_secret.bin"))
		existed := err == nil
		if existed {
			committed++
		}
		ring, err := start(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: storetest.OpenURL(t, url)})
		if err != nil {
			t.Fatalf("killed after %d steps: %v", round, err)
		}
		if created(ring) == existed {
			t.Errorf("committed %v, created again %v", existed, created(ring))
		}
		for _, name := range list(t, dir) {
			if strings.Contains(name, ".new-") {
				t.Errorf("left %s", name)
			}
		}
	}
	t.Logf("%d of %d were committed before the kill", committed, rounds)
}

// rotateForEver changes keys until it is killed: every operation, and both kinds
// of file.
func rotateForEver(url, dir string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		algorithms := []jose.Algorithm{jose.EdDSA, jose.MLDSA65, jose.MLDSA87, jose.EdDSA, jose.ES256}
		d, err := keyring.NewAdmin(keyring.Config{Dir: dir, Algorithm: algorithms[i%len(algorithms)], Store: s})
		if err != nil {
			return err
		}
		kid, _, err := d.Rotate(ctx, operator, "", i%3 != 0)
		if err == nil && i%4 == 1 {
			_, err = d.Revoke(ctx, operator, kid, false)
		}
		if err != nil {
			return err
		}
	}
}

// Killed at any moment of a rotation or a revocation, what the database says and
// what lies in the folder go together again at the next start: the active key
// signs, and of removed keys nothing private is left.
func TestKilledRotationsLeaveUsableKeys(t *testing.T) {
	rounds := 10
	if os.Getenv("TEST_FULL") != "" {
		rounds = 40
	}
	url, dir := storetest.SQLite(t), filepath.Join(t.TempDir(), "keys")
	s := storetest.OpenURL(t, url)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.EdDSA, Store: s}
	open(t, cfg)
	self, err := os.Executable()
	must(t, err)
	for round := range rounds {
		before := rows(t, s).Version
		cmd := exec.CommandContext(t.Context(), self)
		out := new(strings.Builder)
		cmd.Stdout = out
		cmd.Env = append(os.Environ(), "KEYRING_ROTATE="+url, "KEYRING_DIR="+dir)
		must(t, cmd.Start())
		for range 2000 { // until it works
			if rows(t, s).Version > before {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(round*677%23) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if out.Len() > 0 {
			t.Fatalf("it stopped by itself: %s", out)
		}
		cfg.Algorithm = jose.Algorithm(lifecycle.Signer(rows(t, s)).Algorithm)
		ring := open(t, cfg)
		accepts(t, ring, ring)
		set, names := rows(t, s), strings.Join(list(t, dir), " ")
		for _, row := range set.Keys {
			if row.Status == store.KeyRemoved && strings.Contains(names, row.KID) {
				t.Errorf("round %d: %s is removed, and there is %s", round, row.KID, names)
			}
		}
		if strings.Contains(names, ".new-") {
			t.Errorf("round %d: files %s", round, names)
		}
		for _, row := range set.Keys {
			if row.Status == store.KeyRetiring || row.Status == store.KeyPending {
				if _, err := admin(t, cfg).Export(t.Context(), operator, row.KID); err != nil {
					t.Errorf("round %d: the private half of a %s key is lost: %v", round, row.Status, err)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}
