package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Kubernetes and compose mount secrets with mode 0644, and read-only; no command of the
// operator can change that. ProtectSystem=strict of systemd mounts the file system of the
// machine read-only, where the operator can.
func TestAMountedSecretIsNotWarnedAbout(t *testing.T) {
	if !onRoot(t) {
		t.Skip("temporary files are not on the file system of /")
	}
	for name, c := range map[string]struct {
		fstype string // empty: a folder of the machine is mounted a second time
		warned bool
	}{"of its own": {"tmpfs", false}, "of the machine": {"", true}} {
		t.Run(name, func(t *testing.T) {
			source, mounted := t.TempDir(), t.TempDir()
			flags := uintptr(0)
			if c.fstype == "" {
				flags = syscall.MS_BIND
			}
			if err := syscall.Mount(source, mounted, c.fstype, flags, ""); err != nil {
				t.Skip("nothing can be mounted, which needs root: " + err.Error())
			}
			t.Cleanup(func() { _ = syscall.Unmount(mounted, syscall.MNT_DETACH) })
			file := filepath.Join(mounted, "master")
			if err := os.WriteFile(file, []byte(masterStd+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			warned := func() bool {
				t.Helper()
				_, warnings, err := load(t, "", postgres, "AUTH_MASTER_KEY_FILE="+file)
				if err != nil {
					t.Fatal(err)
				}
				return strings.Contains(strings.Join(warnings, "\n"), "chmod")
			}
			if !warned() {
				t.Error("a mount that can be written hides the mode")
			}
			if err := syscall.Mount("", mounted, "", flags|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if got := warned(); got != c.warned {
				t.Errorf("mounted read-only: warned about %v", got)
			}
		})
	}
}

// onRoot reports whether temporary files are on the file system of /.
func onRoot(t *testing.T) bool {
	t.Helper()
	var temporary, root syscall.Stat_t
	return syscall.Stat(t.TempDir(), &temporary) == nil && syscall.Stat("/", &root) == nil && temporary.Dev == root.Dev
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
