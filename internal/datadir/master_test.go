package datadir_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/seal"
)

var place = seal.Place{Table: "t", Column: "c", Row: "r"}

func folder(t *testing.T) (*datadir.Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	return datadir.New(dir, slog.New(slog.DiscardHandler)), filepath.Join(dir, datadir.MasterFile)
}

func makeMaster(t *testing.T, f *datadir.Folder) *seal.Master {
	t.Helper()
	w, err := f.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	master, err := w.Master()
	if err != nil {
		t.Fatal(err)
	}
	return master
}

// TestTheMasterKeyIsMadeOnce, at the first need, and opens what it sealed.
func TestTheMasterKeyIsMadeOnce(t *testing.T) {
	f, path := folder(t)
	if _, err := f.Master(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before anything is sealed: %v", err)
	}
	var all sync.WaitGroup
	sealed := make([]string, 4)
	for i := range sealed {
		all.Go(func() { sealed[i] = makeMaster(t, f).Seal(place, []byte("secret")) })
	}
	all.Wait()
	info, err := os.Stat(path)
	if err != nil || info.Size() != 32 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	master, err := f.Master()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range sealed {
		if secret, err := master.Open(place, text); err != nil || string(secret) != "secret" {
			t.Errorf("sealed under another one: %v", err)
		}
	}
}

// TestADamagedMasterKeyIsRefused and never made again: what it sealed would be lost.
func TestADamagedMasterKeyIsRefused(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"half":           func(path string) error { return os.Truncate(path, 16) },
		"empty":          func(path string) error { return os.Truncate(path, 0) },
		"open to others": func(path string) error { return os.Chmod(path, 0o644) },
		"a link":         func(path string) error { return errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)) },
	} {
		f, path := folder(t)
		makeMaster(t, f)
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		w, err := f.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Master(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Master(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		w.Close()
	}
}
