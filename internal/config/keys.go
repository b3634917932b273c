package config

import (
	"slices"
	"strings"
	"time"
)

// key is one setting: where it is kept, what it may hold, what it is for.
// Every fault about it reads "must be " and the rule.
type key struct {
	name   string // auth.issuer
	rule   string // continues "must be"
	doc    string // for the reference
	secret bool   // may also come from the file that NAME_FILE points at
	set    func(*Config, value) (bad []string)
	show   func(Config) any // redacted where it must be
}

// keys is every key there is, in the order of the reference.
func keys() []key {
	return slices.Concat(authKeys(), signingKeys(), databaseKeys(), clientKeys(), fastapiKeys(), serverKeys())
}

func authKeys() []key {
	return []key{
		text("auth.data_dir", func(c *Config) *string { return &c.Auth.DataDir },
			"a path, not empty", notEmpty,
			"Folder of the signing keys. It is created with mode 0700. A leading `~` is the home folder."),
		number("auth.access_token_expire_minutes", func(c *Config) *int { return &c.Auth.AccessTokenExpireMinutes }, 1, 525_600,
			"Life of an access token, in minutes. A token cannot be called back before it ends except by those who ask for the list of revoked ones, so keep it short."),
		number("auth.refresh_token_expire_days", func(c *Config) *int { return &c.Auth.RefreshTokenExpireDays }, 1, 3_650,
			"Life of a refresh token, in days. Every refresh starts it anew."),
		number("auth.session_max_days", func(c *Config) *int { return &c.Auth.SessionMaxDays }, 1, 3_650,
			"Days after which a session ends however often it was refreshed."),
		text("auth.issuer", func(c *Config) *string { return &c.Auth.Issuer },
			"an absolute http or https URL without user, query and fragment", orEmpty(issuerURL),
			"The `iss` of every token and the base of the key set's address. Clients compare it byte by byte, so it is used exactly as written, with or without a slash at the end. Left out it is `http://localhost:PORT`, with the port of `server.port`, and `https` when `server.tls_cert` is set."),
		text("auth.audience", func(c *Config) *string { return &c.Auth.Audience },
			"1 to 255 characters of text", line,
			"The `aud` of every token."),
		text("auth.algorithm", func(c *Config) *string { return &c.Auth.Algorithm },
			oneOf(algorithms()), among(algorithms()),
			"What new tokens are signed with. The ML-DSA ones are post-quantum. Another one is a rotation: its key is published at the next start, signs after `keys.publish_ahead`, and tokens of the former one are good until they expire."),
		secret("auth.master_key", func(c *Config) *Secret { return &c.Auth.MasterKey },
			"32 bytes in base64, such as `openssl rand -base64 32` prints, or file:PATH of a file that holds them", orEmpty(masterKey), hideSet,
			"Master key of what is kept sealed in the database. With it the signing keys of a PostgreSQL database lie there and not in `auth.data_dir`, so that replicas need no folder in common; with SQLite only where `keys.at_rest` says so. It is not stored anywhere: without it they cannot be read."),
		secret("auth.former_master_key", func(c *Config) *Secret { return &c.Auth.FormerMasterKey },
			"32 bytes in base64, or file:PATH of a file that holds them", orEmpty(masterKey), hideSet,
			"The master key of before, while it is being replaced: it opens what it sealed and seals nothing any more. `pico-auth key reseal` makes it needless."),
		toggle("auth.auto_create_admin", func(c *Config) *bool { return &c.Auth.AutoCreateAdmin },
			"Create the first superadmin at start when there is none at all."),
		text("auth.admin_email", func(c *Config) *string { return &c.Auth.AdminEmail },
			"an e-mail address", emailAddress,
			"E-mail address of the first superadmin."),
		secret("auth.admin_password", func(c *Config) *Secret { return &c.Auth.AdminPassword },
			"1 to 72 bytes of text", bytesBetween(1, 72), hide,
			"Password of the first superadmin; one that is not the default must be good enough for a new password. While it is the default, the server listens on loopback only."),
		toggle("auth.registration_enabled", func(c *Config) *bool { return &c.Auth.RegistrationEnabled },
			"Whether anybody may register. An explicit `false` always wins; otherwise what an administrator switched is kept in the database and wins over this."),
		number("auth.password_min_length", func(c *Config) *int { return &c.Auth.PasswordMinLength }, 1, 72,
			"Least number of characters of a new password."),
		number("auth.bcrypt_cost", func(c *Config) *int { return &c.Auth.BcryptCost }, 10, 15,
			"Cost of new password hashes. One more doubles the time of a login."),
	}
}

func signingKeys() []key {
	return []key{
		period("keys.publish_ahead", func(c *Config) *time.Duration { return &c.Keys.PublishAhead }, time.Second, 30*day, false,
			"For how long a new key is in the key set before it signs. The key set may be kept for a little less, at most five minutes, so that whoever keeps it always has the key that signs. Below a minute it depends on clients that fetch the set again when they meet an unknown key id. A shorter one takes effect when the keys of before are gone."),
		period("keys.rotate_every", func(c *Config) *time.Duration { return &c.Keys.RotateEvery }, time.Second, 3650*day, true,
			"Age at which the key that signs is replaced by itself; 90d is a good one. `0`: only by `pico-auth key rotate`. It must hold a whole rotation: `keys.publish_ahead` and the life of an access token."),
		choice("keys.rsa_bits", func(c *Config) *int { return &c.Keys.RSABits }, []int{2048, 3072},
			"Size of new RSA keys. The key that signs stays as it is until the next rotation."),
		text("keys.at_rest", func(c *Config) *string { return &c.Keys.AtRest },
			"files or sealed", orEmpty(among([]string{"files", "sealed"})),
			"Where private keys are kept: in `files` of `auth.data_dir`, or `sealed` in the database under `auth.master_key`. Left out it is `sealed` on PostgreSQL with a master key, else `files`. Keys that are files are sealed at the next start; sealed ones stay so until they are replaced."),
	}
}

func databaseKeys() []key {
	return []key{
		secret("database.url", func(c *Config) *Secret { return &c.Database.URL },
			"an SQLite or PostgreSQL URL, such as sqlite+aiosqlite:///auth.db or postgresql://user:password@host/name", databaseURL, redactURL,
			"The database. SQLAlchemy's forms are understood: three slashes are a path relative to the working folder, four an absolute one."),
		toggle("database.echo", func(c *Config) *bool { return &c.Database.Echo },
			"Log the text of every SQL statement, never its parameters."),
	}
}

func clientKeys() []key {
	return []key{
		toggle("auth_client.enabled", func(c *Config) *bool { return &c.AuthClient.Enabled },
			"Understood for the sake of existing files; only `true` is accepted, since `false` opened every endpoint of the original."),
		text("auth_client.issuer", func(c *Config) *string { return &c.AuthClient.Issuer },
			"an absolute http or https URL without user, query and fragment", orEmpty(issuerURL),
			"Understood for the sake of existing files. Left out it follows `auth.issuer`, and it may not differ from it."),
		text("auth_client.audience", func(c *Config) *string { return &c.AuthClient.Audience },
			"at most 255 characters of text", orEmpty(line),
			"Understood for the sake of existing files. Left out it follows `auth.audience`, and it may not differ from it."),
		list("auth_client.accepted_algorithms", func(c *Config) *[]string { return &c.AuthClient.AcceptedAlgorithms },
			"a list whose entries are each "+oneOf(algorithms()), among(algorithms()),
			"Algorithms that this server accepts on its own endpoints; it must hold `auth.algorithm`. When that is changed, keep the former one in the list until its last tokens have expired. Left out it is every algorithm of the key set, so that tokens stay good across a change of `auth.algorithm`."),
	}
}

func fastapiKeys() []key {
	return []key{
		text("fastapi.title", func(c *Config) *string { return &c.FastAPI.Title },
			"1 to 255 characters of text", line,
			"Name of the API on its page and in `/openapi.json`."),
		text("fastapi.version", func(c *Config) *string { return &c.FastAPI.Version },
			"at most 255 characters of text", orEmpty(line),
			"Version of the API on its page. Left out it is the version of the program."),
	}
}

func serverKeys() []key {
	return []key{
		text("server.host", func(c *Config) *string { return &c.Server.Host },
			"an IP address or a host name, without port", hostName,
			"Address to listen on. `0.0.0.0` is every IPv4 interface, `::` every interface. Beyond loopback the start is refused while an active superadmin has the default password."),
		number("server.port", func(c *Config) *int { return &c.Server.Port }, 1, 65_535,
			"Port to listen on."),
		list("server.trusted_proxies", func(c *Config) *[]string { return &c.Server.TrustedProxies },
			"a list of IP addresses and CIDR ranges", addressOrPrefix,
			"Proxies whose `X-Forwarded-For` is believed; the client is the rightmost address in it that is none of these. Empty: the peer is the client."),
		list("server.cors_origins", func(c *Config) *[]string { return &c.Server.CORSOrigins },
			"a list of origins as a browser sends them, such as https://app.example.com, without path, slash or default port", origin,
			"Origins whose pages may call the API from a browser. Credentials are never allowed. The key set and discovery answer any origin."),
		text("server.tls_cert", func(c *Config) *string { return &c.Server.TLSCert }, "a path", anything,
			"PEM file of the certificate chain. Set together with `server.tls_key`, the server speaks HTTPS. A renewed file is taken up without a restart. A leading `~` is the home folder."),
		text("server.tls_key", func(c *Config) *string { return &c.Server.TLSKey }, "a path", anything,
			"PEM file of the certificate's private key."),
		text("server.metrics_listen", func(c *Config) *string { return &c.Server.MetricsListen },
			"an address with port, such as 127.0.0.1:9100", orEmpty(hostPort),
			"A listener of its own for `/metrics`. Left out, `/metrics` is on the API's listener and answers loopback only."),
	}
}

// ignoredKey is one that later versions of the original know and that means
// nothing here. Its value is not looked at.
type ignoredKey struct {
	name string // a * at its end stands for anything
	why  string
}

// ignored returns why the key of that name has no effect, if it is one of
// those.
func ignored(name string) (why string, ok bool) {
	for _, old := range ignoredKeys() {
		prefix, open := strings.CutSuffix(old.name, "*")
		if name == old.name || open && strings.HasPrefix(name, prefix) {
			return old.why, true
		}
	}
	return "", false
}

func ignoredKeys() []ignoredKey {
	const (
		mailboxes = "mailbox passwords are not handed out by this server"
		local     = "the server verifies its own tokens with the keys it has in memory"
		revoked   = "the server looks in its database whether a session has ended"
		pool      = "the server chooses its own connection pools"
		schema    = "the server migrates its own tables"
		pages     = "there is no such mode"
	)
	return []ignoredKey{
		{"auth.email_credentials_token", mailboxes},
		{"auth_client.jwks_ttl_seconds", local},
		{"auth_client.jwks_endpoint", local},
		{"auth_client.revocation_endpoint", revoked},
		{"auth_client.revocation_ttl_seconds", revoked},
		{"auth_client.revocation_bearer", revoked},
		{"auth_client.revocation_fail_open", revoked},
		{"database.pool_*", pool},
		{"database.migrations_path", schema},
		{"database.migrations_target", schema},
		{"fastapi.debug", pages},
		{"fastapi.telemetry", pages},
	}
}
