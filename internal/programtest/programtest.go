// Package programtest builds pico-auth for tests that run it as a process, or
// returns the build that all test packages share.
//
// It does not start the program. The tests of torture, server and bench call it.
package programtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Variable is the one of the environment in which a run of many test packages
// names the program that it built for all of them.
const Variable = "TEST_PROGRAM"

// Build returns the path of pico-auth, built as a release is: without C and
// without the race detector. Where there is none yet it is made in dir.
func Build(dir string) (path string, err error) {
	if path = os.Getenv(Variable); path != "" {
		_, err = os.Stat(path) // go test sees this, and tests again when the program has changed
		return path, err
	}
	path = filepath.Join(dir, "pico-auth")
	cmd := exec.Command("go", "build", "-o", path, "github.com/pico-auth/pico-auth/cmd/pico-auth") //nolint:gosec,noctx // go itself, which ends by itself
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}
