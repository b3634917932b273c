// Package programtest builds pico-auth for tests that run it as a process, or
// returns the build that all test packages share, and finds ports for it.
//
// It does not start the program. Tests that do so call it.
package programtest

import (
	"fmt"
	"math/rand/v2" //nolint:depguard // a port is no secret
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// FreePort returns a port of 127.0.0.1 on which nothing listens now, and which no other test
// gets until this one ends. It is not one of those that the system gives to connections and
// to listeners without a port, which could take it before the program does.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		const first, ports = 10_000, 10_000
		number := first + rand.IntN(ports) //nolint:gosec // as above
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(number))
		// A UDP port marks it as taken among all processes: another one, since a program may
		// want that of the same number.
		mark, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number+ports)))
		if err != nil {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			_ = mark.Close()
			continue
		}
		_ = listener.Close()
		t.Cleanup(func() { _ = mark.Close() })
		return strconv.Itoa(number)
	}
	t.Fatal("no port is free")
	return ""
}
