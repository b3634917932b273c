//go:build linux

package torture

import (
	"fmt"
	"os"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

// binary is the program under test. It is a variable of the package since
// TestMain and tests have no other way to share one.
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

// skip says loudly what was not tested, which is an error where everything must be.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED: %s", reason)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s", reason)
}
