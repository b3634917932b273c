// Package programtest builds pico-auth for tests that run it as a process, or
// returns the build that all test packages share, and finds ports for it.
//
// It does not start the program. Tests that do so call it.
package programtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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

// FreePort returns a port of 127.0.0.1 on which nothing listens now.
func FreePort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
