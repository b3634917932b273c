package config

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// check compares settings that depend on one another. It skips those that are
// invalid by themselves: what they were meant to be is unknown.
func (l *loader) check() {
	l.checkTLS()
	l.checkClient()
	l.checkKeys()
	l.checkDatabase()
	if len(l.faults) == 0 {
		l.suspect()
	}
}

// sound reports whether none of the settings is at fault.
func (l *loader) sound(names ...string) bool {
	return !slices.ContainsFunc(l.faults, func(f Fault) bool { return slices.Contains(names, f.Key) })
}

// checkClient compares auth_client with auth: if they differ, the server would
// refuse its own tokens or accept those of another issuer.
func (l *loader) checkClient() {
	c := l.config
	origins := c.Origins()
	if !c.AuthClient.Enabled {
		l.faultAt("auth_client.enabled", "must be true: without it every endpoint would be open to everyone")
	}
	if c.AuthClient.Issuer != c.Auth.Issuer && l.sound("auth.issuer", "auth_client.issuer", "server.port", "server.tls", "server.tls_cert") {
		l.faultAt("auth_client.issuer", "must be the same as auth.issuer ("+origins["auth.issuer"]+"), or be removed to follow it")
	}
	if c.AuthClient.Audience != c.Auth.Audience && l.sound("auth.audience", "auth_client.audience") {
		l.faultAt("auth_client.audience", "must be the same as auth.audience ("+origins["auth.audience"]+"), or be removed to follow it")
	}
	if c.Auth.Audience == identity.FirstPartyClient {
		l.faultAt("auth.audience", "must not be the id of the client that is built in: an audience and a client_id never are the same")
	}
	accepted := c.AuthClient.AcceptedAlgorithms
	if accepted != nil && !slices.Contains(accepted, c.Auth.Algorithm) && l.sound("auth.algorithm") {
		l.faultAt("auth_client.accepted_algorithms", "must contain "+c.Auth.Algorithm+", which auth.algorithm ("+origins["auth.algorithm"]+") signs with")
	}
}

// checkKeys checks what a rotation needs.
func (l *loader) checkKeys() {
	a, k := l.config.Auth, l.config.Keys
	lifetime := time.Duration(a.AccessTokenExpireMinutes) * time.Minute
	if k.RotateEvery > 0 && k.RotateEvery < k.PublishAhead+lifetime && l.sound("keys.rotate_every", "keys.publish_ahead", "auth.access_token_expire_minutes") {
		l.faultAt("keys.rotate_every", "must be at least "+showPeriod(k.PublishAhead+lifetime)+", the sum of keys.publish_ahead and auth.access_token_expire_minutes")
	}
	if !l.sound("auth.master_key", "auth.former_master_key", "keys.at_rest") {
		return
	}
	if k.AtRest == "sealed" && a.MasterKey == "" {
		l.faultAt("keys.at_rest", "is sealed, which needs auth.master_key as well")
	}
	if a.FormerMasterKey != "" && a.MasterKey == "" {
		l.faultAt("auth.former_master_key", "needs auth.master_key as well, the one that replaces it")
	}
	if a.FormerMasterKey != "" && a.FormerMasterKey == a.MasterKey {
		l.faultAt("auth.former_master_key", "must differ from auth.master_key")
	}
}

// checkDatabase parses the URL as the store does.
func (l *loader) checkDatabase() {
	if !l.sound("database.url") {
		return
	}
	if _, err := engine.Parse(string(l.config.Database.URL)); err != nil {
		l.faultAt("database.url", strings.TrimPrefix(err.Error(), "database.url "))
	}
}

func (l *loader) checkTLS() {
	s := l.config.Server
	if s.TLSMode != "" && (s.TLSCert != "" || s.TLSKey != "") {
		l.faultAt("server.tls", "must be empty where server.tls_cert or server.tls_key is set")
		return
	}
	switch {
	case s.TLSCert == "" && s.TLSKey == "", !l.sound("server.tls_cert", "server.tls_key"):
		return
	case s.TLSKey == "":
		l.faultAt("server.tls_cert", "needs server.tls_key as well")
		return
	case s.TLSCert == "":
		l.faultAt("server.tls_key", "needs server.tls_cert as well")
		return
	}
	cert, err := readSmall(s.TLSCert, maxFile)
	if err != nil {
		l.faultAt("server.tls_cert", "cannot be read: "+err.Error())
	}
	key, err2 := readSmall(s.TLSKey, maxFile)
	if err2 != nil {
		l.faultAt("server.tls_key", "cannot be read: "+err2.Error())
	}
	if err != nil || err2 != nil {
		return
	}
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		l.faultAt("server.tls_cert", "is not a PEM certificate for the key of server.tls_key: "+err.Error())
	}
}

// suspect warns about values that are valid and rarely intended.
func (l *loader) suspect() {
	c := l.config
	at := c.Origins()
	if c.Auth.RefreshTokenExpireDays > c.Auth.SessionMaxDays {
		l.warn("auth.refresh_token_expire_days", at["auth.refresh_token_expire_days"],
			"is longer than auth.session_max_days: every session ends with the latter")
	}
	if c.Auth.BrowserIdleHours > 24*c.Auth.BrowserMaxDays {
		l.warn("auth.browser_idle_hours", at["auth.browser_idle_hours"],
			"is longer than auth.browser_max_days: every session in a browser ends with the latter")
	}
	if c.Auth.MasterKey != "" && c.Keys.AtRest == "" && strings.HasPrefix(string(c.Database.URL), "sqlite") {
		l.warn("auth.master_key", at["auth.master_key"], "does not seal the signing keys with SQLite unless keys.at_rest is sealed: they stay files in auth.data_dir")
	}
	l.suspectClients()
	issuer, err := url.Parse(c.Auth.Issuer)
	if err != nil {
		return // cannot be: it was understood
	}
	switch {
	case c.Server.Listen != "" && !c.Explicit("auth.issuer"):
		l.warn("auth.issuer", at["auth.issuer"], "names this machine only, while server.listen ("+at["server.listen"]+") is for a proxy: set the address that clients use")
	case !loopback(c.Server.Host) && !c.Explicit("auth.issuer"):
		l.warn("auth.issuer", at["auth.issuer"], "names this machine only, while server.host ("+at["server.host"]+") accepts remote clients: they cannot fetch the key set")
	case issuer.Scheme == "http" && !loopback(issuer.Hostname()):
		l.warn("auth.issuer", at["auth.issuer"], "is plain http: an attacker on the network can replace the key set, and browsers cannot sign in, since their cookies need https")
	}
	if c.Auth.RegistrationEnabled && (!loopback(c.Server.Host) || c.Server.Listen != "") && !c.Explicit("groups.visibility") {
		l.warn("groups.visibility", at["groups.visibility"], "shows the names and members of all groups of "+c.Auth.RegistrationOrg+
			" to everyone who registers: set members, or organization if that is intended")
	}
	for _, proxy := range c.Server.TrustedProxies {
		if prefix, err := netip.ParsePrefix(proxy); err == nil && prefix.Bits() == 0 {
			l.warn("server.trusted_proxies", at["server.trusted_proxies"], "trusts every address: any client can claim any address")
		}
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// pathError drops the name of the system call from an error about a file.
type pathError struct {
	path string
	err  error
}

func (e pathError) Error() string { return e.path + ": " + e.err.Error() }
func (e pathError) Unwrap() error { return e.err }

func plain(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError{p.Path, p.Err}
	}
	return err
}
