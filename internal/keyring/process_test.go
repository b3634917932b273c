//go:build unix

package keyring_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// TestMain lets a test start this binary again as a process that only opens a
// folder and prints what it found.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KEYRING_OPEN"); dir != "" {
		ring, err := keyring.Open(context.Background(), keyring.Config{Dir: dir, Algorithm: jose.Algorithm(os.Getenv("KEYRING_ALGORITHM"))})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(ring.Active().Thumbprint)
		os.Exit(0)
	}
	storetest.Main(m)
}

func process(t *testing.T, dir string, algorithm jose.Algorithm) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "KEYRING_OPEN="+dir, "KEYRING_ALGORITHM="+string(algorithm))
	return cmd
}

func TestProcessesThatStartTogetherShareOneKey(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.MLDSA65} {
		dir := filepath.Join(t.TempDir(), "data")
		var started []*exec.Cmd
		var outputs []*strings.Builder
		for range 5 {
			cmd, out := process(t, dir, algorithm), new(strings.Builder)
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
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	committed := 0
	for round := range rounds {
		dir := filepath.Join(t.TempDir(), "data")
		cmd := process(t, dir, jose.MLDSA65)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * 400 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, err := os.Stat(filepath.Join(dir, "pqc_secret.bin"))
		existed := err == nil
		if existed {
			committed++
		}
		ring, err := keyring.Open(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.MLDSA65})
		if err != nil {
			t.Fatalf("killed after %d steps: %v", round, err)
		}
		if ring.Created() == existed {
			t.Errorf("committed %v, created again %v", existed, ring.Created())
		}
		for _, name := range list(t, dir) {
			if strings.Contains(name, ".new-") {
				t.Errorf("left %s", name)
			}
		}
	}
	t.Logf("%d of %d were committed before the kill", committed, rounds)
}
