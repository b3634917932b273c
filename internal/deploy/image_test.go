//go:build linux

package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	base     = "http://127.0.0.1:8100"
	password = "of the first administrator"
)

// formats are the two archives of make image.
var formats = []struct {
	name, file string
	read       func(*testing.T, string) image
}{
	{"docker", "pico-auth-docker.tar", readDocker},
	{"OCI", "pico-auth-oci.tar", readOCI},
}

func TestImageRunsFromEitherArchive(t *testing.T) {
	dir := images(t)
	for _, format := range formats {
		t.Run(format.name, func(t *testing.T) {
			found := format.read(t, filepath.Join(dir, format.file))
			root, files := found.unpack(t)
			slices.Sort(files)
			if want := []string{"data/README", "etc/ssl/certs/ca-certificates.crt", "licenses/LICENSE", "licenses/THIRD-PARTY-LICENSES.txt", "pico-auth"}; !cmp.Equal(files, want) {
				t.Errorf("the image has %q, want %q", files, want)
			}
			runs(t, container{t: t, root: root, config: found.config})
		})
	}
}

// runs starts a container twice: the second one finds what the first one stored.
func runs(t *testing.T, c container) {
	t.Helper()
	if _, ok := c.config.Volumes["/data"]; !ok {
		t.Error("/data is no volume")
	}
	if _, ok := c.config.ExposedPorts["8100/tcp"]; !ok {
		t.Error("the port 8100 is not exposed")
	}
	if code := c.start().code(); code != 2 {
		t.Errorf("a start on all interfaces with the default password exits with %d, want 2", code)
	}
	c.env = []string{"AUTH_ADMIN_PASSWORD=" + password, "AUTH_ISSUER=https://auth.example.com", "SERVER_METRICS_LISTEN=:9100"}
	if c.health() == nil {
		t.Error("the health check succeeds without a server")
	}

	first := c.start()
	first.until("health check", c.health)
	signs := signIn(t, "admin@pico.local", password)
	status, body := call(t, http.DefaultClient, http.MethodPost, base+"/api/v1/auth/register", "",
		map[string]string{"email": "alice@example.com", "password": "correct horse", "display_name": "Alice"})
	if status != http.StatusOK {
		t.Fatalf("registration: %d %s", status, body)
	}
	if _, metrics := call(t, http.DefaultClient, http.MethodGet, "http://127.0.0.1:9100/metrics", "", nil); !strings.Contains(metrics, "go_gc_gomemlimit_bytes 2.68435456e+08") {
		t.Error("the metrics do not have the memory limit of the image")
	}
	if out, err := c.command(c.config.Entrypoint[0], "user", "list").CombinedOutput(); err != nil || !strings.Contains(string(out), "alice@example.com") {
		t.Errorf("a command in the running container: %v: %s", err, out)
	}
	first.stop()

	second := c.start()
	second.until("health check", c.health)
	signIn(t, "alice@example.com", "correct horse")
	if status, body := call(t, http.DefaultClient, http.MethodGet, base+"/api/v1/auth/me", signs, nil); status != http.StatusOK {
		t.Errorf("a token of the first container at the second: %d %s", status, body)
	}
	second.stop()
	private(t, filepath.Join(c.root, "data"))
}

// signIn returns an access token.
func signIn(t *testing.T, email, password string) string {
	t.Helper()
	status, body := call(t, http.DefaultClient, http.MethodPost, base+"/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
	var pair struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &pair); status != http.StatusOK || err != nil || pair.AccessToken == "" {
		t.Fatalf("login of %s: %d %s", email, status, body)
	}
	return pair.AccessToken
}

// private fails on a file of the server in the volume that others may read.
func private(t *testing.T, data string) {
	t.Helper()
	for _, name := range []string{"auth.db", ".pico-auth/private.pem", ".pico-auth/master.key"} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != 0o600 {
			t.Errorf("%s has the mode %s", name, info.Mode())
		}
	}
}

func TestImagesDifferInTheirFormatOnly(t *testing.T) {
	dir := images(t)
	docker, oci := readDocker(t, filepath.Join(dir, formats[0].file)), readOCI(t, filepath.Join(dir, formats[1].file))
	if diff := cmp.Diff(docker.config, oci.config); diff != "" {
		t.Errorf("docker -, OCI +:\n%s", diff)
	}
	if oci.config.Labels["org.opencontainers.image.version"] == "" {
		t.Error("the image does not name its version")
	}
}

// The image has no operating system, so it must bring the authorities that it trusts,
// and one that an operator mounts in their place must count.
func TestImageTrustsPublicAuthoritiesAndOnesThatAreMounted(t *testing.T) {
	found := readDocker(t, filepath.Join(images(t), formats[0].file))
	root, _ := found.unpack(t)
	file := filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")
	shipped, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := authorities(t, shipped)
	for _, name := range []string{"ISRG Root X1", "DigiCert Global Root G2", "Amazon Root CA 1"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among the %d authorities", name, len(names))
		}
	}
	c := container{t: t, root: root, config: found.config}
	if trusts(t, c, file, shipped) {
		t.Error("a certificate of an unknown authority is trusted")
	}
	if !trusts(t, c, file, nil) {
		t.Error("a certificate of the mounted authority is not trusted")
	}
}

func authorities(t *testing.T, text []byte) (names []string) {
	t.Helper()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, cert.Subject.CommonName)
	}
	return names
}

// trusts reports whether the program in the container completes TLS with a database
// whose certificate a new authority signed. The container trusts the authorities in
// roots; nil is the new one.
func trusts(t *testing.T, c container, file string, roots []byte) bool {
	t.Helper()
	certificate, authority := newCertificate(t)
	if roots == nil {
		roots = authority
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, roots, 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	completed := make(chan bool, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			completed <- false
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 8)) // SSLRequest of PostgreSQL's protocol
		_, _ = conn.Write([]byte("S"))
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
		completed <- secure.Handshake() == nil // the client ends it after it has verified
	}()
	c.env = []string{"DATABASE_URL=postgresql://auth@" + ln.Addr().String() + "/auth?sslmode=verify-full"}
	if out, err := c.command(c.config.Entrypoint[0], "migrate", "--check").CombinedOutput(); err == nil {
		t.Errorf("the database is none, and the check succeeds: %s", out)
	}
	select {
	case ok := <-completed:
		return ok
	case <-time.After(patience):
		t.Fatal("the program does not connect")
		return false
	}
}

// newCertificate returns a certificate for 127.0.0.1 and the authority that signed it.
func newCertificate(t *testing.T) (certificate tls.Certificate, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a database"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: parent.NotBefore, NotAfter: parent.NotAfter,
	}
	root, err := x509.CreateCertificate(rand.Reader, parent, parent, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, parent, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
}
