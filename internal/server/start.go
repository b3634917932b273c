package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/web"
)

// firstAdmin creates the first administrator if there is none, and refuses to
// expose the default password to a network. It returns the address of an
// administrator with the default password, or an empty string.
func (s *Server) firstAdmin(ctx context.Context) (string, error) {
	c := s.cfg.Config
	exists, err := s.services.Store.HasSuperadmin(ctx)
	if err != nil {
		return "", err
	}
	if err := CheckFirstAdmin(c, s.services.Passwords, exists); err != nil {
		return "", err
	}
	if c.Auth.AutoCreateAdmin {
		if _, err := s.services.Directory.EnsureAdmin(ctx, c.Auth.AdminEmail, string(c.Auth.AdminPassword)); err != nil {
			return "", fmt.Errorf("create the first administrator from auth.admin_email and auth.admin_password: %w", err)
		}
	}
	if exists {
		s.tellUnused("auth.admin_email", "auth.admin_password")
	}
	email, found, err := s.services.Store.DefaultPasswordAdmin(ctx)
	if err != nil {
		return "", err
	}
	if found && exposed(c.Server) {
		return "", refuseDefaultPassword(c.Server, email)
	}
	return email, nil
}

// tellUnused says which of these settings of the first administrator are set and have no
// effect any more.
func (s *Server) tellUnused(names ...string) {
	set := slices.DeleteFunc(names, func(name string) bool { return !s.cfg.Config.Explicit(name) })
	if len(set) > 0 {
		s.cfg.Log.Info("settings of the first administrator have no effect: a superadmin exists; `pico-auth user reset-password` changes a password",
			"settings", strings.Join(set, ", "))
	}
}

// CheckFirstAdmin returns why a start must not create the first superadmin, nil where it
// creates none because one exists or auth.auto_create_admin is false.
func CheckFirstAdmin(c config.Config, passwords *password.Hasher, exists bool) error {
	switch {
	case exists || !c.Auth.AutoCreateAdmin:
		return nil
	case c.Auth.AdminPassword == "":
		return fault.New(fault.Invalid, "no_admin_password",
			"auth.admin_password is empty, and there is no superadmin yet: set it (AUTH_ADMIN_PASSWORD), or set auth.auto_create_admin to false")
	case exposed(c.Server) && string(c.Auth.AdminPassword) == password.Default:
		return refuseDefaultPassword(c.Server, c.Auth.AdminEmail)
	default:
		return directory.CheckAdmin(passwords, c.Auth.AdminEmail, string(c.Auth.AdminPassword))
	}
}

// warnOfDefaultPassword logs that the issuer says of the server that others reach it,
// while a superadmin has the default password. What forwards to it is on this machine
// then, and need not be named in server.trusted_proxies.
func (s *Server) warnOfDefaultPassword(ctx context.Context) (more bool, err error) {
	email, found, err := s.services.Store.DefaultPasswordAdmin(ctx)
	if found {
		s.cfg.Log.WarnContext(ctx, "default password in use although auth.issuer is public: change it now with `pico-auth user reset-password`",
			"email", email, "issuer", s.cfg.Config.Auth.Issuer)
	}
	return false, err
}

// publicIssuer reports whether the issuer names more than this machine.
func publicIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && !isLoopback(u.Hostname())
}

// recheckDefaultPassword is how long a look at the default password is good for.
const recheckDefaultPassword = time.Second

// defaultPassword knows whether an administrator has the default password. None
// gets it after the start, so that one look without it is the last one.
type defaultPassword struct {
	find func(context.Context) (email string, found bool, err error)

	mu     sync.Mutex
	exists bool
	looked time.Time
}

// knownHostsOnly is web.Config.KnownHostsOnly: while the default password exists,
// a page of another site must not reach the server through the user's browser.
func (d *defaultPassword) knownHostsOnly(ctx context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.exists || time.Since(d.looked) < recheckDefaultPassword {
		return d.exists
	}
	d.looked = time.Now()
	if _, found, err := d.find(ctx); err == nil {
		d.exists = found
	}
	return d.exists
}

// registrationOrg refuses a start in which users would register into an organization
// that does not exist. While it is suspended the server runs, with registration closed:
// an administrator who suspended it did not mean to stop the server.
func (s *Server) registrationOrg(ctx context.Context) error {
	c := s.cfg.Config.Auth
	if !c.RegistrationEnabled && s.cfg.Config.Explicit("auth.registration_enabled") {
		return nil
	}
	o, err := s.services.Directory.RegistrationOrg(ctx)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return unknownRegistrationOrg(c.RegistrationOrg)
	case err != nil:
		return err
	case o.Status != identity.Active:
		s.cfg.Log.Warn("registration is closed: the organization of auth.registration_org is suspended", "org_id", o.ID)
	}
	return nil
}

func unknownRegistrationOrg(id string) error {
	return fault.New(fault.Invalid, "unknown_organization", fmt.Sprintf(
		"auth.registration_org: there is no organization %q; create it with `pico-auth org create NAME --id %[1]s`, or name another one", id))
}

// exposed reports whether others than this machine reach the server: it listens beyond
// loopback, or for proxies, as on a socket of the unix domain.
func exposed(c config.Server) bool {
	return !isLoopback(c.Host) || len(c.TrustedProxies) > 0 || c.Socket() != ""
}

func refuseDefaultPassword(c config.Server, email string) error {
	what := "listen on " + c.Host
	if c.Socket() != "" {
		what = "listen on " + c.Listen
	} else if isLoopback(c.Host) {
		what = "serve the proxies of server.trusted_proxies"
	}
	return fault.New(fault.Invalid, "default_password", fmt.Sprintf(
		"refusing to %s while %s has the default password: set auth.admin_password (AUTH_ADMIN_PASSWORD), or run `pico-auth user reset-password %s`",
		what, email, email))
}

// isLoopback reports whether a server on host is reachable from this machine
// only. An empty host means every interface.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// acceptedAlgorithms are the configured ones and the algorithm of the active key,
// which differs until a change of auth.algorithm is complete: without it the
// server would refuse its own tokens.
func (s *Server) acceptedAlgorithms() []string {
	accepted := slices.Clone(s.cfg.Config.AuthClient.AcceptedAlgorithms)
	if signing := string(s.services.Keys.Active().Algorithm); accepted != nil && !slices.Contains(accepted, signing) {
		s.cfg.Log.Warn("auth_client.accepted_algorithms lacks the algorithm of the key that still signs; it is accepted until the next start",
			"algorithm", signing)
		accepted = append(accepted, signing)
	}
	return accepted
}

// acceptsItself returns an error if a command with another configuration has
// changed the keys to an algorithm that this server does not accept.
func (s *Server) acceptsItself() error {
	signing := string(s.services.Keys.Active().Algorithm)
	if s.accepted == nil || slices.Contains(s.accepted, signing) {
		return nil
	}
	return fmt.Errorf("auth_client.accepted_algorithms lacked %s, which the active key signs with, when the server was started; restart it", signing)
}

// announce prints the addresses and paths of the server.
func (s *Server) announce(defaultPassword string) {
	c := s.cfg.Config
	base := s.baseURL()
	database, err := filepath.Abs(s.services.Store.Path())
	if s.services.Store.Path() == "" || err != nil {
		database = c.Database.Redacted()
	}
	out := s.cfg.Out
	fmt.Fprintf(out, "pico-auth %s\n", s.cfg.Version)
	if c.Server.Socket() != "" {
		fmt.Fprintf(out, "  listening on  %s\n", c.Server.Listen)
	} else {
		fmt.Fprintf(out, "  listening on  %s%s\n", base, interfaces(s.Addr()))
		fmt.Fprintf(out, "  API page      %s%s/docs\n", base, web.BasePath(c.Auth.Issuer))
	}
	fmt.Fprintf(out, "  issuer        %s\n", c.Auth.Issuer)
	fmt.Fprintf(out, "  keys          %s\n", s.keysLine())
	fmt.Fprintf(out, "  database      %s\n", database)
	if c.Server.TLSMode == config.SelfSigned {
		fmt.Fprintf(out, "  certificate   %s, self-signed: trust it in browsers, and with curl --cacert, SSL_CERT_FILE or NODE_EXTRA_CA_CERTS\n", filepath.Join(c.Auth.DataDir, trustFile))
	}
	switch {
	case c.Server.MetricsSocket() != "":
		fmt.Fprintf(out, "  metrics       /metrics at %s\n", c.Server.MetricsListen)
	case c.Server.MetricsListen != "":
		fmt.Fprintf(out, "  metrics       http://%s/metrics%s\n", s.scrape.Addr(), interfaces(s.scrape.Addr()))
	case !metricsOnAPI(c.Server):
		fmt.Fprintf(out, "  metrics       off; server.metrics_listen turns them on\n")
	}
	if defaultPassword != "" {
		fmt.Fprintf(out, "  WARNING       %s has the default password %q: change it before others can reach this server\n",
			defaultPassword, password.Default)
		if !publicIssuer(c.Auth.Issuer) { // else a job says more
			s.cfg.Log.Warn("default password in use", "email", defaultPassword)
		}
	}
}

// keysLine describes where the keys are, the active one and the pending ones.
func (s *Server) keysLine() string {
	c, now := s.cfg.Config, time.Now()
	place, coming := c.Auth.DataDir, ""
	keys := s.services.Keys.Published().Keys()
	if s.services.Keys.Active().File == "" {
		place = "sealed in the database"
	}
	for _, k := range keys {
		if k.Status == store.KeyPending {
			coming += fmt.Sprintf("; another key (%s) signs from %s", k.Algorithm, Clock(now.Add(k.Due), now))
			s.cfg.Log.Info("signing key rotation under way", "pending", k.KID, "algorithm", k.Algorithm, "signs_in", k.Due.Round(time.Second).String())
		}
	}
	if text := Transition(keys, jose.Algorithm(c.Auth.Algorithm), now); text != "" {
		s.cfg.Log.Warn(text)
		return place + ": " + text
	}
	return fmt.Sprintf("%s (%s%s)", place, s.services.Keys.Active().Algorithm, coming)
}

// baseURL is the URL of the server on this machine.
func (s *Server) baseURL() string {
	c := s.cfg.Config.Server
	scheme := "http"
	if c.TLS() {
		scheme = "https"
	}
	host := c.Host
	if a, err := netip.ParseAddr(host); host == "" || isLoopback(host) || (err == nil && a.IsUnspecified()) {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		port = strconv.Itoa(c.Port)
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
