package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Kubernetes and compose mount secrets with mode 0644, and read-only; no command of the
// operator can change that.
func TestAMountedSecretIsNotWarnedAbout(t *testing.T) {
	dir, mounted := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "master")
	if err := os.WriteFile(file, []byte(masterStd+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(dir, mounted, "", syscall.MS_BIND, ""); err != nil {
		t.Skip("a folder cannot be mounted a second time, which needs root: " + err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(mounted, syscall.MNT_DETACH) })
	warned := func(path string) bool {
		t.Helper()
		_, warnings, err := load(t, "", postgres, "AUTH_MASTER_KEY_FILE="+path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(warnings, "\n"), "chmod")
	}
	if !warned(filepath.Join(mounted, "master")) {
		t.Error("a mount that can be written hides the mode")
	}
	if err := syscall.Mount("", mounted, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if warned(filepath.Join(mounted, "master")) {
		t.Error("a mounted secret is warned about")
	}
	if !warned(file) {
		t.Error("the same file elsewhere is not warned about")
	}
}

// root:pico-auth 0640 is how packages give a service its secret.
func TestTheGroupOfAFileOfAnotherAccountMayReadIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master")
	for mode, open := range map[os.FileMode]bool{0o640: false, 0o440: false, 0o660: true, 0o644: true} {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(masterStd+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, 65534, -1); err != nil {
			t.Skip("the owner cannot be changed, which needs root: " + err.Error())
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := load(t, "", postgres, "AUTH_MASTER_KEY_FILE="+file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(warnings, "\n"), "chmod"); got != open {
			t.Errorf("%04o: %q", mode, warnings)
		}
	}
}
