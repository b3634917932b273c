package config

import (
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// setting is one setting: where it is kept, what it may hold, what it is for.
// Every fault about it reads "must be " and the rule.
type setting struct {
	name   string // auth.issuer
	rule   string // continues "must be"
	doc    string // for the reference
	secret bool   // may also come from the file that NAME_FILE points at
	set    func(*Config, value) (bad []string)
	show   func(Config) any // redacted where it must be
}

// settings returns all settings, in the order of the reference.
func settings() []setting {
	return slices.Concat(authKeys(), signingKeys(), groupKeys(), databaseKeys(), clientKeys(), fastapiKeys(), serverKeys(), outboundKeys(), throttleKeys(), pagesKeys(), auditKeys(), logKeys())
}

var groupClaims = []string{GroupIDs, GroupNames, GroupBoth}

func authKeys() []setting {
	return []setting{
		text("auth.data_dir", func(c *Config) *string { return &c.Auth.DataDir },
			"a path, not empty", notEmpty,
			"Folder of the signing keys. It is created with mode 0700. A leading `~` is the home folder."),
		number("auth.access_token_expire_minutes", func(c *Config) *int { return &c.Auth.AccessTokenExpireMinutes }, 1, 525_600,
			"Lifetime of an access token, in minutes. Only services that poll the list of revoked tokens notice that one was revoked before it expires, so keep it short."),
		number("auth.refresh_token_expire_days", func(c *Config) *int { return &c.Auth.RefreshTokenExpireDays }, 1, 3_650,
			"Lifetime of a refresh token, in days. Every refresh starts it again."),
		number("auth.session_max_days", func(c *Config) *int { return &c.Auth.SessionMaxDays }, 1, 3_650,
			"Days after which a session ends, however often it is refreshed."),
		number("auth.sessions_per_user", func(c *Config) *int { return &c.Auth.SessionsPerUser }, 1, 100_000,
			"How many sessions a user may have, how many sign-ins at one client each session may have, and how many sign-ins at clients may outlive their session (`offline_access`). Beyond it the least recently used one ends, of several clients at the one that has most; the audit log says so."),
		number("auth.browser_idle_hours", func(c *Config) *int { return &c.Auth.BrowserIdleHours }, 1, 8_760,
			"A session in a browser ends so many hours after its last use. If the user chose to stay signed in, it ends after 7 days, or after this time if it is longer."),
		number("auth.browser_max_days", func(c *Config) *int { return &c.Auth.BrowserMaxDays }, 1, 3_650,
			"A session in a browser ends so many days after the sign-in, however often it is used. If the user chose to stay signed in, it ends after 90 days, or after this time if it is longer."),
		number("auth.rotations_per_family", func(c *Config) *int { return &c.Auth.RotationsPerFamily }, 0, 1_000_000,
			"How many refreshes, and how many sign-ins at clients, a session may have without a pause; one more is added each second. Further ones get 429 and leave the refresh token or the code valid. Each replica counts for itself. `0`: no limit."),
		number("auth.authorization_requests", func(c *Config) *int { return &c.Auth.AuthorizationRequests }, 100, 1_000_000,
			"How many sign-ins at clients may wait for their users, each for at most ten minutes. Further ones get a page with the status 429. Of one network at most 500 wait: a further one ends its oldest."),
		number("auth.refresh_reuse_grace_seconds", func(c *Config) *int { return &c.Auth.RefreshReuseGraceSeconds }, 0, 60,
			"For how many seconds after its use a refresh token yields the same successor again, while that is unused: for responses that got lost and for tabs that refresh at the same time. docs/api.md says when to set it. `0`: a used refresh token that is presented again ends its session, however soon."),
		number("auth.privileged_max_age_minutes", func(c *Config) *int { return &c.Auth.PrivilegedMaxAgeMinutes }, 0, 525_600,
			"Minutes after a sign-in, or after `POST /api/v1/auth/reauthenticate`, in which a user may create or promote a superadmin, reset the password or change the address of another user, and delete the own account without the password. A refresh is no sign-in. `0`: at any time, as the original, but the own account is deleted with the password only."),
		text("auth.issuer", func(c *Config) *string { return &c.Auth.Issuer },
			"an absolute http or https URL without user, query and fragment", orEmpty(issuerURL),
			"The `iss` of every token and the base of the key set's address. When it has a path, everything is served under that path. Clients compare it byte by byte, so it is used exactly as written, with or without a slash at the end. By default it is `http://localhost:PORT`, with the port of `server.port`, and `https` when `server.tls` or `server.tls_cert` is set."),
		text("auth.audience", func(c *Config) *string { return &c.Auth.Audience },
			"1 to 255 characters of text", line,
			"The `aud` of every token."),
		text("auth.group_claim", func(c *Config) *string { return &c.Auth.GroupClaim },
			oneOf(groupClaims), among(groupClaims),
			"What the claim `groups` of tokens, userinfo and `/me` has: the `id` of each group, or its `name` as products such as Grafana expect it, which changes when the group is renamed. A name is unique within its organization only: where users of several sign in, read `org_id` as well. With `both` it has the ids, and `group_names` the names in the same order. A token has as many groups as keep the `Authorization` header under 8,000 bytes; when that are not all, it has `groups_truncated: true`, and userinfo and `/me` have all."),
		text("auth.algorithm", func(c *Config) *string { return &c.Auth.Algorithm },
			oneOf(algorithms()), among(algorithms()),
			"Algorithm that new tokens are signed with. The ML-DSA ones are post-quantum. Another one is a rotation: its key is published at the next start, signs after `keys.publish_ahead`, and tokens of the former one are good until they expire."),
		secret("auth.master_key", func(c *Config) *Secret { return &c.Auth.MasterKey },
			"32 bytes in base64, such as `openssl rand -base64 32` prints, or file:PATH of a file that holds them", orEmpty(masterKey), hideSet,
			"Master key of the secrets that are sealed in the database. With it the signing keys of a PostgreSQL database are stored there and not in `auth.data_dir`, so that replicas need no shared folder; with SQLite only where `keys.at_rest` is `sealed`. It also keys the chain of audit events and the digests of the log. It is not stored anywhere: without it what is sealed cannot be read. A server without this setting makes the file `master.key` in `auth.data_dir` for everything but the signing keys."),
		secret("auth.former_master_key", func(c *Config) *Secret { return &c.Auth.FormerMasterKey },
			"32 bytes in base64, or file:PATH of a file that holds them", orEmpty(masterKey), hideSet,
			"The previous master key, while it is being replaced: it opens what was sealed under it and seals nothing new. Remove it after `pico-auth key reseal`; `pico-auth audit verify` needs it for the events that were linked under it."),
		toggle("auth.auto_create_admin", func(c *Config) *bool { return &c.Auth.AutoCreateAdmin },
			"Create the first superadmin at start when no superadmin exists."),
		text("auth.admin_email", func(c *Config) *string { return &c.Auth.AdminEmail },
			"an e-mail address", emailAddress,
			"E-mail address of the first superadmin."),
		secret("auth.admin_password", func(c *Config) *Secret { return &c.Auth.AdminPassword },
			"at most 72 bytes of text", bytesBetween(0, 72), hideSet,
			"Password of the first superadmin; unless it is the default, it must satisfy the policy for new passwords. While it is the default, the server listens on loopback only, and no proxy is trusted. Empty: none, and a start that would create the first superadmin is refused."),
		toggle("auth.registration_enabled", func(c *Config) *bool { return &c.Auth.RegistrationEnabled },
			"Whether registration is open to everyone. An explicit `false` always wins; otherwise the switch that an administrator set is stored in the database and wins over this."),
		text("auth.registration_org", func(c *Config) *string { return &c.Auth.RegistrationOrg },
			"the ID of an organization, at most 36 characters without white space", identity.ValidID,
			"Organization of users who register. It must exist; registration is closed while it is suspended."),
		number("auth.password_min_length", func(c *Config) *int { return &c.Auth.PasswordMinLength }, 1, 72,
			"Minimum number of characters of a new password."),
		toggle("auth.password_blocklist", func(c *Config) *bool { return &c.Auth.PasswordBlocklist },
			"Refuse the 10,000 most common passwords. Passwords made of the e-mail address, the service's name or the organization are refused in any case."),
		number("auth.bcrypt_cost", func(c *Config) *int { return &c.Auth.BcryptCost }, 10, 15,
			"bcrypt cost of new password hashes. Each step doubles the time of a login."),
	}
}

func signingKeys() []setting {
	return []setting{
		list("keys.algorithms", func(c *Config) *[]string { return &c.Keys.Algorithms },
			"a list whose entries are each "+oneOf(algorithms()), among(algorithms()),
			"Algorithms of which there is an active signing key each, for clients that ask for tokens signed with it; `auth.algorithm` is always one of them and the default, and RS256 is always one of them, since ID tokens are signed with it unless a client asks for another one. A key for a new entry is published for `keys.publish_ahead` before it signs; one for a removed entry retires. ML-DSA keys of this list are published at `/.well-known/jwks-pqc.json` only, unless `auth.algorithm` is the same."),
		period("keys.publish_ahead", func(c *Config) *time.Duration { return &c.Keys.PublishAhead }, 30*day, false,
			"For how long a new key is in the key set before it signs. Clients may keep the key set for at most five minutes, or a little less than this time where that is shorter, so a client that follows `Cache-Control` always has the key that signs. Some clients keep it for 15 minutes whatever the header says, and services that pin algorithms must be restarted in this time. Below 6 minutes all replicas must have the same value."),
		period("keys.rotate_every", func(c *Config) *time.Duration { return &c.Keys.RotateEvery }, 3650*day, true,
			"Age at which an active key is replaced automatically; 90d is a good value. `0`: only by `pico-auth key rotate`. It must be at least as long as a whole rotation: `keys.publish_ahead` and the lifetime of an access token."),
		choice("keys.rsa_bits", func(c *Config) *int { return &c.Keys.RSABits }, []int{2048, 3072},
			"Size of new RSA keys. The key that signs stays as it is until the next rotation."),
		text("keys.at_rest", func(c *Config) *string { return &c.Keys.AtRest },
			"files or sealed", orEmpty(among([]string{"files", "sealed"})),
			"Where private keys are kept: in `files` of `auth.data_dir`, or `sealed` in the database under `auth.master_key`. By default it is `sealed` on PostgreSQL with a master key, else `files`. Keys that are files are sealed at the next start; sealed ones stay so until they are replaced."),
	}
}

func groupKeys() []setting {
	visibilities := []string{VisibleToOrganization, VisibleToMembers}
	return []setting{
		text("groups.visibility", func(c *Config) *string { return &c.Groups.Visibility },
			oneOf(visibilities), among(visibilities),
			"Which groups a viewer sees: all of the `organization`, as on the Python server, or those that they are one of the `members` of. Where anyone can register, `members` hides the names and members of the other groups from everyone who registers."),
	}
}

func databaseKeys() []setting {
	poolers := []string{PoolerAuto, PoolerTransaction}
	return []setting{
		secret("database.url", func(c *Config) *Secret { return &c.Database.URL },
			"an SQLite or PostgreSQL URL, such as sqlite+aiosqlite:///auth.db or postgresql://user:password@host/name", anything, redactURL,
			"The database. SQLAlchemy's forms are understood: three slashes are a path relative to the working folder, four an absolute one."),
		text("database.pooler", func(c *Config) *string { return &c.Database.Pooler },
			oneOf(poolers), among(poolers),
			"Whether a connection pooler is before PostgreSQL. With `auto` PgBouncer and others that share sessions are recognized at the first connection; `transaction` is for one that is not. Then statements have no name, limits of time belong to each transaction, and a process opens 6 connections unless `pool_max_conns` is in `database.url`."),
		toggle("database.echo", func(c *Config) *bool { return &c.Database.Echo },
			"Log the text of every SQL statement, never its parameters."),
		period("database.wait", func(c *Config) *time.Duration { return &c.Database.Wait }, time.Hour, true,
			"For how long `serve` waits at its start for a PostgreSQL server that does not answer, takes no writes, or does not have the role or the database yet, as when both are started together. It says every 5 seconds what it waits for, serves `/livez` until then, and exits with 1 when the time has passed. Other commands do not wait. `0`: neither does `serve`."),
	}
}

func clientKeys() []setting {
	return []setting{
		toggle("auth_client.enabled", func(c *Config) *bool { return &c.AuthClient.Enabled },
			"Accepted for existing files; only `true` is allowed, since `false` opened every endpoint of the original."),
		text("auth_client.issuer", func(c *Config) *string { return &c.AuthClient.Issuer },
			"an absolute http or https URL without user, query and fragment", orEmpty(issuerURL),
			"Accepted for existing files. The default is `auth.issuer`, and any other value is a fault. Two values are replaced by `auth.issuer` with a warning: `http://localhost:8100`, and the value of `auth.issuer` in the file when a variable replaces that."),
		text("auth_client.audience", func(c *Config) *string { return &c.AuthClient.Audience },
			"at most 255 characters of text", orEmpty(line),
			"Accepted for existing files. The default is `auth.audience`, and any other value is a fault. Two values are replaced by `auth.audience` with a warning: `pico-bot`, and the value of `auth.audience` in the file when a variable replaces that."),
		list("auth_client.accepted_algorithms", func(c *Config) *[]string { return &c.AuthClient.AcceptedAlgorithms },
			"a list whose entries are each "+oneOf(algorithms()), among(algorithms()),
			"Algorithms that this server accepts on its own endpoints; it must contain `auth.algorithm`. When that is changed, keep the previous one in the list until its last tokens have expired. By default it is every algorithm of the key set, so that tokens stay valid across a change of `auth.algorithm`."),
	}
}

func fastapiKeys() []setting {
	return []setting{
		text("fastapi.title", func(c *Config) *string { return &c.FastAPI.Title },
			"1 to 255 characters of text", line,
			"Name of the API on its page and in `/openapi.json`."),
		text("fastapi.version", func(c *Config) *string { return &c.FastAPI.Version },
			"at most 255 characters of text", orEmpty(line),
			"Version of the API on its page. By default it is the version of the program."),
	}
}

func serverKeys() []setting {
	return []setting{
		text("server.host", func(c *Config) *string { return &c.Server.Host },
			"an IP address or a host name, without port", hostName,
			"Address to listen on. `0.0.0.0` is every interface, IPv4 only; `::` is every interface, IPv4 and IPv6 as far as the machine has them. Beyond loopback the start is refused while an active superadmin has the default password."),
		number("server.port", func(c *Config) *int { return &c.Server.Port }, 1, 65_535,
			"Port to listen on."),
		text("server.listen", func(c *Config) *string { return &c.Server.Listen },
			"unix: and an absolute path of at most 80 bytes, such as unix:/run/pico-auth/http.sock", orEmpty(socketPath),
			"A socket of the unix domain to listen on, instead of `server.host` and `server.port`. A socket that was left behind is replaced; one in use, or another file, is not. Who connects to it is a trusted proxy: the client is the rightmost address in `X-Forwarded-For` that is not in `server.trusted_proxies`. A socket of systemd comes before this setting."),
		text("server.listen_mode", func(c *Config) *string { return &c.Server.ListenMode },
			"a mode in octal, such as 0660", octalMode,
			"Mode of that socket, and of one in `server.metrics_listen`: who may connect to it. Its group is that of the process, or of the folder where that is setgid."),
		list("server.trusted_proxies", func(c *Config) *[]string { return &c.Server.TrustedProxies },
			"a list of IP addresses and CIDR ranges", addressOrPrefix,
			"Proxies whose `X-Forwarded-For` is trusted; the client is the rightmost address in it that is not one of these. Empty: the peer is the client. Where it is set, others reach the server: the start is refused while an active superadmin has the default password."),
		number("server.connections_per_address", func(c *Config) *int { return &c.Server.ConnectionsPerAddress }, 0, 4_096,
			"Connections that one client address may have; a public /56 network of IPv6 counts as one address. `0`: as many as there are. Trusted proxies have no limit. A private or loopback address that forwards `X-Forwarded-For` without being named in `server.trusted_proxies` may have ten times as many. Connections beyond the limit are answered `/livez` and `/readyz`, and 429 for everything else. All clients together may have 4096."),
		period("server.idle_timeout", func(c *Config) *time.Duration { return &c.Server.IdleTimeout }, time.Hour, false,
			"Time after which a connection without a request is closed. Keep it longer than that of load balancers (60 s in many), so that they close first: a request that crosses a close is answered 502 by them. Where connections are scarce, those that were idle for five seconds are closed. The other limits are fixed: the header of a request must arrive within 5 s, the whole request within 15 s, and its response is sent within 30 s."),
		list("server.cors_origins", func(c *Config) *[]string { return &c.Server.CORSOrigins },
			"a list of origins as a browser sends them, such as https://app.example.com, without path, slash or default port", origin,
			"Origins whose pages may call the API from a browser. Credentials are never allowed. The key set and discovery allow any origin, and the endpoints of the provider those of its clients. Each other origin is logged once. docs/api.md explains CORS."),
		text("server.tls", func(c *Config) *string { return &c.Server.TLSMode }, "self-signed, or empty", orEmpty(among([]string{SelfSigned})),
			"`self-signed`: the server speaks HTTPS with a certificate for `localhost`, `127.0.0.1` and `::1` that it makes, keeps in `auth.data_dir` and renews 30 days before its end. The start prints which file browsers and programs must trust. It is for development; with `server.tls_cert` it must be empty."),
		text("server.tls_cert", func(c *Config) *string { return &c.Server.TLSCert }, "a path", anything,
			"PEM file of the certificate chain. Set together with `server.tls_key`, the server speaks HTTPS. A renewed file is loaded without a restart, and at once when the process receives SIGHUP. A leading `~` is the home folder."),
		text("server.tls_key", func(c *Config) *string { return &c.Server.TLSKey }, "a path", anything,
			"PEM file of the certificate's private key."),
		text("server.metrics_listen", func(c *Config) *string { return &c.Server.MetricsListen },
			"an address with port, such as 127.0.0.1:9100, or a socket as in server.listen", orEmpty(either(hostPort, socketPath)),
			"A separate listener for `/metrics`, which serves nothing else and every client that reaches it. As in `server.host`, `0.0.0.0` is IPv4 only, and `::` or no address is both. A socket of the unix domain has the mode `server.listen_mode`. Without it `/metrics` is on the API's listener, for clients on this machine only, where `server.host` is loopback and `server.trusted_proxies` is empty; elsewhere there is none."),
	}
}

func outboundKeys() []setting {
	return []setting{
		list("outbound.allow", func(c *Config) *[]string { return &c.Outbound.Allow },
			"a list of host names, addresses and networks, such as app, 10.1.2.3 or 10.0.0.0/8", hostOrNetwork,
			"What this server may connect to although its address is not public, such as the applications of a cluster that are told of logouts. Requests go to https only, follow no redirects, and end after 5 seconds; the certificate must be one that this machine trusts (`SSL_CERT_FILE` names other roots). While `auth.issuer` is http on loopback, loopback is allowed, with http too."),
	}
}

func throttleKeys() []setting {
	return []setting{
		toggle("throttle.enabled", func(c *Config) *bool { return &c.Throttle.Enabled },
			"Limit failed logins by account and by network, and registrations and unknown tokens by network; docs/operations.md has the numbers. `false` lifts these limits, for tests and for installations where something in front of the server limits attempts. Concurrent password hashes stay limited."),
	}
}

func pagesKeys() []setting {
	return []setting{
		text("pages.name", func(c *Config) *string { return &c.Pages.Name },
			"1 to 255 characters of text", line,
			"Name of the service on the pages that users see."),
		text("pages.logo", func(c *Config) *string { return &c.Pages.Logo }, "a path", anything,
			"Logo of the pages: a file that ends in `.svg`, `.png` or `.webp`, at most 256 KiB. It is shown 30 pixels high and is the icon of the browser's tab. It is read at the start."),
		text("pages.accent", func(c *Config) *string { return &c.Pages.Accent },
			"a color as #rrggbb, such as #0b7a4b", orEmpty(hexColor),
			"Color of buttons and links. Where text in it would be hard to read, in light or dark, the pages use a darker or lighter variant. In a YAML file it needs quotes."),
		text("pages.style_sheet", func(c *Config) *string { return &c.Pages.StyleSheet }, "a path", anything,
			"CSS file of at most 256 KiB that follows the style sheet of the pages. The content security policy loads nothing from other hosts. It is read at the start."),
		list("pages.links", func(c *Config) *[]string { return &c.Pages.Links },
			"a list whose entries are each a text and an http or https URL, such as Privacy https://example.com/privacy", namedLink,
			"Links at the bottom of every page, each a text, a space and a URL."),
	}
}

func auditKeys() []setting {
	return []setting{
		number("audit.retention_days", func(c *Config) *int { return &c.Audit.RetentionDays }, 0, 36_500,
			"Days after which audit events are deleted, with the client addresses in them. What remains can still be verified. `0`: never."),
		text("audit.stream", func(c *Config) *string { return &c.Audit.Stream },
			"stdout or a path", anything,
			"Where this server writes each audit event as a line of JSON as soon as it is committed, for a SIEM: `stdout`, or a file, which is made with mode 0600 and opened again after a rotation. Events stay in the database as well. By default there is no stream."),
	}
}

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json", LogAuto}
)

func logKeys() []setting {
	return []setting{
		text("log.level", func(c *Config) *string { return &c.Log.Level }, oneOf(logLevels), among(logLevels),
			"Least level of the records that are logged. Requests and audit events are `info`; the audit log in the database always has all events. Successful requests to `/livez`, `/readyz` and `/metrics` are not logged. SIGHUP makes the server read it again."),
		text("log.format", func(c *Config) *string { return &c.Log.Format }, oneOf(logFormats), among(logFormats),
			"How the log is written to standard error: as `text`, as `json`, one object a line, or `auto`: as text on a terminal, as JSON elsewhere."),
		toggle("log.addresses", func(c *Config) *bool { return &c.Log.Addresses },
			"Log the e-mail address that was typed in a refused login. It may be a password in the wrong field, so by default only a digest is logged: `pico-auth audit digest EMAIL` computes that of an address."),
	}
}

// ignoredSetting is one that later versions of the original know and that has no
// effect here. Its value is not read.
type ignoredSetting struct {
	name string // a * at its end matches any suffix
	why  string
}

// ignored returns why the setting of that name has no effect, if it is one of
// those.
func ignored(name string) (why string, ok bool) {
	for _, old := range ignoredSettings() {
		prefix, open := strings.CutSuffix(old.name, "*")
		if name == old.name || open && strings.HasPrefix(name, prefix) {
			return old.why, true
		}
	}
	return "", false
}

func ignoredSettings() []ignoredSetting {
	const (
		mailboxes = "this server does not return mailbox passwords"
		local     = "the server verifies its own tokens with the keys it has in memory"
		revoked   = "the server reads from its database whether a session has ended"
		pool      = "the server chooses its own connection pools"
		schema    = "the server migrates its own tables"
		pages     = "this mode does not exist"
	)
	return []ignoredSetting{
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
