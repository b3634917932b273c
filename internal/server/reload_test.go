package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

func TestSelfSignedCertificateIsAllThatAClientMustTrust(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, func(c *config.Config) {
		c.Server.TLSMode = config.SelfSigned
		c.Auth.Issuer = "https://localhost:8100"
	})
	_, rest, _ := strings.Cut(s.out.String(), "certificate   ")
	file, _, _ := strings.Cut(rest, ", self-signed")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the start does not say which file to trust: %v\n%s", err, s.out)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for _, base := range []string{s.base, strings.Replace(s.base, "127.0.0.1", "localhost", 1)} {
		resp, err := client.Get(strings.Replace(base, "http:", "https:", 1) + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if !strings.Contains(s.out.String(), "listening on  https://localhost:") {
		t.Error(s.out)
	}
}

// A hangup makes the running program read its configuration again, and never ends it.
func TestHangupReloadsAndNeverEndsTheServer(t *testing.T) {
	r := newReplica(t, program(t), "sqlite:///"+filepath.Join(t.TempDir(), "auth.db"))
	dir := strings.TrimPrefix(r.env[0], "HOME=")
	configure := func(yaml string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "application.yaml"), []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(serial int64) string {
		sub := filepath.Join(dir, fmt.Sprint(serial))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key := server.WriteCertificate(t, sub, serial)
		return fmt.Sprintf("server: {tls_cert: '%s', tls_key: '%s'}\n", cert, key)
	}
	hangUp := func(says string) {
		t.Helper()
		before := strings.Count(r.log.String(), says)
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		server.Eventually(t, "the log says "+says, func() bool { return strings.Count(r.log.String(), says) > before })
	}
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", strings.TrimPrefix(r.base, "http://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	const record = `"route":"GET /docs"`
	request := func() {
		t.Helper()
		resp, err := (&http.Client{Transport: insecure()}).Get("https" + strings.TrimPrefix(r.base, "http") + "/docs")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}

	configure(pair(1))
	r.start()
	server.Eventually(t, "the server is live", func() bool {
		return tryHealth("https"+strings.TrimPrefix(r.base, "http")) == http.StatusOK
	})
	if got := serial(); got != 1 {
		t.Fatalf("serial %d at the start", got)
	}
	second := pair(2)
	configure(second + "auth: {audience: another}\n")
	hangUp(`"settings":["auth.audience","auth_client.audience"]`)
	if got := serial(); got != 2 {
		t.Errorf("serial %d after a change of the files", got)
	}
	configure(second + "log: {level: warn}\nlog: {}\n")
	hangUp("reloading the configuration failed")
	request()
	server.Eventually(t, "a faulty configuration leaves the level of the log", func() bool { return strings.Contains(r.log.String(), record) })
	if got := serial(); got != 2 {
		t.Errorf("a faulty configuration changes the certificate: serial %d", got)
	}
	configure(second + "log: {level: warn}\nauth: {audience: third}\n")
	hangUp("changed settings take effect at the next start")
	logged := strings.Count(r.log.String(), record)
	request()
	configure(second + "log: {level: warn}\nauth: {audience: fourth}\n")
	hangUp("changed settings take effect at the next start") // what was logged before is written
	if again := strings.Count(r.log.String(), record); again != logged {
		t.Errorf("log.level is not taken over: %d records of requests after %d", again, logged)
	}
	declares := func(id string) bool {
		t.Helper()
		noRedirect := &http.Client{Transport: insecure(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := noRedirect.Get("https" + strings.TrimPrefix(r.base, "http") + "/oauth2/authorize?client_id=" + id +
			"&redirect_uri=https://app.example/callback&response_type=code&scope=openid")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusSeeOther
	}
	if declares("notes") {
		t.Fatal("a client that is not declared is known")
	}
	const notes = "  - {client_id: notes, kind: spa, name: Notes, redirect_uris: [https://app.example/callback]}\n"
	configure(second + "clients:\n" + notes)
	hangUp("configuration reloaded")
	if !declares("notes") {
		t.Errorf("the client that the configuration declares now is not known:\n%s", r.log)
	}
	configure(second + "clients:\n" + notes + "  - {client_id: wiki, kind: spa, name: Wiki, redirect_uris: ['javascript:alert(1)']}\n")
	hangUp("reloading clients failed")
	if !declares("notes") || declares("wiki") {
		t.Error("a faulty client changes the others")
	}
	for range 50 {
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if got := serial(); got != 2 {
		t.Errorf("serial %d after many hangups", got)
	}
	r.stop()
}

// tryHealth requests /livez over a new connection, and returns 0 when there is no response.
func tryHealth(base string) (status int) {
	client := http.Client{Transport: insecure(), Timeout: server.Patience}
	res, err := client.Get(base + "/livez")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}
