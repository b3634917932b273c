//go:build linux

package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the program under test. It is a variable of the package since
// TestMain and tests have no other way to share one.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "torture-")
	if err == nil {
		binary = filepath.Join(dir, "pico-auth")
		err = build(binary)
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "build the program:", err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the program as a release does, without the race detector: it
// would spend the time on finding races that the other tests look for.
func build(path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/pico-auth/pico-auth/cmd/pico-auth")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// skip says loudly what was not tested, which is an error where everything must be.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED: %s", reason)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s", reason)
}
