//go:build linux

package torture

import (
	"fmt"
	"os"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// binary is the program under test. It is a variable of the package since
// TestMain and the tests can share it only in this way.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "torture-")
	if err == nil {
		binary, err = programtest.Build(dir)
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// skip skips a test with a prominent message; in CI it is an error.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED: %s", reason)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s", reason)
}
