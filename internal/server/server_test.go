package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/programtest"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

// running is a server for a test, on a free port, with its own folder.
type running struct {
	t    *testing.T
	base string
	out  *bytes.Buffer
	log  *testrig.Buffer
	stop func() error
}

func testConfig(dir string) config.Config {
	cfg := config.Default()
	cfg.Auth.DataDir = filepath.Join(dir, "keys")
	cfg.Auth.BcryptCost = bcrypt.MinCost
	cfg.Auth.Issuer = "http://localhost:8100"
	cfg.Database.URL = config.Secret("sqlite:///" + filepath.Join(dir, "auth.db"))
	cfg.Server.Port = 0
	return cfg
}

func start(t *testing.T, dir string, change func(*config.Config)) *running {
	t.Helper()
	return startAt(t, dir, nil, change)
}

// startAt is start with a clock; nil: that of the machine.
func startAt(t *testing.T, dir string, now func() time.Time, change func(*config.Config)) *running {
	t.Helper()
	cfg := testConfig(dir)
	if change != nil {
		change(&cfg)
	}
	out, log := &bytes.Buffer{}, &testrig.Buffer{}
	s, err := server.New(t.Context(), server.Config{
		Config: cfg, Version: "test", Out: out, Now: now,
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Opened()
	var once sync.Once
	var result error
	stop := func() error {
		once.Do(func() { cancel(); result = <-ended })
		return result
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server did not stop cleanly: %v", err)
		}
	})
	return &running{t: t, base: "http://" + s.Addr().String(), out: out, log: log, stop: stop}
}

// startAtIssuer starts a server that its issuer, with that path, leads to.
func startAtIssuer(t *testing.T, path string, change func(*config.Config)) (s *running, issuer string) {
	t.Helper()
	port, err := strconv.Atoi(programtest.FreePort(t))
	if err != nil {
		t.Fatal(err)
	}
	issuer = fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
	return start(t, t.TempDir(), func(c *config.Config) {
		c.Auth.Issuer, c.Server.Port = issuer, port
		if change != nil {
			change(c)
		}
	}), issuer
}

// call sends body as JSON and returns the status and the fields of the response.
func (s *running) call(method, path, bearer string, body any) (int, map[string]any) {
	s.t.Helper()
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var fields map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil {
		s.t.Fatalf("%s %s: %d, not JSON: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, fields
}

// must is call that requires success.
func (s *running) must(method, path, bearer string, body any) map[string]any {
	s.t.Helper()
	status, fields := s.call(method, path, bearer, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %v", method, path, status, fields)
	}
	return fields
}

func (s *running) login(email, password string) (access, refresh string) {
	s.t.Helper()
	a := s.must("POST", "/api/v1/auth/login", "", map[string]any{"email": email, "password": password})
	return a["access_token"].(string), a["refresh_token"].(string)
}

func (s *running) claims(token string) map[string]any {
	s.t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		s.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		s.t.Fatal(err)
	}
	return claims
}

func get(t *testing.T, url string, header http.Header) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestUserRegistersJoinsAGroupAndFindsItInTheNextToken(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	alice := s.must("POST", "/api/v1/auth/register", "", map[string]any{
		"email": "alice@example.com", "password": "secret123", "display_name": "Alice",
	})
	if alice["role"] != "viewer" || alice["status"] != "active" {
		t.Fatalf("registered as %v", alice)
	}
	access, refresh := s.login("alice@example.com", "secret123")
	if me := s.must("GET", "/api/v1/auth/me", access, nil); me["display_name"] != "Alice" {
		t.Fatalf("me is %v", me)
	}
	admin, _ := s.login("admin@pico.local", "admin")
	group := s.must("POST", "/api/v1/groups", admin, map[string]any{"name": "readers"})
	s.must("POST", "/api/v1/groups/"+group["id"].(string)+"/members", admin, map[string]any{"user_id": alice["id"]})

	next := s.must("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": refresh})
	token := next["access_token"].(string)
	if groups := s.claims(token)["groups"].([]any); len(groups) != 1 || groups[0] != group["id"] {
		t.Errorf("the next token has groups %v, want [%v]", groups, group["id"])
	}
	verifyWithGoJOSE(t, s.base, token)
}

// verifyWithGoJOSE verifies the token as another service would: with another
// library and the published key set.
func verifyWithGoJOSE(t *testing.T, base, token string) {
	t.Helper()
	_, body, _ := get(t, base+"/api/v1/auth/jwks", nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(set, &claims); err != nil {
		t.Fatal(err)
	}
	expected := jwt.Expected{Issuer: "http://localhost:8100", AnyAudience: jwt.Audience{"pico-bot"}, Time: time.Now()}
	if err := claims.Validate(expected); err != nil {
		t.Error(err)
	}
}

func TestRefreshTokenIsSingleUseUnderConcurrency(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	_, refresh := s.login("admin@pico.local", "admin")
	statuses := make(chan int, 8)
	for range cap(statuses) {
		go func() {
			resp, err := http.Post(s.base+"/api/v1/auth/refresh", "application/json", strings.NewReader(fmt.Sprintf("%q", refresh)))
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[http.StatusOK] != 1 || count[http.StatusUnauthorized] != 7 {
		t.Errorf("statuses %v, want one 200 and seven 401", count)
	}
}

func TestRestartKeepsKeysUsersAndSessions(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, nil)
	access, refresh := first.login("admin@pico.local", "admin")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir, nil)
	second.must("GET", "/api/v1/auth/me", access, nil)
	second.must("POST", "/api/v1/auth/refresh", "", map[string]any{"refresh_token": refresh})
}

func TestPostQuantumTokensAreAccepted(t *testing.T) {
	for _, alg := range []string{"ML-DSA-65", "ML-DSA-87"} {
		t.Run(alg, func(t *testing.T) {
			s := start(t, t.TempDir(), func(c *config.Config) { c.Auth.Algorithm = alg })
			access, _ := s.login("admin@pico.local", "admin")
			s.must("GET", "/api/v1/auth/me", access, nil)
			_, body, _ := get(t, s.base+"/api/v1/auth/jwks", nil)
			if !strings.Contains(body, `"AKP"`) || !strings.Contains(body, alg) {
				t.Errorf("key set %s", body)
			}
		})
	}
}

// The key of the previous algorithm signs for a while. An accepted list that was
// changed together with auth.algorithm must not refuse the tokens of that key.
func TestTokensAreAcceptedAcrossAChangeOfAlgorithm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir, func(c *config.Config) { c.Keys.PublishAhead = 2 * time.Second })
	old, _ := first.login("admin@pico.local", "admin")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, func(c *config.Config) {
		c.Auth.Algorithm, c.Keys.PublishAhead = "EdDSA", 2*time.Second
		c.AuthClient.AcceptedAlgorithms = []string{"EdDSA"}
	})
	if text := s.out.String(); !strings.Contains(text, "signing with RS256; EdDSA is published and signs from ") {
		t.Errorf("the start prints %s", text)
	}
	for _, says := range []string{"lacks the algorithm of the key that still signs", `"signs_in":"2s"`} {
		if !strings.Contains(s.log.String(), says) {
			t.Errorf("the log lacks %s: %s", says, s.log)
		}
	}
	_, discovery, header := get(t, s.base+"/.well-known/openid-configuration", nil)
	// On a busy machine the keys may not have been read recently enough for a max-age.
	if keep := header.Get("Cache-Control"); !strings.Contains(discovery, `["RS256","EdDSA"]`) || keep != "public, max-age=1" && keep != "no-cache" {
		t.Errorf("%s, %v", discovery, header)
	}
	for signs := ""; signs != "EdDSA"; {
		access, _ := s.login("admin@pico.local", "admin")
		s.must("GET", "/api/v1/auth/me", access, nil)
		s.must("GET", "/api/v1/auth/me", old, nil)
		signs = algorithmOf(access)
		time.Sleep(100 * time.Millisecond)
	}
	for _, path := range []string{"/api/v1/auth/jwks", "/.well-known/jwks.json", "/.well-known/jwks-pqc.json"} {
		if _, body, _ := get(t, s.base+path, nil); strings.Index(body, "EdDSA") > strings.Index(body, "RS256") || !strings.Contains(body, "RS256") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestTheLogHasOneRecordARequestAndNoSecret(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	access, refresh := s.login("admin@pico.local", "admin")
	s.call("POST", "/api/v1/auth/login", "", map[string]any{"email": "unknown@example.com", "password": "a-very-secret-word"})
	s.call("GET", "/api/v1/auth/me?token="+access, access, nil)
	s.must("POST", "/api/v1/auth/refresh", "", refresh)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	log := s.log.String()
	for _, secret := range []string{access, refresh, "a-very-secret-word"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains a secret: %.12s...", secret)
		}
	}
	if n := strings.Count(log, `"msg":"request"`); n != 4 {
		t.Errorf("%d request records, want 4:\n%s", n, log)
	}
}

func TestMetricsCountRoutesAndLogins(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	s.login("admin@pico.local", "admin")
	s.call("POST", "/api/v1/auth/login", "", map[string]any{"email": "admin@pico.local", "password": "wrong-password"})
	status, body, _ := get(t, s.base+"/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	for _, want := range []string{
		`pico_auth_http_requests_total{route="POST /api/v1/auth/login",status="200"} 1`,
		`pico_auth_http_requests_total{route="POST /api/v1/auth/login",status="401"} 1`,
		`pico_auth_logins_total{outcome="success"} 1`,
		`pico_auth_signatures_total 1`,
		`pico_auth_http_request_duration_seconds_bucket{route="POST /api/v1/auth/login"`,
		`pico_auth_password_hashing_waiting 0`,
		`pico_auth_job_failures_total{job="purge"} 0`,
		`pico_auth_job_failures_total{job="signing_keys"} 0`,
		`pico_auth_job_last_success_timestamp_seconds{job="purge"} 1.`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	forwarded := http.Header{"X-Forwarded-For": {"203.0.113.9"}}
	if status, _, _ := get(t, s.base+"/metrics", forwarded); status != http.StatusNotFound {
		t.Errorf("/metrics through a proxy responds with %d, want 404", status)
	}
}

func TestMetricsOnTheirOwnListener(t *testing.T) {
	s := start(t, t.TempDir(), func(c *config.Config) { c.Server.MetricsListen = "127.0.0.1:0" })
	if status, _, _ := get(t, s.base+"/metrics", nil); status != http.StatusNotFound {
		t.Errorf("/metrics on the API's listener responds with %d, want 404", status)
	}
	_, after, _ := strings.Cut(s.out.String(), "metrics       ")
	url, _, _ := strings.Cut(after, "\n")
	if status, body, _ := get(t, url, nil); status != http.StatusOK || !strings.Contains(body, "pico_auth_build_info") {
		t.Errorf("%s responds with %d", url, status)
	}
}

func TestStartNamesTheDatabaseOnAServer(t *testing.T) {
	url := storetest.EmptyPostgres(t)
	s := start(t, t.TempDir(), func(c *config.Config) { c.Database.URL = config.Secret(url) })
	if want := "  database      " + (config.Database{URL: config.Secret(url)}).Redacted() + "\n"; !strings.Contains(s.out.String(), want) {
		t.Errorf("the output lacks %q:\n%s", want, s.out)
	}
}

func TestStartPrintsAddressesAndPaths(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	for _, want := range []string{"/docs", filepath.Join(dir, "keys"), filepath.Join(dir, "auth.db"), "default password", s.base[len("http://127.0.0.1"):]} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the start does not print %q:\n%s", want, s.out)
		}
	}
}

func TestDefaultPasswordIsNotExposedToANetwork(t *testing.T) {
	dir := t.TempDir()
	var proxies []string
	newServer := func(host, password string) error {
		cfg := testConfig(dir)
		cfg.Server.TrustedProxies = proxies
		cfg.Server.Host = host
		cfg.Auth.AdminPassword = config.Secret(password)
		s, err := server.New(t.Context(), server.Config{Config: cfg})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	for _, host := range []string{"0.0.0.0", "::", ""} {
		if err := newServer(host, "admin"); err == nil || !strings.Contains(err.Error(), "auth.admin_password") {
			t.Errorf("on %q: %v, want an error that names auth.admin_password", host, err)
		}
	}
	if err := newServer("127.0.0.1", "admin"); err != nil {
		t.Errorf("on loopback: %v", err)
	}
	proxies = []string{"127.0.0.1"}
	if err := newServer("127.0.0.1", "admin"); err == nil || !strings.Contains(err.Error(), "server.trusted_proxies") || !strings.Contains(err.Error(), "auth.admin_password") {
		t.Errorf("behind a proxy: %v, want an error that names both settings", err)
	}
	proxies = nil
	if err := newServer("0.0.0.0", "admin"); err == nil {
		t.Error("an administrator with the default password is exposed to the network")
	}
	if err := newServer("0.0.0.0", "a-good-passphrase"); err != nil {
		t.Errorf("with auth.admin_password set: %v", err)
	}
	if err := newServer("0.0.0.0", "admin"); err != nil {
		t.Errorf("after the password change: %v", err)
	}
}

func TestBehindAProxyNoFirstAdminWithTheDefaultPasswordIsMade(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Server.TrustedProxies = []string{"10.0.0.0/8"}
	s, err := server.New(t.Context(), server.Config{Config: cfg})
	if err == nil {
		t.Fatal("the server started", s.Close())
	}
	want := "refusing to serve the proxies of server.trusted_proxies while admin@pico.local has the default password: " +
		"set auth.admin_password (AUTH_ADMIN_PASSWORD), or run `pico-auth user reset-password admin@pico.local`"
	if err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A proxy on this machine reaches the server although nothing of the configuration but
// the issuer says so.
func TestAPublicIssuerWarnsOfTheDefaultPasswordEveryHour(t *testing.T) {
	warning := "default password in use although auth.issuer is public"
	dir := t.TempDir()
	public := func(c *config.Config) { c.Auth.Issuer = "https://auth.example.com" }
	s := start(t, dir, public)
	server.Eventually(t, "the log of the start has the warning", func() bool { return strings.Contains(s.log.String(), warning) })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(dir)
	public(&cfg)
	if every := server.Period(t, cfg, "default_password"); every != time.Hour {
		t.Errorf("the warning comes every %v", every)
	}
	cfg = testConfig(dir)
	if every := server.Period(t, cfg, "default_password"); every != 0 {
		t.Errorf("a server for this machine warns every %v", every)
	}
}

// The start checks active superadmins only. One that is activated later must not
// expose the default password to the network.
func TestDefaultPasswordOfAnActivatedAdminIsRefusedOverTheNetwork(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, nil)
	admin, _ := s.login("admin@pico.local", "admin")
	s.must("POST", "/api/v1/auth/users", admin, map[string]string{
		"email": "root@example.com", "password": "battery staple", "role": "superadmin",
	})
	root, _ := s.login("root@example.com", "battery staple")
	id := s.must("GET", "/api/v1/auth/me", admin, nil)["id"].(string)
	s.must("PUT", "/api/v1/auth/users/"+id+"/status", root, map[string]string{"status": "suspended"})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	s = start(t, dir, func(c *config.Config) { c.Server.Host = "0.0.0.0" })
	root, _ = s.login("root@example.com", "battery staple")
	s.must("PUT", "/api/v1/auth/users/"+id+"/status", root, map[string]string{"status": "active"})
	status, fields := s.call("POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pico.local", "password": "admin"})
	if status != http.StatusUnauthorized || fields["error"] != "invalid_credentials" {
		t.Errorf("the default password over the network: %d %v", status, fields)
	}
}

func TestStartOnAPortInUseCreatesNoFiles(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	for _, change := range []func(*config.Config){
		func(c *config.Config) { c.Server.Port = ln.Addr().(*net.TCPAddr).Port },
		func(c *config.Config) { c.Server.MetricsListen = ln.Addr().String() },
	} {
		cfg := testConfig(dir)
		change(&cfg)
		if _, err := server.New(t.Context(), server.Config{Config: cfg}); err == nil || !strings.Contains(err.Error(), "server.") {
			t.Errorf("%v, want an error that names the setting", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("files created: %v, %v", left, err)
		}
	}
}

func TestHealth(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	for _, path := range []string{"/livez", "/readyz"} {
		if status, _, _ := get(t, s.base+path, nil); status != http.StatusOK {
			t.Errorf("%s responds with %d", path, status)
		}
	}
	if status, _ := s.call("POST", "/livez", "", nil); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		t.Errorf("POST /livez responds with %d", status)
	}
}

// A hanging database must not keep the process running: supervisors kill it after 10 s.
func TestServerStopsInTimeWhenTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, nil)
	defer storetest.Hold(t, string(testConfig(dir).Database.URL), "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE")()
	slow, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://")) // keeps the drain waiting
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	// Without the limit it would wait for as long as the database hangs.
	if took := time.Since(begin); took > 3*server.StopTimeout || server.StopTimeout >= 10*time.Second {
		t.Errorf("stopped after %v, the limit is %v", took, server.StopTimeout)
	}
}

func TestAStartNeedsTheOrganizationOfRegistration(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	cfg.Auth.RegistrationOrg = "guests"
	_, err := server.New(t.Context(), server.Config{Config: cfg})
	if _, ok := errors.AsType[config.Faults](err); !ok || !strings.Contains(err.Error(), "pico-auth org create NAME --id guests") {
		t.Fatalf("started: %v", err)
	}
	services, err := server.OpenServices(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	operator, suspended := identity.Actor{Kind: identity.ActorSystem}, string(identity.Suspended)
	if _, err := services.Directory.CreateOrganization(t.Context(), operator, directory.NewOrganization{ID: "guests", Name: "Guests"}); err != nil {
		t.Fatal(err)
	}
	if _, err := services.Directory.UpdateOrganization(t.Context(), operator, "guests", directory.OrganizationChange{Status: &suspended}); err != nil {
		t.Fatal(err)
	}
	if err := services.Close(); err != nil {
		t.Fatal(err)
	}
	log := &testrig.Buffer{}
	s, err := server.New(t.Context(), server.Config{Config: cfg, Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err) // a suspension does not stop the server
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "registration is closed") {
		t.Errorf("log: %s", log)
	}
}
