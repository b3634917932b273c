package keyring_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// logged is a configuration of files in a new folder, and what is logged.
func logged(t *testing.T) (*clockwork, keyring.Config, *bytes.Buffer) {
	t.Helper()
	c, log := newClockwork(), &bytes.Buffer{}
	cfg := c.config(storetest.Open(t, storetest.WithClock(c.wall)), filepath.Join(t.TempDir(), "keys"))
	cfg.Log = slog.New(slog.NewJSONHandler(log, nil))
	return c, cfg, log
}

// TestAFileOfNoKeyIsNamedAndLeft: a kill between a file and its row leaves one,
// and it may be the only copy of a key.
func TestAFileOfNoKeyIsNamedAndLeft(t *testing.T) {
	_, cfg, log := logged(t)
	cfg.Dir += "[2]" // special characters in a pattern
	open(t, cfg)
	rotate(t, cfg, true)
	rotate(t, cfg, false) // now there is a file of a next and one of a retiring key
	open(t, cfg)
	if strings.Contains(log.String(), "is of no key") {
		t.Errorf("keys that are known: %s", log)
	}
	orphan, err := jose.Generate(jose.EdDSA)
	must(t, err)
	secret, err := orphan.MarshalPEM()
	must(t, err)
	path := filepath.Join(cfg.Dir, "key-"+orphan.Public().Thumbprint()+".pem")
	write(t, path, secret, 0o600)
	open(t, cfg)
	if !strings.Contains(log.String(), "unknown key file: its key is not in the database") || !strings.Contains(log.String(), filepath.Base(path)) {
		t.Errorf("it is not named: %s", log)
	}
	if !bytes.Equal(read(t, path), secret) {
		t.Error("it was touched")
	}
}

// TestAKeyRetiredInTheFutureIsNamed at the start and by a running server: it
// stays published until then.
func TestAKeyRetiredInTheFutureIsNamed(t *testing.T) {
	const says = "was retired in the future"
	c, cfg, log := logged(t)
	ring := open(t, cfg)
	rotate(t, cfg, true)
	succeed(t, ring.Refresh(t.Context()))
	open(t, cfg)
	if strings.Contains(log.String(), says) {
		t.Errorf("a key that was retired now: %s", log)
	}
	c.wall.Advance(365 * 24 * time.Hour)
	rotate(t, cfg, true)
	c.wall.Advance(-365 * 24 * time.Hour)
	succeed(t, ring.Refresh(t.Context()))
	succeed(t, ring.Refresh(t.Context())) // is reported once
	if n := strings.Count(log.String(), says); n != 1 {
		t.Errorf("a running server says it %d times: %s", n, log)
	}
	open(t, cfg)
	if n := strings.Count(log.String(), says); n != 2 {
		t.Errorf("a start says it %d times", n-1)
	}
}

// TestAStartNamesTheKeysThatItCannotUse, of those that will have to sign.
func TestAStartNamesTheKeysThatItCannotUse(t *testing.T) {
	const says = "a signing key cannot be used"
	c, cfg, log := logged(t)
	ring := open(t, cfg)
	next := rotate(t, cfg, false)
	open(t, cfg)
	if strings.Contains(log.String(), says) {
		t.Errorf("one that it can use: %s", log)
	}
	must(t, os.Remove(filepath.Join(cfg.Dir, "key-"+next+".pem")))
	open(t, cfg)
	if !strings.Contains(log.String(), says) || !strings.Contains(log.String(), "key retire "+vault.Argument(next)) {
		t.Errorf("the lost one: %s", log)
	}

	// The list says so, too, instead of promising that it signs in a moment.
	succeed(t, ring.Refresh(t.Context()))
	succeed(t, ring.Step(t.Context()))
	c.pass(time.Hour)
	if err := ring.Step(t.Context()); err == nil {
		t.Error("the step is taken")
	}
	k, err := admin(t, cfg).Key(t.Context(), next)
	must(t, err)
	if k.Status != store.KeyPending || k.Due != 0 || !strings.Contains(k.Problem, "is not in auth.data_dir") {
		t.Errorf("%s in %v: %q", k.Status, k.Due, k.Problem)
	}
	if k, err = admin(t, cfg).Key(t.Context(), ring.Active().KID); err != nil || k.Problem != "" {
		t.Errorf("the active one: %q, %v", k.Problem, err)
	}
}

// TestTimesInTheLogAreReadable, not counts of nanoseconds.
func TestTimesInTheLogAreReadable(t *testing.T) {
	c, cfg, log := logged(t)
	cfg.RotateEvery = time.Hour
	ring := open(t, cfg)
	c.tick(t, time.Hour, ring)
	if !strings.Contains(log.String(), `"in":"5m0s"`) {
		t.Errorf("%s", log)
	}
}

// TestTheRemedyFitsTheKey: no new key is made in the place of one that is recorded, and
// a damaged pair of another algorithm beside the one that signs does not matter.
func TestTheRemedyFitsTheKey(t *testing.T) {
	_, cfg, _ := logged(t)
	active := open(t, cfg).Active().KID
	write(t, filepath.Join(cfg.Dir, "key-"+active+".pem"), []byte("half"), 0o600)
	_, err := start(t.Context(), cfg)
	refusedWith(t, err, "pico-auth key revoke --lost "+vault.Argument(active), "key-"+active+".pem")
	if strings.Contains(err.Error(), "the pair away") {
		t.Errorf("the active one: %v", err)
	}

	_, cfg, _ = logged(t)
	open(t, keyring.Config{Dir: cfg.Dir, Algorithm: jose.EdDSA, Store: storetest.Open(t)})
	write(t, filepath.Join(cfg.Dir, "private.pem"), []byte("half"), 0o600)
	if created(open(t, cfg)) {
		t.Error("a new one was made")
	}
}

func refusedWith(t *testing.T, err error, says, path string) {
	t.Helper()
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v is no sentence", err)
	}
	if !strings.Contains(refusal.Message, says) || !strings.Contains(refusal.Message, path) {
		t.Errorf("%q says neither %q nor %s", refusal.Message, says, path)
	}
	if strings.Contains(refusal.Message, "PRIVATE KEY") {
		t.Errorf("%q shows the file", refusal.Message)
	}
}
