//go:build linux

package torture

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// readers are the commands that only read; %s is the ID of the signing key.
var readers = [][]string{
	{"user", "list"},
	{"user", "show", adminEmail},
	{"session", "list", adminEmail},
	{"group", "list"},
	{"org", "list"},
	{"client", "list"},
	{"service-token", "list"},
	{"audit", "list"},
	{"audit", "verify"},
	{"audit", "digest", adminEmail},
	{"key", "list"},
	{"key", "show", "--jwks"},
	{"config", "check"},
	{"config", "show"},
	{"migrate", "--check"},
}

// readOnlyView is the folder at another path, on a file system that refuses writes.
func readOnlyView(t *testing.T, dir string) string {
	t.Helper()
	view := t.TempDir()
	err := syscall.Mount(dir, view, "", syscall.MS_BIND, "")
	if err != nil {
		skip(t, "a folder cannot be mounted a second time, which needs root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(view, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mount("", view, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(view, "x"), nil, 0o600); err == nil {
		t.Fatal("the view can be written")
	}
	return view
}

// through is the site as it is at another path.
func (s *site) through(dir string) *site {
	other := *s
	other.dir, other.database, other.env = dir, "sqlite:///"+filepath.Join(dir, "auth.db"), map[string]string{}
	for name, value := range s.env {
		other.env[name] = strings.ReplaceAll(value, s.dir, dir)
	}
	return &other
}

// files are the names, sizes and times of change of the files below a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() { // a temporary file changes the time of its folder
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&all, path, info.Size(), info.Mode(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// reads runs every reading command, and a backup to another disk.
func (s *site) reads() {
	s.t.Helper()
	for _, args := range readers {
		if code, out := s.run(args...); code != 0 || strings.Contains(out, "level=") {
			s.t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	if _, out := s.run("user", "list"); !strings.Contains(out, "late@example.org") {
		s.t.Errorf("the last change is missing:\n%s", out)
	}
	to := newSite(s.t)
	copied := filepath.Join(to.dir, "copy.db")
	if code, out := s.run("backup", copied); code != 0 {
		s.t.Errorf("backup: exit code %d: %s", code, out)
	}
	if code, out := to.run("restore", copied); code != 0 {
		s.t.Errorf("restore: exit code %d: %s", code, out)
	}
	if _, out := to.run("user", "list"); !strings.Contains(out, "late@example.org") {
		s.t.Errorf("the last change is missing in the backup:\n%s", out)
	}
}

// TestReadingCommandsNeedNoWritableDisk: an operator needs them most when the disk is
// full, or was mounted read-only after a fault, with or without a running server and
// with what a crash has left.
func TestReadingCommandsNeedNoWritableDisk(t *testing.T) {
	for _, state := range []string{"stopped", "running", "killed", "killed, without the index"} {
		for _, disk := range []string{"read-only", "full"} {
			t.Run(state+"/"+disk, func(t *testing.T) {
				dir := smallDisk(t, 8<<20)
				s := newSiteAt(t, dir, "sqlite:///"+filepath.Join(dir, "auth.db"))
				p := s.start()
				p.must(p.register("late@example.org"))
				switch state {
				case "stopped":
					p.stop()
				case "running":
				default:
					p.kill()
					if log, err := os.Stat(s.file() + "-wal"); err != nil || log.Size() == 0 {
						t.Fatalf("there is no log: %v", err)
					}
				}
				if strings.HasSuffix(state, "index") {
					if err := os.Remove(s.file() + "-shm"); err != nil {
						t.Fatal(err)
					}
				}
				seen := s
				if disk == "read-only" {
					seen = s.through(readOnlyView(t, dir))
				} else {
					fill(t, dir)
				}
				seen.env["TMPDIR"] = seen.dir
				before := files(t, dir)
				seen.reads()
				if state == "running" {
					if code, out := seen.run("health"); code != 0 && disk != "full" {
						t.Errorf("health: exit code %d: %s", code, out)
					}
				} else if after := files(t, dir); after != before {
					t.Errorf("a reading command has changed\n%s to\n%s", before, after)
				}
			})
		}
	}
}
