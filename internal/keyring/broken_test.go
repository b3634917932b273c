//go:build unix

package keyring_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func rsaPEM(t *testing.T, bits int) []byte {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Each broken state has a sentence of its own, names the file, and leaves
// every file as it was.
func TestBrokenFoldersAreRefusedByName(t *testing.T) {
	other := t.TempDir() // with two pairs
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.MLDSA65} {
		dir := t.TempDir()
		open(t, keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t)})
		must(t, os.CopyFS(other, os.DirFS(dir)))
		must(t, os.Remove(filepath.Join(other, "keys.lock")))
	}
	bigger := t.TempDir()
	open(t, keyring.Config{Dir: bigger, Algorithm: jose.MLDSA87, Store: storetest.Open(t)})

	cases := []struct {
		name      string
		algorithm jose.Algorithm
		file      string
		damage    func(t *testing.T, path string)
		says      string
	}{
		{"private readable by group", jose.RS256, "private.pem", chmod(0o640), "is open to other users (mode 0640)"},
		{"private readable by all", jose.MLDSA65, "pqc_secret.bin", chmod(0o644), "is open to other users (mode 0644)"},
		{"private writable by others", jose.RS256, "private.pem", chmod(0o602), "chmod 600 "},
		{"private a link", jose.RS256, "private.pem", link, "is a symbolic link"},
		{"private a dangling link", jose.MLDSA65, "pqc_secret.bin", dangle, "is a symbolic link"},
		{"private a folder", jose.RS256, "private.pem", folder, "is a folder"},
		{"private a pipe", jose.RS256, "private.pem", pipe, "neither a file nor a folder"},
		{"private empty", jose.RS256, "private.pem", put(nil, 0o600), "is empty"},
		{"private half", jose.RS256, "private.pem", half, "no complete PEM block; restore it from a backup"},
		{"private garbage", jose.RS256, "private.pem", put([]byte("\x7fELF garbage"), 0o600), "no complete PEM block"},
		{"private huge", jose.RS256, "private.pem", put(bytes.Repeat([]byte("x"), 1<<20), 0o600), "too long"},
		{"private of 1024 bits", jose.RS256, "private.pem", put(rsaPEM(t, 1024), 0o600), "1024 bits; at least 2048"},
		{"private of another pair", jose.RS256, "private.pem", put(read(t, filepath.Join(other, "private.pem")), 0o600), "halves of different keys"},
		{"private is the public one", jose.RS256, "private.pem", put(read(t, filepath.Join(other, "public.pem")), 0o600), "public one"},
		{"secret half", jose.MLDSA65, "pqc_secret.bin", half, "2016 bytes; the expanded private key of ML-DSA-65 has 4032"},
		{"secret of ML-DSA-87", jose.MLDSA65, "pqc_secret.bin", put(read(t, filepath.Join(bigger, "pqc_secret.bin")), 0o600), "4896 bytes"},
		{"secret damaged", jose.MLDSA65, "pqc_secret.bin", flip(3000), "do not belong together"},
		{"secret of another pair", jose.MLDSA65, "pqc_secret.bin", put(read(t, filepath.Join(other, "pqc_secret.bin")), 0o600), "halves of different keys"},
		{"public a link", jose.RS256, "public.pem", link, "is a symbolic link"},
		{"public a folder", jose.MLDSA65, "pqc_public.bin", folder, "is a folder"},
		{"public empty", jose.RS256, "public.pem", put(nil, 0o644), "is empty"},
		{"public half", jose.RS256, "public.pem", half, "delete it to have it derived"},
		{"public garbage", jose.MLDSA65, "pqc_public.bin", put([]byte("garbage"), 0o644), "delete it to have it derived"},
		{"public of another pair", jose.RS256, "public.pem", put(read(t, filepath.Join(other, "public.pem")), 0o644), "halves of different keys"},
		{"public of another pair, ML-DSA", jose.MLDSA65, "pqc_public.bin", put(read(t, filepath.Join(other, "pqc_public.bin")), 0o644), "halves of different keys"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := pair(t, c.algorithm)
			cfg := keyring.Config{Dir: dir, Algorithm: c.algorithm, Store: storetest.Open(t)}
			path := filepath.Join(dir, c.file)
			c.damage(t, path)
			before := fingerprint(t, dir)
			for range 2 {
				_, err := start(t.Context(), cfg)
				refusedWith(t, err, c.says, path)
			}
			if after := fingerprint(t, dir); after != before {
				t.Errorf("files changed:\n%s\n%s", before, after)
			}
		})
	}
}

func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range list(t, dir) {
		if name == "keys.lock" {
			continue
		}
		info, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		all.WriteString(name + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
	}
	return all.String()
}

func chmod(mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) { must(t, os.Chmod(path, mode)) }
}

func put(data []byte, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) { write(t, path, data, mode) }
}

func half(t *testing.T, path string) {
	data := read(t, path)
	must(t, os.Truncate(path, int64(len(data)/2)))
}

func flip(at int) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		data := read(t, path)
		data[at] ^= 4
		write(t, path, data, 0o600)
	}
}

func link(t *testing.T, path string) {
	must(t, os.Rename(path, path+".real"))
	must(t, os.Symlink(path+".real", path))
}

func dangle(t *testing.T, path string) {
	must(t, os.Remove(path))
	must(t, os.Symlink(path+".missing", path))
}

func folder(t *testing.T, path string) {
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700))
}

func pipe(t *testing.T, path string) {
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(path, 0o600))
}

func TestModesFromTheFirstInstant(t *testing.T) {
	previous := syscall.Umask(0)
	defer syscall.Umask(previous)
	for _, algorithm := range signable {
		dir := filepath.Join(t.TempDir(), "data")
		open(t, keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t)})
		private, public := files(algorithm)
		for path, want := range map[string]os.FileMode{
			dir: 0o700, filepath.Join(dir, private): 0o600, filepath.Join(dir, public): 0o644, filepath.Join(dir, "keys.lock"): 0o600,
		} {
			info, err := os.Stat(path)
			must(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s: mode %#o, want %#o", path, got, want)
			}
		}
	}
}

func TestLooserFolderAndPublicFileAreTightenedAndLogged(t *testing.T) {
	dir := pair(t, jose.RS256)
	cfg := keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)}
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Join(dir, "public.pem"), 0o666))
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	open(t, cfg)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "public.pem"): 0o644} {
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %#o, want %#o", path, got, want)
		}
	}
	for _, want := range []string{"tightened the folder", "from=0755", "tightened a public key file", "from=0666"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
}

func TestMissingPublicFileIsDerived(t *testing.T) {
	for _, algorithm := range signable {
		dir := t.TempDir()
		var log bytes.Buffer
		cfg := keyring.Config{Dir: dir, Algorithm: algorithm, Store: storetest.Open(t), Log: slog.New(slog.NewTextHandler(&log, nil))}
		first := open(t, cfg)
		_, public := files(algorithm)
		path := filepath.Join(dir, public)
		before := read(t, path)
		must(t, os.Remove(path))
		second := open(t, cfg)
		if created(second) || second.Active() != first.Active() || !bytes.Equal(read(t, path), before) {
			t.Errorf("%s: created %v, %+v", algorithm, created(second), second.Active())
		}
		if !strings.Contains(log.String(), "derived a missing public key file") {
			t.Errorf("%s: log %s", algorithm, log.String())
		}
	}
}

// What a kill between the two renames leaves: the public half alone.
func TestPublicFileAloneWasNeverAPair(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r[2]") // special characters in a pattern
	var log bytes.Buffer
	cfg := keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: storetest.Open(t), Log: slog.New(slog.NewTextHandler(&log, nil))}
	first := open(t, cfg)
	must(t, os.Remove(filepath.Join(dir, "pqc_secret.bin")))
	write(t, filepath.Join(dir, "pqc_secret.bin.new-abc"), []byte("half"), 0o600)
	cfg.Store = storetest.Open(t) // the kill came before the first record
	second := open(t, cfg)
	if !created(second) || second.Active().Thumbprint == first.Active().Thumbprint {
		t.Errorf("created %v", created(second))
	}
	if !strings.Contains(log.String(), "without a private key file") || !strings.Contains(log.String(), "removed an unfinished file") {
		t.Errorf("log %s", log.String())
	}
	open(t, cfg)
}

// A pair that cannot be committed whole is not committed at all.
func TestFailedCreationLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "pqc_public.bin")
	must(t, os.Mkdir(blocked, 0o700))
	_, err := start(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: storetest.Open(t)})
	refusedWith(t, err, "cannot be written", blocked)
	for _, name := range list(t, dir) {
		if name != "keys.lock" && name != "pqc_public.bin" {
			t.Errorf("left %s", name)
		}
	}
}

func TestDataDirMustBeAFolderOfItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("x"), 0o600)
	shared := t.TempDir()
	must(t, os.Chmod(shared, 0o777|os.ModeSticky))
	for path, says := range map[string]string{
		file:                         "is not a folder",
		filepath.Join(file, "below"): "not a directory",
		shared:                       "shared by all users",
	} {
		_, err := start(t.Context(), keyring.Config{Dir: path, Algorithm: jose.RS256, Store: storetest.Open(t)})
		refusedWith(t, err, says, path)
	}
	if info, err := os.Stat(shared); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a shared folder was changed to %v %v", info.Mode(), err)
	}
}

// asUnprivileged runs the test without the rights of root, which ignores modes. It
// returns a database that the test can open.
func asUnprivileged(t *testing.T, paths ...string) *store.Store {
	t.Helper()
	url := storetest.MigratedSQLite(t)
	if os.Geteuid() != 0 {
		return storetest.OpenURL(t, url)
	}
	const unprivileged = 65534
	must(t, os.Chmod(filepath.Dir(t.TempDir()), 0o755))
	file := strings.TrimPrefix(url, "sqlite:///")
	paths = append(paths, filepath.Dir(file), file)
	for _, path := range paths {
		must(t, os.Chown(path, unprivileged, unprivileged))
	}
	must(t, syscall.Seteuid(unprivileged))
	t.Cleanup(func() { must(t, syscall.Seteuid(0)) })
	return storetest.OpenURL(t, url)
}

func TestFolderThatCannotBeReadIsRefused(t *testing.T) {
	dir := pair(t, jose.RS256)
	must(t, os.Chmod(dir, 0))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o700)) })
	db := asUnprivileged(t, dir)
	_, err := start(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: db})
	refusedWith(t, err, "permission denied", dir)
	below := filepath.Join(dir, "below")
	_, err = start(t.Context(), keyring.Config{Dir: below, Algorithm: jose.RS256, Store: db})
	refusedWith(t, err, "permission denied", below)
}

func TestFileThatCannotBeReadIsRefused(t *testing.T) {
	dir := pair(t, jose.RS256)
	path := filepath.Join(dir, "private.pem")
	must(t, os.Chmod(path, 0))
	db := asUnprivileged(t, dir, path)
	_, err := start(t.Context(), keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: db})
	refusedWith(t, err, "permission denied", path)
}

// A complete pair in a folder that cannot be written is enough to serve.
func TestFolderThatCannotBeWrittenServes(t *testing.T) {
	dir := pair(t, jose.RS256)
	first := open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: storetest.Open(t)})
	must(t, os.Remove(filepath.Join(dir, "keys.lock")))
	must(t, os.Remove(filepath.Join(dir, "public.pem")))
	must(t, os.Chmod(dir, 0o500))
	db := asUnprivileged(t, dir, filepath.Join(dir, "private.pem"))
	ring := open(t, keyring.Config{Dir: dir, Algorithm: jose.RS256, Store: db})
	if ring.Active().Thumbprint != first.Active().Thumbprint {
		t.Errorf("%+v", ring.Active())
	}
}

func TestFolderThatCannotBeWrittenCreatesNothing(t *testing.T) {
	empty := t.TempDir()
	must(t, os.Chmod(empty, 0o500))
	db := asUnprivileged(t, empty)
	_, err := start(t.Context(), keyring.Config{Dir: empty, Algorithm: jose.RS256, Store: db})
	refusedWith(t, err, "cannot be written", empty)
}

// A folder of another owner with a loose mode is used, and logged.
func TestFolderOfAnotherOwnerIsOnlyWarnedAbout(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a folder of another owner")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	db := asUnprivileged(t)
	var log bytes.Buffer
	open(t, keyring.Config{Dir: dir, Algorithm: jose.MLDSA65, Store: db, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "its mode cannot be changed") {
		t.Errorf("log %s", log.String())
	}
}

// TestAListChangesNothing: it runs beside servers and takes no lock, and what is
// wrong with a public file says nothing of the private one.
func TestAListChangesNothing(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"missing": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"open":    chmod(0o666),
		"half":    half,
	} {
		t.Run(name, func(t *testing.T) {
			_, cfg, _ := logged(t)
			active := open(t, cfg).Active().KID
			damage(t, filepath.Join(cfg.Dir, "eddsa_public.pem"))
			must(t, os.Remove(filepath.Join(cfg.Dir, "keys.lock")))
			before := fingerprint(t, cfg.Dir)
			k, err := admin(t, cfg).Key(t.Context(), active)
			if err != nil || k.Problem != "" {
				t.Errorf("the key that signs: %q, %v", k.Problem, err)
			}
			if after := fingerprint(t, cfg.Dir); after != before {
				t.Errorf("files changed:\n%s\n%s", before, after)
			}
		})
	}
}
