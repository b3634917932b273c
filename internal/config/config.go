package config

import (
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// Config is all settings. Default and Load make one; the
// zero value is not usable.
type Config struct {
	Auth       Auth
	Keys       Keys
	Groups     Groups
	Database   Database
	AuthClient AuthClient
	FastAPI    FastAPI
	Server     Server
	Outbound   Outbound
	Throttle   Throttle
	Pages      Pages
	Audit      Audit
	Log        Log
	Clients    []Client // in the order of the file

	origins  map[string]string // by setting; one that is not in it has its default
	replaced []Replaced
}

// Replaced is a setting that the environment gives another value than the file, or the
// default.
type Replaced struct {
	Key string
	By  string // the environment variable
	Of  string // where the other value is: the file and line, or "default"

	Former Secret // the other value
}

// Warning is for an operator who moves from the Python server, where no variable replaced
// a setting.
func (r Replaced) Warning() string {
	of, value := "of "+r.Of, string(r.Former)
	if r.Of == "default" {
		of = "by default"
	}
	if r.Key == "database.url" {
		value = redactURL(value)
	}
	return Fault{r.Key, r.By, "replaces " + value + " " + of + "; the Python server ignored the variable: unset it, or what clients and tokens know changes"}.String()
}

// Replaced returns what the environment changed of the settings that clients and data
// depend on: database.url, auth.data_dir, auth.issuer, auth.audience and auth.algorithm.
func (c Config) Replaced() []Replaced { return c.replaced }

// Auth is the section auth: tokens, the first administrator, passwords.
type Auth struct {
	DataDir                  string // absolute or relative to the working folder; ~ is expanded
	AccessTokenExpireMinutes int
	RefreshTokenExpireDays   int // slides at every refresh
	SessionMaxDays           int // the absolute end of a session
	SessionsPerUser          int // the least recently used ends
	BrowserIdleHours         int // after the last use of a session in a browser
	BrowserMaxDays           int // after its sign-in
	RotationsPerFamily       int // at once, and one more a second; 0: no limit
	AuthorizationRequests    int // that wait for their users
	RefreshReuseGraceSeconds int // 0: a used refresh token ends its session
	PrivilegedMaxAgeMinutes  int // since the sign-in; 0: at any time
	Issuer                   string
	Audience                 string
	GroupClaim               string // GroupIDs, GroupNames or GroupBoth
	Algorithm                string
	MasterKey                Secret // 32 bytes in base64, read from its file; empty: none
	FormerMasterKey          Secret // the same; empty: none
	AutoCreateAdmin          bool
	AdminEmail               string
	AdminPassword            Secret
	RegistrationEnabled      bool
	RegistrationOrg          string // ID of the organization of users who register
	PasswordMinLength        int
	PasswordBlocklist        bool // refuse the most common passwords
	BcryptCost               int
}

// The values of auth.group_claim.
const (
	GroupIDs   = "id"
	GroupNames = "name"
	GroupBoth  = "both"
)

// Keys is the section keys: the lifecycle of the signing keys.
type Keys struct {
	Algorithms   []string      // further ones that have a signing key; auth.algorithm may be left out
	PublishAhead time.Duration // a key is published so long before it signs
	RotateEvery  time.Duration // zero: only when asked to
	RSABits      int           // of new RSA keys
	AtRest       string        // files or sealed; empty: by database and master key
}

// The values of groups.visibility.
const (
	VisibleToOrganization = "organization"
	VisibleToMembers      = "members"
)

// Groups is the section groups.
type Groups struct {
	Visibility string // VisibleToOrganization or VisibleToMembers
}

// The values of database.pooler.
const (
	PoolerAuto        = "auto"
	PoolerTransaction = "transaction"
)

// Database is the section database.
type Database struct {
	URL    Secret        // may hold a password
	Pooler string        // PoolerAuto or PoolerTransaction
	Echo   bool          // log statements, never their parameters
	Wait   time.Duration // of a start, for a server that does not answer yet; zero: not at all
}

// Redacted is the URL without its secrets.
func (d Database) Redacted() string { return redactURL(string(d.URL)) }

// AuthClient is the section auth_client. Load makes sure that it says the same
// as Auth: the server guards itself with the tokens it issues.
type AuthClient struct {
	Enabled            bool
	Issuer             string
	Audience           string
	AcceptedAlgorithms []string // nil: every algorithm of the key set
}

// FastAPI is the section fastapi; its name is the original's.
type FastAPI struct {
	Title   string
	Version string // empty: the build's
}

// Server is the section server.
type Server struct {
	Host           string
	Port           int
	Listen         string   // SocketPrefix and a path; empty: Host and Port
	ListenMode     string   // of the socket, octal
	TrustedProxies []string // addresses and CIDRs

	ConnectionsPerAddress int           // zero: no limit
	IdleTimeout           time.Duration // of a connection without a request

	CORSOrigins   []string // exact origins
	TLSMode       string   // SelfSigned, or empty
	TLSCert       string   // empty: plain HTTP, unless TLSMode is SelfSigned
	TLSKey        string
	MetricsListen string // address and port, or SocketPrefix and a path; empty: /metrics is on the API's listener, if that is for this machine only
}

// SelfSigned is the value of server.tls for a certificate that the server makes.
const SelfSigned = "self-signed"

// Outbound is the section outbound: requests that this server makes.
type Outbound struct {
	Allow []string // hosts and networks whose addresses are not public
}

// Throttle is the section throttle: limits of failed attempts.
type Throttle struct {
	Enabled bool
}

// Pages is the section pages: the look of the pages that users see.
type Pages struct {
	Name       string
	Logo       string // path; empty: ours
	Accent     string // #rrggbb; empty: ours
	StyleSheet string // path; empty: none
	Links      []string
}

// Audit is the section audit.
type Audit struct {
	RetentionDays int    // zero: events are kept
	Stream        string // stdout or a path; empty: none
}

// Log is the section log.
type Log struct {
	Level     string // debug, info, warn or error
	Format    string // text, json or LogAuto
	Addresses bool   // e-mail addresses of refused logins are logged
}

// LogAuto is the value of log.format for text on a terminal and JSON elsewhere.
const LogAuto = "auto"

// Default is the configuration of a server with nothing configured. The data
// folder still begins with ~, which Load expands.
func Default() Config {
	c := defaults()
	c.follow()
	return c
}

// defaults leaves empty what is derived from other settings.
func defaults() Config {
	return Config{
		Auth: Auth{
			DataDir:                  "~/.pico-auth",
			AccessTokenExpireMinutes: 15,
			RefreshTokenExpireDays:   7,
			SessionMaxDays:           90,
			SessionsPerUser:          50,
			BrowserIdleHours:         24,
			BrowserMaxDays:           14,
			RotationsPerFamily:       1000,
			AuthorizationRequests:    20_000,
			PrivilegedMaxAgeMinutes:  15,
			Audience:                 "pico-bot",
			GroupClaim:               GroupIDs,
			Algorithm:                "RS256",
			AutoCreateAdmin:          true,
			AdminEmail:               "admin@pico.local",
			AdminPassword:            "admin",
			RegistrationEnabled:      true,
			RegistrationOrg:          identity.DefaultOrg,
			PasswordMinLength:        8,
			PasswordBlocklist:        true,
			BcryptCost:               12,
		},
		Keys:       Keys{PublishAhead: time.Hour, RSABits: 2048},
		Groups:     Groups{Visibility: VisibleToOrganization},
		Database:   Database{URL: "sqlite+aiosqlite:///auth.db", Pooler: PoolerAuto, Wait: 30 * time.Second},
		AuthClient: AuthClient{Enabled: true},
		FastAPI:    FastAPI{Title: "Pico Auth API"},
		Server:     Server{Host: "127.0.0.1", Port: 8100, ListenMode: "0660", ConnectionsPerAddress: 256, IdleTimeout: 2 * time.Minute},
		Throttle:   Throttle{Enabled: true},
		Pages:      Pages{Name: "Pico Auth"},
		Audit:      Audit{RetentionDays: 365},
		Log:        Log{Level: "info", Format: LogAuto},
	}
}

// follow fills in what is derived from other settings where it is empty.
func (c *Config) follow() {
	if c.Auth.Issuer == "" {
		c.Auth.Issuer = c.Server.scheme() + "://localhost:" + strconv.Itoa(c.Server.Port)
	}
	if c.AuthClient.Issuer == "" {
		c.AuthClient.Issuer = c.Auth.Issuer
	}
	if c.AuthClient.Audience == "" {
		c.AuthClient.Audience = c.Auth.Audience
	}
}

// Origins returns for each setting where its value came from: "default", the file and
// line, or the environment variable.
func (c Config) Origins() map[string]string {
	all := make(map[string]string)
	for _, k := range settings() {
		all[k.name] = "default"
	}
	maps.Copy(all, c.origins)
	return all
}

// Explicit reports whether the setting was set, even to its default.
func (c Config) Explicit(key string) bool { return c.origins[key] != "" }

// Setting is one setting as `config show` presents it.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // string, int, bool or []string; secrets redacted
	Origin string `json:"origin"`
}

// Settings lists every setting in the order of the reference, secrets redacted.
func (c Config) Settings() []Setting {
	origins := c.Origins()
	var all []Setting
	for _, k := range settings() {
		all = append(all, Setting{Key: k.name, Value: k.show(c), Origin: origins[k.name]})
	}
	return all
}

// TLS reports whether the server speaks HTTPS itself.
func (s Server) TLS() bool { return s.TLSCert != "" || s.TLSMode == SelfSigned }

func (s Server) scheme() string {
	if s.TLS() {
		return "https"
	}
	return "http"
}

// SocketPrefix is in front of the path in server.listen.
const SocketPrefix = "unix:"

// Socket is the path of the socket that the server listens on; empty: it listens on
// host and port.
func (s Server) Socket() string { return strings.TrimPrefix(s.Listen, SocketPrefix) }

// MetricsSocket is the path of the socket for /metrics; empty: it has none.
func (s Server) MetricsSocket() string {
	path, found := strings.CutPrefix(s.MetricsListen, SocketPrefix)
	if !found {
		return ""
	}
	return path
}

// SocketMode is the mode of the sockets.
func (s Server) SocketMode() fs.FileMode {
	mode, _ := strconv.ParseUint(s.ListenMode, 8, 9) // no error: it was understood
	return fs.FileMode(mode)
}

// LocalURL is where a program on the same machine reaches the server: the
// configured address, loopback when it listens on every interface, any address when it
// listens on a socket.
func (s Server) LocalURL() string {
	if s.Listen != "" {
		return s.scheme() + "://localhost"
	}
	host := s.Host
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "127.0.0.1" // for :: too: it is IPv4 as well, and a container may have no IPv6
	}
	return s.scheme() + "://" + net.JoinHostPort(host, strconv.Itoa(s.Port))
}

// Secret is a value that does not print. Convert it to string to use it.
type Secret string

const redacted = "[redacted]"

// String hides the secret from fmt and log.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from encoding/json and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
