package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/jose"
)

func TestEveryFaultNamesItsKeyAndPlace(t *testing.T) {
	var known []string
	for _, a := range jose.Algorithms() {
		known = append(known, string(a))
	}
	algorithms := strings.Join(known, ", ")
	absent := filepath.Join(t.TempDir(), "absent")
	for _, tc := range []struct {
		name, yaml string
		env        []string
		want       string
	}{
		{name: "unknown section", yaml: "auht: {}", want: "auht (a.yaml:1) is not a section of the configuration"},
		{name: "unknown key", yaml: "auth:\n  isuer: x", want: "auth.isuer (a.yaml:2) is not a setting"},
		{name: "merge key", yaml: "auth:\n  <<: {}", want: "auth.<< (a.yaml:2) is not a setting"},
		{name: "duplicate setting", yaml: "auth:\n  audience: a\n  audience: b", want: "auth.audience (a.yaml:3) is already set in line 2"},
		{name: "duplicate section", yaml: "auth: {}\nauth: {}", want: "auth (a.yaml:2) is already set in line 1"},
		{name: "section is text", yaml: "auth: hello", want: "auth (a.yaml:1) must hold settings, each on its own line below it"},
		{name: "file is a list", yaml: "- auth", want: "a.yaml:1 must hold sections such as auth: and server:"},
		{name: "second document", yaml: "auth: {}\n---\nauth: {}", want: "a.yaml:2 begins a second YAML document: the configuration is one document"},
		{name: "not yaml", yaml: "auth: {\n", want: "a.yaml:1 is not valid YAML: did not find expected node content"},
		{name: "tab", yaml: "auth:\n\taudience: a", want: "a.yaml:2 is not valid YAML: indent with spaces, not with tabs; a value that begins with @, % or ` must stand in quotes"},
		{name: "unknown anchor", yaml: "auth:\n  admin_password: *hunter22", want: "a.yaml is not valid YAML: a value that begins with * or & must stand in quotes"},
		{name: "tag", yaml: "auth:\n  audience: !!binary aGk=", want: "auth.audience (a.yaml:2) has a YAML tag that is not supported"},
		{name: "mapping for text", yaml: "auth:\n  audience: {a: b}", want: "auth.audience (a.yaml:2) must be 1 to 255 characters of text"},
		{name: "list for text", yaml: "auth:\n  audience: [a]", want: "auth.audience (a.yaml:2) must be 1 to 255 characters of text"},
		{name: "mapping in a list", yaml: "server:\n  cors_origins:\n  - a: b", want: "server.cors_origins (a.yaml:3) must be a list of origins as a browser sends them, such as https://app.example.com, without path, slash or default port"},
		{name: "text for number", yaml: "auth:\n  bcrypt_cost: high", want: "auth.bcrypt_cost (a.yaml:2) must be a whole number from 10 to 15"},
		{name: "fraction", yaml: "auth:\n  bcrypt_cost: 12.0", want: "auth.bcrypt_cost (a.yaml:2) must be a whole number from 10 to 15"},
		{name: "octal", yaml: "auth:\n  bcrypt_cost: 012", want: "auth.bcrypt_cost (a.yaml:2) must be a whole number from 10 to 15"},
		{name: "cost too low", env: []string{"AUTH_BCRYPT_COST=9"}, want: "auth.bcrypt_cost (environment AUTH_BCRYPT_COST) must be a whole number from 10 to 15"},
		{name: "cost too high", env: []string{"AUTH_BCRYPT_COST=16"}, want: "auth.bcrypt_cost (environment AUTH_BCRYPT_COST) must be a whole number from 10 to 15"},
		{name: "port zero", yaml: "server: {port: 0}", want: "server.port (a.yaml:1) must be a whole number from 1 to 65535"},
		{name: "port too high", yaml: "server: {port: 65536}", want: "server.port (a.yaml:1) must be a whole number from 1 to 65535"},
		{name: "port of a service link", env: []string{"SERVER_PORT=tcp://10.0.0.1:80"}, want: "server.port (environment SERVER_PORT) must be a whole number from 1 to 65535"},
		{name: "lifetime zero", yaml: "auth: {access_token_expire_minutes: 0}", want: "auth.access_token_expire_minutes (a.yaml:1) must be a whole number from 1 to 525600"},
		{name: "lifetime negative", yaml: "auth: {refresh_token_expire_days: -1}", want: "auth.refresh_token_expire_days (a.yaml:1) must be a whole number from 1 to 3650"},
		{name: "lifetime overflows", yaml: "auth: {session_max_days: 99999999999999999999}", want: "auth.session_max_days (a.yaml:1) must be a whole number from 1 to 3650"},
		{name: "no idle time", yaml: "auth: {browser_idle_hours: 0}", want: "auth.browser_idle_hours (a.yaml:1) must be a whole number from 1 to 8760"},
		{name: "no absolute end", yaml: "auth: {browser_max_days: 0}", want: "auth.browser_max_days (a.yaml:1) must be a whole number from 1 to 3650"},
		{name: "URL as a host", yaml: "outbound: {allow: ['https://app']}", want: "outbound.allow (a.yaml:1) must be a list of host names, addresses and networks, such as app, 10.1.2.3 or 10.0.0.0/8"},
		{name: "half a network", yaml: "outbound: {allow: [10.0.0.0/33]}", want: "outbound.allow (a.yaml:1) must be a list of host names, addresses and networks, such as app, 10.1.2.3 or 10.0.0.0/8"},
		{name: "boolean", yaml: "database: {echo: maybe}", want: "database.echo (a.yaml:1) must be true or false"},
		{name: "empty boolean", yaml: "auth: {registration_enabled: }", want: "auth.registration_enabled (a.yaml:1) must be true or false"},
		{name: "line feed in a secret", env: []string{"AUTH_ADMIN_PASSWORD=hunter22\nx"}, want: "auth.admin_password (environment AUTH_ADMIN_PASSWORD) must not contain a line feed (U+000A)"},
		{name: "escape in a secret", yaml: "auth: {admin_password: \"hunter22\\e[A\"}", want: "auth.admin_password (a.yaml:1) must not contain a control character (U+001B)"},
		{name: "byte order mark in a secret", env: []string{"DATABASE_URL=\ufeffsqlite:///hunter22.db"}, want: "database.url (environment DATABASE_URL) must not contain a byte order mark (U+FEFF)"},
		{name: "password too long", yaml: "auth: {admin_password: " + strings.Repeat("x", 73) + "}", want: "auth.admin_password (a.yaml:1) must be at most 72 bytes of text"},
		{name: "not UTF-8", env: []string{"AUTH_AUDIENCE=\xff"}, want: "auth.audience (environment AUTH_AUDIENCE) must be 1 to 255 characters of text"},
		{name: "empty data_dir", env: []string{"AUTH_DATA_DIR="}, want: "auth.data_dir (environment AUTH_DATA_DIR) must be a path, not empty"},
		{name: "home of another", yaml: "auth: {data_dir: ~root/x}", want: "auth.data_dir (a.yaml:1) must not name another user's home folder"},
		{name: "no home", env: []string{"HOME=", "USERPROFILE="}, want: "auth.data_dir (default) begins with ~, but there is no home folder: set HOME, or a path without ~"},
		{name: "algorithm", yaml: "auth: {algorithm: HS256}", want: "auth.algorithm (a.yaml:1) must be one of " + algorithms},
		{name: "algorithm in lower case", yaml: "auth: {algorithm: rs256}", want: "auth.algorithm (a.yaml:1) must be one of " + algorithms},
		{name: "published for no time", yaml: "keys: {publish_ahead: 0}", want: "keys.publish_ahead (a.yaml:1) must be a duration from 1s to 30d, such as 90s, 5m, 720h or 90d"},
		{name: "a number of nothing", yaml: "keys: {publish_ahead: 300}", want: "keys.publish_ahead (a.yaml:1) must be a duration from 1s to 30d, such as 90s, 5m, 720h or 90d"},
		{name: "half a day", yaml: "keys: {rotate_every: 1.5d}", want: "keys.rotate_every (a.yaml:1) must be a duration from 1s to 3650d, such as 90s, 5m, 720h or 90d, or 0"},
		{name: "rotates before it has rotated", yaml: "keys: {rotate_every: 19m}", want: "keys.rotate_every (a.yaml:1) must be at least 1h15m, the sum of keys.publish_ahead and auth.access_token_expire_minutes"},
		{name: "small RSA keys", yaml: "keys: {rsa_bits: 1024}", want: "keys.rsa_bits (a.yaml:1) must be one of 2048, 3072"},
		{name: "at rest elsewhere", yaml: "keys: {at_rest: vault}", want: "keys.at_rest (a.yaml:1) must be files or sealed"},
		{name: "sealed under nothing", yaml: "keys: {at_rest: sealed}", want: "keys.at_rest (a.yaml:1) is sealed, which needs auth.master_key as well"},
		{name: "former master key alone", yaml: "auth: {former_master_key: '" + masterStd + "'}", want: "auth.former_master_key (a.yaml:1) needs auth.master_key as well, the one that replaces it"},
		{
			name: "no change of master key", yaml: "keys: {at_rest: sealed}\nauth:\n  master_key: '" + masterStd + "'\n  former_master_key: '" + masterStd + "'",
			want: "auth.former_master_key (a.yaml:4) must differ from auth.master_key",
		},
		{name: "email", yaml: "auth: {admin_email: invalid}", want: "auth.admin_email (a.yaml:1) must be an e-mail address"},
		{name: "database of another kind", yaml: "database: {url: 'mysql://u:hunter22@h/d'}", want: "database.url (a.yaml:1) names a database that is neither sqlite nor postgresql"},
		{name: "database in memory", env: []string{"DATABASE_URL=sqlite:///:memory:"}, want: "database.url (environment DATABASE_URL) must name a file: a database in memory would forget every user at the next start"},
		{name: "two slashes", env: []string{"DATABASE_URL=sqlite://auth.db"}, want: "database.url (environment DATABASE_URL) needs three slashes before a relative path (sqlite:///auth.db) and four before an absolute one"},
		{name: "port of PostgreSQL", yaml: "database: {url: 'postgresql://u:hunter22@h:99999/d'}", want: "database.url (a.yaml:1) has an invalid port; use a number from 1 to 65535"},
		{name: "file of PostgreSQL", yaml: "database: {url: 'postgresql://u:hunter22@h/d?sslmode=verify-full&sslrootcert=absent.pem'}", want: "database.url (a.yaml:1) names a file in sslrootcert that cannot be read: " + absence(t, "absent.pem")},
		{name: "end of a line in the URL", env: []string{"DATABASE_URL=sqlite:///auth.db\r"}, want: "database.url (environment DATABASE_URL) must not contain a carriage return (U+000D)"},
		{name: "database without scheme", yaml: "database: {url: auth.db}", want: "database.url (a.yaml:1) is not a URL such as sqlite:///auth.db or postgresql://user:password@host/name"},
		{name: "host with port", yaml: "server: {host: 'localhost:80'}", want: "server.host (a.yaml:1) must be an IP address or a host name, without port"},
		{name: "host empty", env: []string{"SERVER_HOST="}, want: "server.host (environment SERVER_HOST) must be an IP address or a host name, without port"},
		{name: "host is half an address", yaml: "server: {host: 10.0.0}", want: "server.host (a.yaml:1) must be an IP address or a host name, without port"},
		{name: "socket by a relative path", yaml: "server: {listen: 'unix:http.sock'}", want: "server.listen (a.yaml:1) must be unix: and an absolute path of at most 80 bytes, such as unix:/run/pico-auth/http.sock"},
		{name: "socket without its kind", yaml: "server: {listen: /run/http.sock}", want: "server.listen (a.yaml:1) must be unix: and an absolute path of at most 80 bytes, such as unix:/run/pico-auth/http.sock"},
		{name: "socket of a long path", yaml: "server: {listen: 'unix:/" + strings.Repeat("x", 80) + "'}", want: "server.listen (a.yaml:1) must be unix: and an absolute path of at most 80 bytes, such as unix:/run/pico-auth/http.sock"},
		{name: "mode of a socket", yaml: "server: {listen_mode: 0990}", want: "server.listen_mode (a.yaml:1) must be a mode in octal, such as 0660"},
		{name: "mode with more than permissions", yaml: "server: {listen_mode: 4755}", want: "server.listen_mode (a.yaml:1) must be a mode in octal, such as 0660"},
		{name: "metrics without port", yaml: "server: {metrics_listen: localhost}", want: "server.metrics_listen (a.yaml:1) must be an address with port, such as 127.0.0.1:9100, or a socket as in server.listen"},
		{name: "metrics on a relative socket", yaml: "server: {metrics_listen: 'unix:metrics.sock'}", want: "server.metrics_listen (a.yaml:1) must be an address with port, such as 127.0.0.1:9100, or a socket as in server.listen"},
		{name: "connections", yaml: "server: {connections_per_address: 5000}", want: "server.connections_per_address (a.yaml:1) must be a whole number from 0 to 4096"},
		{name: "no idle time", yaml: "server: {idle_timeout: 0}", want: "server.idle_timeout (a.yaml:1) must be a duration from 1s to 1h, such as 90s, 5m, 720h or 90d"},
		{name: "proxy", yaml: "server:\n  trusted_proxies:\n  - 10.0.0.1\n  - proxy.local\n", want: "server.trusted_proxies (a.yaml:4) must be a list of IP addresses and CIDR ranges"},
		{name: "client off", yaml: "auth_client: {enabled: false}", want: "auth_client.enabled (a.yaml:1) must be true: without it every endpoint would be open to everyone"},
		{name: "client off by variable", env: []string{"AUTH_CLIENT_ENABLED=off"}, want: "auth_client.enabled (environment AUTH_CLIENT_ENABLED) must be true: without it every endpoint would be open to everyone"},
		{name: "client issuer differs", yaml: "auth: {issuer: 'http://localhost:8100'}\nauth_client: {issuer: 'http://localhost:8100/'}", want: "auth_client.issuer (a.yaml:2) must be the same as auth.issuer (a.yaml:1), or be removed to follow it"},
		{name: "client issuer differs from the variable", yaml: "auth_client: {issuer: 'https://b.example'}", env: []string{"AUTH_ISSUER=https://a.example"}, want: "auth_client.issuer (a.yaml:1) must be the same as auth.issuer (environment AUTH_ISSUER), or be removed to follow it"},
		{name: "client audience differs", yaml: "auth_client: {audience: other}", want: "auth_client.audience (a.yaml:1) must be the same as auth.audience (default), or be removed to follow it"},
		{name: "registration organization", yaml: "auth: {registration_org: 'two words'}", want: "auth.registration_org (a.yaml:1) must be the ID of an organization, at most 36 characters without white space"},
		{name: "pooler", yaml: "database: {pooler: statement}", want: "database.pooler (a.yaml:1) must be one of auto, transaction"},
		{name: "visibility", yaml: "groups: {visibility: all}", want: "groups.visibility (a.yaml:1) must be one of organization, members"},
		{name: "accepted unknown", yaml: "auth_client: {accepted_algorithms: [RS256, HS256]}", want: "auth_client.accepted_algorithms (a.yaml:1) must be a list whose entries are each one of RS256, PS256, ES256, ES384, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87"},
		{name: "accepted without ours", yaml: "auth: {algorithm: ML-DSA-65}\nauth_client: {accepted_algorithms: [RS256]}", want: "auth_client.accepted_algorithms (a.yaml:2) must contain ML-DSA-65, which auth.algorithm (a.yaml:1) signs with"},
		{name: "accepted none", yaml: "auth_client: {accepted_algorithms: []}", want: "auth_client.accepted_algorithms (a.yaml:1) must contain RS256, which auth.algorithm (default) signs with"},
		{name: "unset variable", yaml: "auth: {admin_password: '${ENV:UNSET}'}", want: "auth.admin_password (a.yaml:1) needs the environment variable UNSET, which is not set"},
		{name: "variable without name", yaml: "auth: {admin_password: 'a${ENV:}'}", want: "auth.admin_password (a.yaml:1) has a ${ENV:...} without the name of a variable in it"},
		{name: "variable not closed", yaml: "auth: {admin_password: '${ENV:HOME'}", want: "auth.admin_password (a.yaml:1) has a ${ENV:...} without the name of a variable in it"},
		{name: "variable with a strange name", yaml: "auth: {admin_password: '${ENV:1A}'}", want: "auth.admin_password (a.yaml:1) has a ${ENV:...} without the name of a variable in it"},
		{name: "secret from two variables", env: []string{"AUTH_ADMIN_PASSWORD=hunter22", "AUTH_ADMIN_PASSWORD_FILE=x"}, want: "auth.admin_password (environment AUTH_ADMIN_PASSWORD_FILE) is set by AUTH_ADMIN_PASSWORD as well: keep one of them"},
		{name: "secret file absent", env: []string{"DATABASE_URL_FILE=" + absent}, want: "database.url (environment DATABASE_URL_FILE) cannot be read: " + absent + ": " + absence(t, absent)},
		{name: "secret file empty", env: []string{"DATABASE_URL_FILE=" + os.DevNull}, want: "database.url (" + os.DevNull + " (DATABASE_URL_FILE)) is not a URL such as sqlite:///auth.db or postgresql://user:password@host/name"},
		{name: "audience of the built-in client", env: []string{"AUTH_AUDIENCE=urn:pico-auth:client:first-party"}, want: "auth.audience (environment AUTH_AUDIENCE) must not be the id of the client that is built in: an audience and a client_id never are the same"},
		{name: "color by name", env: []string{"PAGES_ACCENT=green"}, want: "pages.accent (environment PAGES_ACCENT) must be a color as #rrggbb, such as #0b7a4b"},
		{name: "link without text", yaml: "pages: {links: [\"https://example.com\"]}", want: "pages.links (a.yaml:1) must be a list whose entries are each a text and an http or https URL, such as Privacy https://example.com/privacy"},
		{name: "script link", yaml: "pages: {links: [\"Privacy javascript:alert(1)\"]}", want: "pages.links (a.yaml:1) must be a list whose entries are each a text and an http or https URL, such as Privacy https://example.com/privacy"},
		{name: "kind of certificate", yaml: "server: {tls: acme}", want: "server.tls (a.yaml:1) must be self-signed, or empty"},
		{name: "two certificates", yaml: "server: {tls: self-signed, tls_cert: c.pem}", want: "server.tls (a.yaml:1) must be empty where server.tls_cert or server.tls_key is set"},
		{name: "level", yaml: "log: {level: trace}", want: "log.level (a.yaml:1) must be one of debug, info, warn, error"},
		{name: "certificate alone", yaml: "server: {tls_cert: c.pem}", want: "server.tls_cert (a.yaml:1) needs server.tls_key as well"},
		{name: "key alone", yaml: "server: {tls_key: k.pem}", want: "server.tls_key (a.yaml:1) needs server.tls_cert as well"},
		{name: "certificate is none", yaml: "server: {tls_cert: a.yaml, tls_key: a.yaml}", want: "server.tls_cert (a.yaml:1) is not a PEM certificate for the key of server.tls_key: tls: failed to find any PEM data in certificate input"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tc.want}, sentences(t, tc.yaml, tc.env...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	got := sentences(t, `
auth:
  isuer: x
  bcrypt_cost: 4
  issuer: ftp://x
  algorithm: none
auth_client:
  enabled: no
  issuer: http://elsewhere.example
server:
  port: 0
  tls_cert: absent.pem
  tls_key: absent.key
  trusted_proxies: [a, 10.0.0.1, b]
other: {}
`, "SERVER_HOST=", "AUTH_AUDIENCE=")
	want := []string{
		"auth.isuer (a.yaml:3)", "auth.bcrypt_cost (a.yaml:4)", "auth.issuer (a.yaml:5)", "auth.algorithm (a.yaml:6)",
		"server.port (a.yaml:11)", "server.trusted_proxies (a.yaml:14)", "other (a.yaml:15)",
		"auth.audience (environment AUTH_AUDIENCE)", "server.host (environment SERVER_HOST)",
		"server.tls_cert (a.yaml:12)", "server.tls_key (a.yaml:13)", "auth_client.enabled (a.yaml:8)",
	}
	if len(got) != len(want) {
		t.Fatalf("got %d faults, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i], w) {
			t.Errorf("fault %d is %q, want %q", i, got[i], w)
		}
	}
}

func TestAFaultNeverRepeatsTheValue(t *testing.T) {
	for _, key := range []string{
		"auth.issuer", "auth.algorithm", "auth.bcrypt_cost", "auth.admin_email", "auth.auto_create_admin", "database.url",
		"auth_client.issuer", "auth_client.accepted_algorithms", "server.port", "server.cors_origins", "server.trusted_proxies",
	} {
		section, name, _ := strings.Cut(key, ".")
		for _, got := range sentences(t, section+":\n  "+name+": hunter22 x\n") {
			if strings.Contains(got, "hunter22") {
				t.Error(got)
			}
		}
	}
}

func TestIssuerMustBeAnAbsoluteWebURL(t *testing.T) {
	for issuer, good := range map[string]bool{
		"http://localhost:8100": true, "https://auth.example.com": true, "https://auth.example.com/": true,
		"https://auth.example.com/tenant/1/": true, "http://[::1]:8100": true, "https://xn--mnchen-3ya.example": true,
		"localhost:8100": false, "//a.example": false, "/path": false, "ftp://a.example": false, "HTTPS://a.example": true,
		"https://a.example?x=1": false, "https://a.example?": false, "https://a.example#f": false, "https://a.example#": false,
		"https://u:p@a.example": false, "https://:443": false, "https://": false, "https:a.example": false,
		"https://a.example:": false, "https://a.example:0": false, "https://a.example:99999": false, "https://a b.example": false,
		"https://a.example/ x": false, "https://a.example/\u00e4": false, "https://*.example": false,
		"https://a.example/" + strings.Repeat("x", 2048): false,
	} {
		_, _, err := load(t, "", "AUTH_ISSUER="+issuer)
		if (err == nil) != good {
			t.Errorf("%.60s: %v", issuer, err)
		}
		if c, _, err := load(t, "", "AUTH_ISSUER="+issuer); err == nil && c.Auth.Issuer != issuer {
			t.Errorf("%s became %s", issuer, c.Auth.Issuer)
		}
	}
}

func TestCORSOriginsAreExact(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://app.example.com": true, "http://localhost:3000": true, "http://[::1]:3000": true, "https://app.example.com:8443": true,
		"*": false, "null": false, "https://app.example.com/": false, "https://app.example.com/x": false, "app.example.com": false,
		"https://*.example.com": false, "https://App.example.com": false, "HTTPS://app.example.com": false,
		"https://app.example.com:443": false, "http://app.example.com:80": false, "https://u@app.example.com": false,
		"https://app.example.com?x": false, "https://app.example.com#": false, "file:///x": false, "https://app.example.com:": false,
	} {
		if _, _, err := load(t, "", "SERVER_CORS_ORIGINS="+origin); (err == nil) != good {
			t.Errorf("%s: %v", origin, err)
		}
	}
}

func TestHostsAndProxies(t *testing.T) {
	for host, good := range map[string]bool{
		"0.0.0.0": true, "::": true, "::1": true, "localhost": true, "auth.example.com": true, "auth.example.com.": true, "my_host": true,
		"fe80::1%eth0": true, "[::1]": false, "http://x": false, "a..b": false, "-a": false, "a-": false, "1.2.3": false, "1.2.3.4.5": false,
		"m\u00fcnchen": false, "a b": false, strings.Repeat("a", 64): false, ".": false,
	} {
		if _, _, err := load(t, "", "SERVER_HOST="+host); (err == nil) != good {
			t.Errorf("host %s: %v", host, err)
		}
	}
	for proxy, good := range map[string]bool{
		"10.0.0.1": true, "10.0.0.0/8": true, "::1": true, "fd00::/8": true, "": true,
		"10.0.0.0/33": false, "fe80::1%eth0": false, "proxy": false, "10.0.0.1:80": false, "10.0.0.1,,": false,
	} {
		if _, _, err := load(t, "", "SERVER_TRUSTED_PROXIES="+proxy); (err == nil) != good {
			t.Errorf("proxy %s: %v", proxy, err)
		}
	}
}

func TestTheNamedFileMustExistAndTheUsualOneNeedNot(t *testing.T) {
	t.Chdir(t.TempDir())
	env := []string{"HOME=/home/ada", "USERPROFILE=/home/ada"}
	if _, _, err := config.Load(config.Options{File: "absent.yaml", Environ: env}); err == nil ||
		err.Error() != "the configuration file cannot be read: absent.yaml: "+absence(t, "absent.yaml") {
		t.Error(err)
	}
	if _, _, err := config.Load(config.Options{File: ".", Environ: env}); err == nil {
		t.Error("a folder was read")
	}
	if err := os.WriteFile("big.yaml", make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Load(config.Options{File: "big.yaml", Environ: env}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
	if err := os.WriteFile(config.DefaultFile, []byte("server: {port: 9000}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := config.Load(config.Options{Environ: env}); err != nil || c.Server.Port != 9000 {
		t.Error(err, c.Server.Port)
	}
}
