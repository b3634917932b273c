package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
)

func ownCertificate(t *testing.T, dir string, now *time.Time) *selfSigned {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	return &selfSigned{folder: datadir.New(dir, log), log: log, now: func() time.Time { return *now }}
}

// trusted returns the certificate of the file that programs trust, and requires that it
// is valid for the names of this machine then.
func trusted(t *testing.T, dir string, now time.Time) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, trustFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	file := filepath.Join(dir, selfSignedFile)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return pair.Leaf
}

func TestSelfSignedCertificateIsKeptUntilItExpires(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "keys"), time.Now()
	own := ownCertificate(t, dir, &now)
	if err := own.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := trusted(t, dir, now)
	if first.IsCA {
		t.Error("who trusts the server trusts every certificate that it signs")
	}
	if info, err := os.Stat(filepath.Join(dir, selfSignedFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the private file: %v %v", info.Mode(), err)
	}
	certs, err := loadCertificate(filepath.Join(dir, selfSignedFile), filepath.Join(dir, selfSignedFile), own.log, own.now)
	if err != nil {
		t.Fatal(err)
	}
	certs.renew = own.renew
	served := func() *x509.Certificate {
		t.Helper()
		pair, err := certs.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf
	}
	now = now.Add(780 * 24 * time.Hour)
	if !served().Equal(first) || !trusted(t, dir, now).Equal(first) {
		t.Error("another certificate long before the end")
	}
	if err := os.Remove(filepath.Join(dir, trustFile)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if !served().Equal(first) || !trusted(t, dir, now).Equal(first) {
		t.Error("the file to trust is not written again")
	}
	now = now.Add(20 * 24 * time.Hour)
	if next := served(); next.Equal(first) || !trusted(t, dir, now).Equal(next) {
		t.Error("it is not renewed before its end")
	}
}

func TestDamagedSelfSignedCertificateIsRefusedAndNotReplaced(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"half":           func(file string) error { return os.Truncate(file, 300) },
		"open to others": func(file string) error { return os.Chmod(file, 0o644) },
	} {
		dir, now := filepath.Join(t.TempDir(), "keys"), time.Now()
		own := ownCertificate(t, dir, &now)
		if err := own.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, selfSignedFile)
		if err := damage(file); err != nil {
			t.Fatal(err)
		}
		if err := own.renew(t.Context()); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
