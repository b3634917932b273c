//go:build unix

package keyring_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

const serverUID = 65532 // the account of the server in these tests

// TestFilesThatRootWritesBelongToTheOwnerOfTheFolder: a server of another account has to
// read what a command that root runs writes.
func TestFilesThatRootWritesBelongToTheOwnerOfTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	must(t, os.Chown(dir, serverUID, serverUID))
	cfg := newClockwork().config(storetest.Open(t), dir)
	root := os.Getuid()
	write(t, filepath.Join(dir, "keys.lock"), nil, 0o600) // an earlier version left it so
	must(t, os.Chown(filepath.Join(dir, "keys.lock"), root, root))

	ring := open(t, cfg)
	allBelongToSomebody(t, dir, "a start", 3)
	must(t, os.Remove(filepath.Join(dir, "eddsa_public.pem")))
	open(t, cfg)
	allBelongToSomebody(t, dir, "deriving a public half", 3)
	rotate(t, cfg, false)
	allBelongToSomebody(t, dir, "rotate", 4)
	second := rotate(t, cfg, true)
	allBelongToSomebody(t, dir, "rotate --now", 4)
	key, err := jose.Generate(jose.EdDSA)
	must(t, err)
	secret, err := key.MarshalPEM()
	must(t, err)
	d := admin(t, cfg)
	_, err = d.Import(t.Context(), operator, "", secret)
	must(t, err)
	allBelongToSomebody(t, dir, "import", 5)
	_, err = d.Revoke(t.Context(), operator, second, false)
	must(t, err)
	allBelongToSomebody(t, dir, "revoke", 4)
	succeed(t, ring.Refresh(t.Context()))
	if ring.Behind() {
		t.Error("the server cannot read the active key")
	}
}

func allBelongToSomebody(t *testing.T, dir, after string, want int) {
	t.Helper()
	names := list(t, dir)
	if len(names) != want {
		t.Errorf("after %s: %v", after, names)
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if has := info.Sys().(*syscall.Stat_t); has.Uid != serverUID || has.Gid != serverUID {
			t.Errorf("after %s, %s belongs to %d:%d", after, name, has.Uid, has.Gid)
		}
	}
}

// TestRootChangesNoOwnerOfALinkedFile: the owner of the folder could get any
// file of root by a link.
func TestRootChangesNoOwnerOfALinkedFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can write for another account")
	}
	outside := filepath.Join(t.TempDir(), "shadow")
	write(t, outside, []byte("secret"), 0o600)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	must(t, os.Chown(dir, serverUID, serverUID))
	must(t, os.Link(outside, filepath.Join(dir, "keys.lock")))
	if _, err := start(t.Context(), newClockwork().config(storetest.Open(t), dir)); err == nil {
		t.Error("the lock is taken")
	}
	info, err := os.Stat(outside)
	must(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("it belongs to %d now", uid)
	}
}
