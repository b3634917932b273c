//go:build linux

package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const (
	imagesVariable = "TEST_IMAGES" // the folder of the archives of make image
	insideVariable = "TEST_INSIDE" // set in the namespaces
)

// TestMain runs the tests that start programs in a network and a file system of their
// own, like containers: ports and paths are those of the image and of compose.yaml.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(imagesVariable) == "":
		os.Exit(m.Run())
	case os.Getenv(insideVariable) == "":
		os.Exit(again())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this test program in new namespaces and returns its exit code.
func again() int {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "new namespaces need root:", err)
		return 1
	}
	return 0
}

// prepare makes the mounts private and brings the loopback interface up.
func prepare() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// images is the folder of the archives. Without it the test is skipped.
func images(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(imagesVariable)
	if dir == "" {
		t.Skip("SKIPPED: make image-check builds the image and runs this test")
	}
	return dir
}
