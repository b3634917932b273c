package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
)

const roleMissing = "has no role, so its tokens without a user have viewer, up to v0.4.0 superadmin: " +
	"set role: viewer if that is enough, otherwise the weakest of operator, org_admin and superadmin that is"

func TestWhatIsIgnoredOrSuspectGetsAWarning(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		env        []string
		want       []string
	}{
		{
			name: "keys of later originals", yaml: "auth: {email_credentials_token: hunter22}\nfastapi: {telemetry: {a: [b]}}\n",
			env: []string{"DATABASE_POOL_SIZE=5", "AUTH_CLIENT_REVOCATION_BEARER=hunter22"},
			want: []string{
				"auth.email_credentials_token (a.yaml:1) has no effect: this server does not return mailbox passwords",
				"fastapi.telemetry (a.yaml:2) has no effect: this mode does not exist",
				"auth_client.revocation_bearer (environment AUTH_CLIENT_REVOCATION_BEARER) has no effect: the server reads from its database whether a session has ended",
				"database.pool_size (environment DATABASE_POOL_SIZE) has no effect: the server chooses its own connection pools",
			},
		},
		{
			name: "unknown variables", env: []string{"AUTH_CLIENT_ISUER=x", "SERVER_SOFTWARE=y", "THROTTLE_ENABLE=false", "AUDIT_RETENTION=5", "GROUPS_VISIBLE=members", "LOG_LEVEL=debug", "AUTH_ISSUER_FILE=z", "PATH=p", "AUTH=a", "AUTHOR_X=b", "_="},
			want: []string{
				"environment AUDIT_RETENTION is not a setting and is ignored",
				"environment AUTH_CLIENT_ISUER is not a setting and is ignored",
				"environment AUTH_ISSUER_FILE is not a setting and is ignored",
				"environment GROUPS_VISIBLE is not a setting and is ignored",
				"environment SERVER_SOFTWARE is not a setting and is ignored",
				"environment THROTTLE_ENABLE is not a setting and is ignored",
			},
		},
		{
			name: "sessions shorter than tokens", yaml: "auth: {session_max_days: 5}",
			want: []string{"auth.refresh_token_expire_days (default) is longer than auth.session_max_days: every session ends with the latter"},
		},
		{
			name: "idle longer than the session", yaml: "auth: {browser_max_days: 1, browser_idle_hours: 25}",
			want: []string{"auth.browser_idle_hours (a.yaml:1) is longer than auth.browser_max_days: every session in a browser ends with the latter"},
		},
		{
			name: "local issuer for others", env: []string{"SERVER_HOST=0.0.0.0", "GROUPS_VISIBILITY=organization"},
			want: []string{"auth.issuer (default) names this machine only, while server.host (environment SERVER_HOST) accepts remote clients: they cannot fetch the key set"},
		},
		{
			name: "local issuer behind a socket", env: []string{"SERVER_LISTEN=unix:/run/http.sock", "GROUPS_VISIBILITY=members"},
			want: []string{"auth.issuer (default) names this machine only, while server.listen (environment SERVER_LISTEN) is for a proxy: set the address that clients use"},
		},
		{
			name: "all who register see groups", yaml: "server: {host: 0.0.0.0}\nauth: {issuer: 'https://auth.example.com', registration_org: guests}",
			want: []string{"groups.visibility (default) shows the names and members of all groups of guests to everyone who registers: set members, or organization if that is intended"},
		},
		{name: "decided", yaml: "server: {host: 0.0.0.0}\nauth: {issuer: 'https://auth.example.com'}\ngroups: {visibility: members}"},
		{name: "no registration", yaml: "server: {host: 0.0.0.0}\nauth: {issuer: 'https://auth.example.com', registration_enabled: false}"},
		{
			name: "issuer of the documented file", yaml: "auth: {issuer: 'http://localhost:8100'}\nauth_client: {issuer: 'http://localhost:8100'}", env: []string{"AUTH_ISSUER=https://auth.example.com"},
			want: []string{"auth_client.issuer (a.yaml:2) differs from auth.issuer (environment AUTH_ISSUER) and follows it: remove it"},
		},
		{
			name: "issuer from a variable in the documented file", yaml: "auth: {issuer: '${ENV:MINE}'}\nauth_client: {issuer: 'http://localhost:8100'}", env: []string{"MINE=https://auth.example.com"},
			want: []string{"auth_client.issuer (a.yaml:2) differs from auth.issuer (a.yaml:1) and follows it: remove it"},
		},
		{
			name: "both of a file that says something else", yaml: "auth: {issuer: 'https://old.example', audience: old}\nauth_client: {issuer: 'https://old.example', audience: old}", env: []string{"AUTH_ISSUER=https://new.example", "AUTH_AUDIENCE=new"},
			want: []string{
				"auth_client.issuer (a.yaml:2) differs from auth.issuer (environment AUTH_ISSUER) and follows it: remove it",
				"auth_client.audience (a.yaml:2) differs from auth.audience (environment AUTH_AUDIENCE) and follows it: remove it",
			},
		},
		{
			name: "plain http", yaml: "auth: {issuer: 'http://auth.example.com'}",
			want: []string{"auth.issuer (a.yaml:1) is plain http: an attacker on the network can replace the key set, and browsers cannot sign in, since their cookies need https"},
		},
		{
			name: "all the world is a proxy", yaml: "server: {trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]}",
			want: []string{"server.trusted_proxies (a.yaml:1) trusts every address: any client can claim any address"},
		},
		{
			name: "clients whose role counts and is not given",
			yaml: `clients:
  - {client_id: staff, kind: machine, scopes: [admin]}
  - {client_id: job, kind: machine, scopes: [roles]}
  - {client_id: old, kind: machine, audiences: [pico-bot]}
  - {client_id: both, kind: web, redirect_uris: ["https://a.example/"], grant_types: [authorization_code, client_credentials], scopes: [openid, roles]}
  - {client_id: decided, kind: machine, scopes: [admin], role: viewer}
  - {client_id: other, kind: machine, audiences: ["https://api.example"]}
  - {client_id: web, kind: web, redirect_uris: ["https://a.example/"], scopes: [openid, roles]}
`,
			want: []string{
				"clients staff (a.yaml:2) " + roleMissing, "clients job (a.yaml:3) " + roleMissing, "clients old (a.yaml:4) " + roleMissing,
				"clients both (a.yaml:5) " + roleMissing,
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, warnings, err := load(t, tc.yaml, tc.env...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLocalURLIsWhereThisMachineReachesTheServer(t *testing.T) {
	for _, c := range []struct {
		want   string
		server config.Server
	}{
		{"http://127.0.0.1:8100", config.Server{Host: "0.0.0.0", Port: 8100}},
		{"http://127.0.0.1:8100", config.Server{Host: "::", Port: 8100}}, // of both families, where the machine has IPv6
		{"https://10.1.2.3:8443", config.Server{Host: "10.1.2.3", Port: 8443, TLSCert: "x"}},
		{"http://auth.local:8100", config.Server{Host: "auth.local", Port: 8100}},
		{"http://localhost", config.Server{Host: "127.0.0.1", Port: 8100, Listen: "unix:/run/http.sock"}},
	} {
		if got := c.server.LocalURL(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestDatabaseURLIsShownWithoutSecrets(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite+aiosqlite:///auth.db":                    "sqlite+aiosqlite:///auth.db",
		"sqlite:////srv/auth.db":                         "sqlite:////srv/auth.db",
		"postgresql://h/db":                              "postgresql://h/db",
		"postgresql://u@h/db":                            "postgresql://u@h/db",
		"postgresql+asyncpg://u:hunter22@h:5432/db":      "postgresql+asyncpg://u:[redacted]@h:5432/db",
		"postgresql://u:hun@ter/22?x@h/db":               "postgresql://u:[redacted]@h/db",
		"postgresql://u:hunter22@h/db?ssl=require":       "postgresql://u:[redacted]@h/db?ssl=require",
		"postgresql://h/db?user=u&password=hunter22&x=1": "postgresql://h/db?user=u&password=[redacted]&x=[redacted]",
	} {
		c := mustLoad(t, "", "DATABASE_URL="+url)
		for _, s := range c.Settings() {
			if s.Key == "database.url" && s.Value != want {
				t.Errorf("%s is shown as %s", url, s.Value)
			}
		}
	}
}

func TestTLSFilesInTheHomeFolderAreFound(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir)
	c := mustLoad(t, "server: {tls_cert: ~/cert.pem, tls_key: ~/key.pem}", "HOME="+dir, "USERPROFILE="+dir)
	if !c.Server.TLS() || c.Server.TLSCert != filepath.Join(dir, "cert.pem") {
		t.Error(c.Server)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("auth: {issuer: 'https://a'}\n", "SERVER_PORT=80")
	f.Add("auth: &a [*a]\n", "AUTH_CLIENT_ISSUER=x")
	f.Add("a: &a {<<: *a}\n---\n", "AUTH_ADMIN_PASSWORD_FILE=/dev/null")
	f.Add("? [x]\n: !!binary x\nauth: {admin_password: \"${ENV:SERVER_PORT}\"}", "SERVER_PORT=\xff")
	f.Add("\x00", "")
	file := filepath.Join(f.TempDir(), "a.yaml")
	f.Fuzz(func(t *testing.T, yaml, pair string) {
		if strings.Contains(pair, "_FILE=") || strings.Contains(pair, "\x00") {
			t.Skip("it reads whatever it names, and no system passes on a variable with a NUL")
		}
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, err := config.Load(config.Options{File: file, Environ: []string{"HOME=/h", "USERPROFILE=/h", pair}})
		for _, line := range append(warnings, c.Auth.Issuer) {
			if strings.Contains(line, "\x00") {
				t.Errorf("%q", line)
			}
		}
		if err != nil {
			return
		}
		if c.AuthClient.Issuer != c.Auth.Issuer || c.AuthClient.Audience != c.Auth.Audience || !c.AuthClient.Enabled ||
			c.Server.Port < 1 || c.Server.Port > 65535 || c.Auth.BcryptCost < 10 || c.Auth.BcryptCost > 15 || c.Database.URL == "" {
			t.Errorf("accepted %+v", c)
		}
	})
}

func tlsYAML(t *testing.T) string {
	dir := t.TempDir()
	writePair(t, dir)
	return "server: {tls_cert: '" + filepath.Join(dir, "cert.pem") + "', tls_key: '" + filepath.Join(dir, "key.pem") + "'}"
}

// writePair writes a self-signed certificate and its key.
func writePair(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
