//go:build linux

package torture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk is a file system of that many bytes that is removed at the end of the test.
func smallDisk(t *testing.T, bytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		skip(t, "a small file system cannot be mounted, which needs root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses all free space, until the returned function frees it.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestAFullDiskRefusesWritesAndRecovers(t *testing.T) {
	dir := smallDisk(t, 6<<20)
	s := newSiteAt(t, t.TempDir(), "sqlite:///"+filepath.Join(dir, "auth.db"))
	p := s.start()
	access, refresh := p.session(adminEmail)
	for range 2 {
		empty := fill(t, dir)
		var refused response
		for n := 0; ; n++ { // writes that fit into the log still succeed
			a := p.refresh(refresh)
			if a.status != 200 {
				refused = a
				break
			}
			if refresh = a.field("refresh_token"); n > 2000 {
				t.Fatal("the disk does not become full")
			}
		}
		p.unavailable("a refresh on a full disk", refused)
		p.unavailable("a registration", p.register("unknown@example.org"))
		p.unavailable("a login", p.login(adminEmail))
		p.becomesUnready()
		p.verifies(access)
		p.must(p.me(access))

		empty()
		p.becomesReady()
		a := p.must(p.refresh(refresh)) // the refused one was not used
		access, refresh = a.field("access_token"), a.field("refresh_token")
		p.must(p.login(adminEmail))
	}
	p.noDefects()
	p.stop()
	s.sound()
}

// A disk that is full when the program is killed contains every change that was
// acknowledged.
func TestAFullDiskLosesNothingToKill9(t *testing.T) {
	dir := smallDisk(t, 6<<20)
	s := newSiteAt(t, t.TempDir(), "sqlite:///"+filepath.Join(dir, "auth.db"))
	p := s.start()
	_, refresh := p.session(adminEmail)
	empty := fill(t, dir)
	for {
		a := p.refresh(refresh)
		if a.status != 200 {
			break
		}
		refresh = a.field("refresh_token")
	}
	p.kill()
	empty()
	p = s.start()
	p.must(p.refresh(refresh))
	p.stop()
	s.sound()
}
