package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
)

// load reads yaml as the file a.yaml, with HOME and env as the environment.
func load(t testing.TB, yaml string, env ...string) (config.Config, []string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.yaml", []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Options{File: "a.yaml", Environ: append([]string{"HOME=/home/ada", "USERPROFILE=/home/ada"}, env...)})
}

func mustLoad(t testing.TB, yaml string, env ...string) config.Config {
	t.Helper()
	c, _, err := load(t, yaml, env...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sentences are the faults of a configuration that must have some.
func sentences(t testing.TB, yaml string, env ...string) []string {
	t.Helper()
	_, _, err := load(t, yaml, env...)
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got error %v, want Faults", err)
	}
	return strings.Split(faults.Error(), "\n")
}

func TestNothingConfiguredGivesTheDocumentedDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	c, warnings, err := config.Load(config.Options{Environ: []string{"HOME=/home/ada", "USERPROFILE=/home/ada"}})
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := config.Default()
	want.Auth.DataDir = filepath.Join("/home/ada", ".pico-auth")
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(config.Config{}), cmp.FilterPath(
		func(p cmp.Path) bool { return p.String() == "origins" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	got := map[string]any{}
	for _, s := range c.Settings() {
		got[s.Key] = s.Value
		if s.Origin != "default" {
			t.Errorf("%s comes from %s", s.Key, s.Origin)
		}
	}
	for key, value := range map[string]any{
		"auth.access_token_expire_minutes": 15, "auth.refresh_token_expire_days": 7, "auth.session_max_days": 90, "auth.sessions_per_user": 50, "auth.browser_idle_hours": 24, "auth.browser_max_days": 14, "auth.rotations_per_family": 1000, "auth.authorization_requests": 20000, "auth.refresh_reuse_grace_seconds": 0,
		"auth.issuer": "http://localhost:8100", "auth.audience": "pico-bot", "auth.algorithm": "RS256",
		"auth.auto_create_admin": true, "auth.admin_email": "admin@pico.local", "auth.admin_password": "[redacted]",
		"auth.registration_enabled": true, "auth.registration_org": "default", "groups.visibility": "organization", "auth.password_min_length": 8, "auth.bcrypt_cost": 12,
		"database.url": "sqlite+aiosqlite:///auth.db", "database.pooler": "auto", "database.echo": false,
		"auth_client.enabled": true, "auth_client.issuer": "http://localhost:8100", "auth_client.audience": "pico-bot",
		"fastapi.title": "Pico Auth API", "fastapi.version": "", "server.host": "127.0.0.1", "server.port": 8100,
		"server.tls": "", "server.tls_cert": "", "server.tls_key": "", "server.metrics_listen": "",
		"server.connections_per_address": 256, "server.idle_timeout": "2m",
		"throttle.enabled":     true,
		"audit.retention_days": 365, "audit.stream": "", "log.addresses": false, "log.level": "info", "log.format": "auto", "auth.group_claim": "id",
	} {
		if got[key] != value {
			t.Errorf("%s = %v, want %v", key, got[key], value)
		}
	}
	if c.Auth.AdminPassword != "admin" {
		t.Error("the default password is not admin")
	}
	if c.AuthClient.AcceptedAlgorithms != nil {
		t.Error("accepted_algorithms narrows although it is not set")
	}
}

func TestAnExampleOfTheOriginalIsUnderstood(t *testing.T) {
	c := mustLoad(t, `
auth:
  data_dir: "~/.pico-auth"
  issuer: "http://localhost:8100"
  audience: "pico-bot"
  auto_create_admin: true
database:
  url: "sqlite+aiosqlite:///auth.db"
  echo: false
auth_client:
  enabled: true
  issuer: "http://localhost:8100"
  audience: "pico-bot"
fastapi:
  title: "Pico Auth API"
  version: "0.1.0"
`)
	if c.FastAPI.Version != "0.1.0" || c.Auth.DataDir != filepath.Join("/home/ada", ".pico-auth") {
		t.Errorf("%+v", c)
	}
	if got := c.Origins()["fastapi.version"]; got != "a.yaml:16" {
		t.Errorf("fastapi.version comes from %s", got)
	}
}

func TestEveryKeyCanBeSetByItsVariable(t *testing.T) {
	values := map[string]string{
		"AUTH_DATA_DIR": "/d", "AUTH_ACCESS_TOKEN_EXPIRE_MINUTES": "5", "AUTH_REFRESH_TOKEN_EXPIRE_DAYS": "6",
		"AUTH_SESSION_MAX_DAYS": "30", "AUTH_PRIVILEGED_MAX_AGE_MINUTES": "0", "AUTH_ISSUER": "https://a.example/", "AUTH_AUDIENCE": "api",
		"AUTH_ALGORITHM": "ML-DSA-65", "AUTH_MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AUTH_AUTO_CREATE_ADMIN": "off", "AUTH_ADMIN_EMAIL": "root@example.com",
		"AUTH_ADMIN_PASSWORD": "s3cret-s3cret", "AUTH_REGISTRATION_ENABLED": "no", "AUTH_REGISTRATION_ORG": "guests", "GROUPS_VISIBILITY": "members", "AUTH_PASSWORD_MIN_LENGTH": "12", "AUTH_PASSWORD_BLOCKLIST": "false",
		"AUTH_BCRYPT_COST": "10", "DATABASE_URL": "postgresql+asyncpg://u:p@h/db", "DATABASE_ECHO": "1", "DATABASE_POOLER": "transaction", "DATABASE_WAIT": "1m",
		"AUTH_CLIENT_ENABLED": "true", "AUTH_CLIENT_ISSUER": "https://a.example/", "AUTH_CLIENT_AUDIENCE": "api",
		"AUTH_CLIENT_ACCEPTED_ALGORITHMS": "RS256, ML-DSA-65", "FASTAPI_TITLE": "T", "FASTAPI_VERSION": "2",
		"SERVER_HOST": "::1", "SERVER_PORT": "9000", "SERVER_TRUSTED_PROXIES": "10.0.0.0/8,::1",
		"SERVER_CORS_ORIGINS": "https://app.example.com", "SERVER_TLS": "self-signed", "SERVER_TLS_CERT": "", "SERVER_TLS_KEY": "",
		"SERVER_LISTEN": "unix:/run/http.sock", "SERVER_LISTEN_MODE": "600", "SERVER_METRICS_LISTEN": ":9100", "SERVER_CONNECTIONS_PER_ADDRESS": "0", "SERVER_IDLE_TIMEOUT": "75s", "AUTH_FORMER_MASTER_KEY": masterStd,
		"KEYS_PUBLISH_AHEAD": "1h30m", "KEYS_ROTATE_EVERY": "90d", "KEYS_RSA_BITS": "3072", "KEYS_AT_REST": "sealed", "KEYS_ALGORITHMS": "ES256, ML-DSA-65",
		"THROTTLE_ENABLED": "false", "PAGES_NAME": "Northwind", "PAGES_LOGO": "/logo.svg", "PAGES_ACCENT": "#0b7a4b",
		"PAGES_STYLE_SHEET": "/extra.css", "PAGES_LINKS": "Privacy https://example.com/privacy, Terms of service https://example.com/terms",
		"OUTBOUND_ALLOW":       "app, 10.0.0.0/8, ::1",
		"AUDIT_RETENTION_DAYS": "30", "AUDIT_STREAM": "stdout", "LOG_ADDRESSES": "yes", "LOG_LEVEL": "warn", "LOG_FORMAT": "json", "AUTH_GROUP_CLAIM": "both",
		"AUTH_SESSIONS_PER_USER": "7", "AUTH_BROWSER_IDLE_HOURS": "8", "AUTH_BROWSER_MAX_DAYS": "7", "AUTH_ROTATIONS_PER_FAMILY": "0", "AUTH_AUTHORIZATION_REQUESTS": "300", "AUTH_REFRESH_REUSE_GRACE_SECONDS": "10",
	}
	var env []string
	for name, v := range values {
		env = append(env, name+"="+v)
	}
	c, warnings, err := load(t, "", env...)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for key, origin := range c.Origins() {
		name := strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if _, ok := values[name]; !ok {
			t.Errorf("no value for %s in this test", key)
		}
		if origin != "environment "+name {
			t.Errorf("%s comes from %s", key, origin)
		}
	}
	if c.AuthClient.Issuer != "https://a.example/" || c.Auth.AutoCreateAdmin || c.Server.Port != 9000 ||
		c.Database.URL != "postgresql+asyncpg://u:p@h/db" || len(c.Server.TrustedProxies) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestPeriodsAreReadAndShownInDaysAndHours(t *testing.T) {
	for text, want := range map[string]struct {
		d     time.Duration
		shown string
	}{
		"0": {0, "0"}, "0s": {0, "0"}, "90d": {90 * 24 * time.Hour, "90d"}, "720h": {30 * 24 * time.Hour, "30d"},
		"25h": {25 * time.Hour, "25h"}, "90m": {90 * time.Minute, "1h30m"}, "1500s": {25 * time.Minute, "25m"}, "20m1s": {20*time.Minute + time.Second, "20m1s"},
		"1h0m5s": {time.Hour + 5*time.Second, "1h0m5s"},
	} {
		c := mustLoad(t, "keys: {publish_ahead: 5m, rotate_every: '"+text+"'}")
		if c.Keys.RotateEvery != want.d {
			t.Errorf("%s is %v", text, c.Keys.RotateEvery)
		}
		for _, s := range c.Settings() {
			if s.Key == "keys.rotate_every" && s.Value != want.shown {
				t.Errorf("%s is shown as %v", text, s.Value)
			}
		}
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	c := mustLoad(t, "server: {port: 9000}\nauth: {audience: file}\n", "SERVER_PORT=9001")
	if c.Server.Port != 9001 || c.Auth.Audience != "file" {
		t.Errorf("port %d, audience %s", c.Server.Port, c.Auth.Audience)
	}
	if c.Origins()["server.port"] != "environment SERVER_PORT" || c.Origins()["auth.audience"] != "a.yaml:2" {
		t.Error(c.Origins())
	}
}

func TestTheIssuerFollowsPortAndTLSAndClientFollowsIt(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"server: {port: 9000}", "http://localhost:9000"},
		{"auth: {issuer: 'https://a.example/x/'}", "https://a.example/x/"},
		{"auth: {issuer: ''}\nauth_client: {issuer: '', audience: ''}", "http://localhost:8100"},
		{"auth: {issuer: }", "http://localhost:8100"},
		{tlsYAML(t), "https://localhost:8100"},
		{"server: {tls: self-signed}", "https://localhost:8100"},
	} {
		c := mustLoad(t, tc.yaml)
		if c.Auth.Issuer != tc.want || c.AuthClient.Issuer != tc.want || c.AuthClient.Audience != "pico-bot" {
			t.Errorf("%s: issuer %s, client %s", tc.yaml, c.Auth.Issuer, c.AuthClient.Issuer)
		}
	}
}

func TestTextIsKeptAsWritten(t *testing.T) {
	for yaml, want := range map[string]string{
		"0123": "0123", "1.10": "1.10", "yes": "yes", "'null'": "null", "1e3": "1e3", "2024-01-01": "2024-01-01",
		`"a#b: ${x}"`: "a#b: ${x}", "|-\n    two words": "two words", "!!str 5": "5",
	} {
		c := mustLoad(t, "auth:\n  admin_password: "+yaml+"\n")
		if string(c.Auth.AdminPassword) != want {
			t.Errorf("%s became %q", yaml, string(c.Auth.AdminPassword))
		}
	}
}

func TestBooleansAreThoseOfTheOriginal(t *testing.T) {
	for text, want := range map[string]bool{
		"true": true, "True": true, "yes": true, "on": true, "ON": true, "y": true, "'1'": true, "1": true,
		"false": false, "FALSE": false, "no": false, "off": false, "'off'": false, "n": false, "0": false,
	} {
		c := mustLoad(t, "auth: {registration_enabled: "+text+"}")
		if c.Auth.RegistrationEnabled != want {
			t.Errorf("%s is %v", text, c.Auth.RegistrationEnabled)
		}
		if !c.Explicit("auth.registration_enabled") || c.Explicit("auth.issuer") {
			t.Error("Explicit is wrong")
		}
	}
}

func TestInterpolationCannotInjectYAML(t *testing.T) {
	evil := "x\nadmin_email: evil@example.com\n# ${ENV:HOME} ${ENV:EVIL}: [&a *b"
	line := "\"x: # ${ENV:HOME} ${ENV:EVIL}: [&a *b" // a secret has no line feeds
	c := mustLoad(t, "auth:\n  data_dir: p-${ENV:EVIL}-q\n  admin_password: p-${ENV:LINE}-q\n  password_min_length: ${ENV:MIN}\nserver:\n  cors_origins: ['${ENV:O}']\n",
		"EVIL="+evil, "LINE="+line, "MIN=11", "O=https://a.example")
	if c.Auth.DataDir != "p-"+evil+"-q" || string(c.Auth.AdminPassword) != "p-"+line+"-q" {
		t.Errorf("the folder became %q, the password %q", c.Auth.DataDir, string(c.Auth.AdminPassword))
	}
	if c.Auth.AdminEmail != "admin@pico.local" || c.Auth.PasswordMinLength != 11 || c.Server.CORSOrigins[0] != "https://a.example" {
		t.Errorf("%+v", c)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"pass word": "pass word", "pass\n": "pass", "pass\r\n": "pass", " pass ": " pass ",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c := mustLoad(t, "", "AUTH_ADMIN_PASSWORD_FILE="+file)
		if string(c.Auth.AdminPassword) != want {
			t.Errorf("%q became %q", content, string(c.Auth.AdminPassword))
		}
		if got := c.Origins()["auth.admin_password"]; got != file+" (AUTH_ADMIN_PASSWORD_FILE)" {
			t.Error(got)
		}
	}
	for content, stray := range map[string]string{
		"\ufeffpass\n": "a byte order mark (U+FEFF)", "pass\n\n": "a line feed (U+000A)", "pass\nword\n": "a line feed (U+000A)",
		"pa\tss": "a tab (U+0009)", "pass\x1b\n": "a control character (U+001B)", "pass\u009b": "a control character (U+009B)", "\rpass": "a carriage return (U+000D)",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := load(t, "", "AUTH_ADMIN_PASSWORD_FILE="+file)
		if want := "auth.admin_password (" + file + " (AUTH_ADMIN_PASSWORD_FILE)) must not contain " + stray; err == nil || err.Error() != want {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := mustLoad(t, "auth: {admin_password: hunter22}\ndatabase: {url: 'postgresql://u:hunter22@h/db?password=hunter22&sslmode=require'}")
	encoded, err := json.Marshal(c.Settings())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %s %s %x", c, c, c, c.Auth.AdminPassword, encoded, whole, c.Auth.AdminPassword)
	all += c.Auth.AdminPassword.LogValue().String()
	if strings.Contains(all, "hunter22") || strings.Contains(all, fmt.Sprintf("%x", "hunter22")) {
		t.Error(all)
	}
	if !strings.Contains(string(encoded), `postgresql://u:[redacted]@h/db?password=[redacted]\u0026sslmode=require`) {
		t.Error(string(encoded))
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	c := mustLoad(t, "auth: &a\n  issuer: &i https://a.example\nauth_client:\n  issuer: *i\n")
	if c.AuthClient.Issuer != "https://a.example" {
		t.Error(c.AuthClient.Issuer)
	}
}

func TestALinkToALostFileIsNotTheAbsenceOfAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := config.Load(config.Options{Environ: []string{"HOME=/home/ada", "USERPROFILE=/home/ada"}}); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if err := os.Symlink("lost.yaml", config.DefaultFile); err != nil {
		t.Skip(err)
	}
	_, _, err := config.Load(config.Options{Environ: []string{"HOME=/home/ada", "USERPROFILE=/home/ada"}})
	if err == nil || !strings.Contains(err.Error(), config.DefaultFile) {
		t.Errorf("with a dangling link: %v, want a fault that names it", err)
	}
}

func TestEmptyFilesAndSectionsAreFine(t *testing.T) {
	for _, yaml := range []string{"", "# nothing\n", "---\n", "auth:\nserver: {}\n", "null\n", "\ufeffauth: {}\n", "--- {}\n...\n"} {
		mustLoad(t, yaml)
	}
}
