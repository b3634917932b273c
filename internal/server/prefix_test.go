package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/programtest"
	"github.com/pico-auth/pico-auth/internal/server"
)

// nginx runs nginx with the directives of a server on a free port, and returns the
// origin of its clients. Without nginx the test is skipped, unless REQUIRE_NGINX=1.
func nginx(t *testing.T, port, directives string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil && os.Getenv("REQUIRE_NGINX") == "1" {
		t.Fatal("REQUIRE_NGINX=1, but there is no nginx on this machine")
	}
	if err != nil {
		t.Skip("NOT TESTED: the pages behind nginx; there is no nginx on this machine (REQUIRE_NGINX=1 makes that a failure)")
	}
	dir := t.TempDir()
	var temp strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s; ", of, dir, of)
	}
	file := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/log; events {}\nhttp { access_log off; %[2]s\nserver { listen 127.0.0.1:%[3]s;\n%[4]s\n} }\n", dir, temp.String(), port, directives)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-e", filepath.Join(dir, "log"), "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for begin := time.Now(); time.Since(begin) < server.Patience; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("nginx does not listen:\n%s", log)
}

// browsing is a browser's way through the pages below an issuer.
type browsing struct {
	t      *testing.T
	origin string
	base   string // path of the issuer
	http.Client
	page string // that it shows
	at   *url.URL
}

func newBrowsing(t *testing.T, origin, base string) *browsing {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browsing{t: t, origin: origin, base: base, Client: http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// open sends a request and follows redirects until one leaves the issuer, which it
// returns, or a page is shown. Everything that it gets has to be below the issuer.
func (b *browsing) open(method, address string, form url.Values) (left *url.URL) {
	b.t.Helper()
	for range 10 {
		req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", b.origin)
		}
		resp, err := b.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range resp.Cookies() {
			if c.Path != b.base {
				b.t.Errorf("%s %s: the cookie %s is for %s", method, address, c.Name, c.Path)
			}
		}
		location := resp.Header.Get("Location")
		if location == "" {
			b.page, b.at = string(body), req.URL
			if resp.StatusCode != http.StatusOK {
				b.t.Fatalf("%s %s: %d %s", method, address, resp.StatusCode, body)
			}
			b.links()
			return nil
		}
		next, err := req.URL.Parse(location)
		if err != nil {
			b.t.Fatal(err)
		}
		if next.Scheme+"://"+next.Host != b.origin {
			return next
		}
		b.below(location)
		method, address, form = http.MethodGet, next.String(), nil
	}
	b.t.Fatalf("%s redirects for ever", address)
	return nil
}

// below fails the test unless an address is below the issuer.
func (b *browsing) below(address string) {
	b.t.Helper()
	path := strings.TrimPrefix(address, b.origin)
	if path != b.base && !strings.HasPrefix(path, b.base+"/") {
		b.t.Errorf("%s leads to %s", b.at, address)
	}
}

var links = regexp.MustCompile(`(?:href|src|action|data-login|data-description)="([^"]*)"`)

// links checks every link of the page, and that files that it loads exist.
func (b *browsing) links() {
	b.t.Helper()
	for _, found := range links.FindAllStringSubmatch(b.page, -1) {
		link := html.UnescapeString(found[1])
		if strings.HasPrefix(link, "#") || strings.HasPrefix(link, "data:") || strings.HasPrefix(link, "https://") {
			continue
		}
		b.below(link)
		if strings.Contains(found[0], "action=") || strings.Contains(found[0], "data-login=") {
			continue
		}
		address, err := b.at.Parse(link)
		if err != nil {
			b.t.Fatal(err)
		}
		resp, err := b.Get(address.String())
		if err != nil {
			b.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 400 {
			b.t.Errorf("%s leads to %s: %d", b.at, link, resp.StatusCode)
		}
	}
}

var (
	forms   = regexp.MustCompile(`(?s)<form[^>]* method="post" action="([^"]*)">(.*?)</form>`)
	hiddens = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// send fills in the form of the page whose action ends so.
func (b *browsing) send(action string, fields url.Values) (left *url.URL) {
	b.t.Helper()
	for _, form := range forms.FindAllStringSubmatch(b.page, -1) {
		if !strings.HasSuffix(html.UnescapeString(form[1]), action) {
			continue
		}
		for _, hidden := range hiddens.FindAllStringSubmatch(form[2], -1) {
			fields.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
		address, err := b.at.Parse(html.UnescapeString(form[1]))
		if err != nil {
			b.t.Fatal(err)
		}
		return b.open(http.MethodPost, address.String(), fields)
	}
	b.t.Fatalf("%s has no form for %s:\n%s", b.at, action, b.page)
	return nil
}

// Everything that the server says of itself follows the issuer, behind a proxy that
// passes the path on and behind one that strips it, names another host, or comes
// through a socket.
func TestEverythingIsBelowThePathOfTheIssuerBehindNginx(t *testing.T) {
	t.Parallel()
	const headers = "proxy_set_header X-Forwarded-For $remote_addr; "
	for name, c := range map[string]struct {
		issuer, pass string // pass gets the address of the server
		socket       bool
	}{
		"passed on":          {"/auth", "location /auth/ { proxy_pass http://%s; proxy_set_header Host $http_host; " + headers + "}\nlocation = /auth { proxy_pass http://%[1]s; }", false},
		"stripped":           {"/auth", "location /auth/ { proxy_pass http://%s/; " + headers + "}\nlocation = /auth { proxy_pass http://%[1]s/; }", false},
		"stripped, a socket": {"/id/v1/", "location /id/v1/ { proxy_pass http://%s/; " + headers + "}\nlocation = /id/v1 { proxy_pass http://%[1]s/; }", true},
	} {
		t.Run(name, func(t *testing.T) {
			port := programtest.FreePort(t)
			origin, path := "http://localhost:"+port, filepath.Join(socketFolder(t), "s")
			s := start(t, t.TempDir(), func(cfg *config.Config) {
				cfg.Auth.Issuer, cfg.Auth.AdminPassword = origin+c.issuer, "a-good-passphrase"
				cfg.Server.TrustedProxies = []string{"127.0.0.1"}
				if c.socket {
					cfg.Server.Listen = config.SocketPrefix + path
				}
			})
			upstream := strings.TrimPrefix(s.base, "http://")
			if c.socket {
				upstream = "unix:" + path + ":"
			}
			base := strings.TrimSuffix(c.issuer, "/")
			metadata := fmt.Sprintf("\nlocation ~ ^/.well-known/(openid-configuration|oauth-authorization-server)%s$ { proxy_pass http://%s; }", base, upstream)
			nginx(t, port, fmt.Sprintf(c.pass, upstream)+metadata)
			walkIssuer(newBrowsing(t, origin, base), s, c.issuer)
			if name == "stripped" && !testing.Short() {
				t.Run("API page", func(t *testing.T) { useAPIPage(t, origin+base) })
			}
		})
	}
}

func walkIssuer(b *browsing, s *running, issuer string) {
	t, root := b.t, b.origin+b.base
	s.base = root // the API, through nginx as well
	for _, page := range []string{"/", "/docs", "/sign-in", "/register", "/device", "/signed-out"} {
		b.open(http.MethodGet, root+page, nil)
	}

	var found struct {
		Issuer     string
		Authorize  string `json:"authorization_endpoint"`
		Token      string `json:"token_endpoint"`
		UserInfo   string `json:"userinfo_endpoint"`
		EndSession string `json:"end_session_endpoint"`
		Device     string `json:"device_authorization_endpoint"`
		KeySet     string `json:"jwks_uri"`
	}
	for _, address := range []string{
		root + "/.well-known/openid-configuration", root + "/.well-known/oauth-authorization-server",
		b.origin + "/.well-known/openid-configuration" + b.base, b.origin + "/.well-known/oauth-authorization-server" + b.base,
	} {
		status, body, _ := get(t, address, nil)
		if err := json.Unmarshal([]byte(body), &found); err != nil || status != 200 || found.Issuer != b.origin+issuer {
			t.Fatalf("%s: %d %v %s", address, status, err, body)
		}
		for _, endpoint := range regexp.MustCompile(`"(?:\w+_endpoint|jwks_uri)":"([^"]*)"`).FindAllStringSubmatch(body, -1) {
			b.below(endpoint[1])
		}
	}
	var description struct{ Servers []struct{ URL string } }
	if _, body, _ := get(t, root+"/openapi.json", nil); json.Unmarshal([]byte(body), &description) != nil || len(description.Servers) != 1 || description.Servers[0].URL != b.base {
		t.Errorf("servers: %+v", description)
	}
	if status, body, _ := get(t, found.KeySet, nil); status != 200 || !strings.Contains(body, `"keys"`) {
		t.Errorf("%s: %d", found.KeySet, status)
	}

	admin, _ := s.login("admin@pico.local", "a-good-passphrase")
	status, app := s.call("POST", "/api/v1/clients", admin, map[string]any{
		"name": "Wiki", "kind": "web", "redirect_uris": []string{"https://wiki.example/callback"}, "scopes": []string{"openid", "email"},
		"post_logout_redirect_uris": []string{"https://wiki.example/"}, "grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, app)
	}
	id, secret := app["client_id"].(string), app["client_secret"].(string)
	post := func(address string, form url.Values) (fields map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(id, secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %v %v", address, resp.StatusCode, fields, err)
		}
		return fields
	}

	const verifier = "a-verifier-of-43-characters-or-more-0123456789"
	challenge := sha256.Sum256([]byte(verifier))
	b.open(http.MethodGet, found.Authorize+"?"+url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {"https://wiki.example/callback"}, "scope": {"openid email"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	b.send("/sign-in", url.Values{"email": {"admin@pico.local"}, "password": {"a-good-passphrase"}, "action": {"sign-in"}})
	back := b.send("/consent", url.Values{"action": {"allow"}})
	if back == nil || back.Host != "wiki.example" || back.Query().Get("iss") != b.origin+issuer {
		t.Fatalf("the consent leads to %v:\n%s", back, b.page)
	}
	tokens := post(found.Token, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://wiki.example/callback"}, "code_verifier": {verifier},
	})
	access, _ := tokens["access_token"].(string)
	if status, body, _ := get(t, found.UserInfo, http.Header{"Authorization": {"Bearer " + access}}); status != 200 || !strings.Contains(body, "admin@pico.local") {
		t.Errorf("userinfo: %d %s", status, body)
	}
	if claims := s.claims(access); claims["iss"] != b.origin+issuer {
		t.Errorf("%v", claims)
	}
	b.open(http.MethodGet, root+"/account", nil)
	b.send("/account/profile", url.Values{"display_name": {"Ada"}})
	if b.at.Path != b.base+"/account" {
		t.Errorf("the profile leads to %s", b.at)
	}

	device := post(found.Device, url.Values{"scope": {"openid"}})
	verification, _ := device["verification_uri_complete"].(string)
	b.below(verification)
	b.open(http.MethodGet, verification, nil)
	b.below(device["verification_uri"].(string))

	b.open(http.MethodGet, found.EndSession, nil)
	b.send("/logout/confirm", url.Values{"action": {"sign-out"}})
	if !strings.Contains(b.page, "page-signed_out") {
		t.Errorf("the logout leads to %s:\n%s", b.at, b.page)
	}
	b.open(http.MethodGet, root+"/account", nil)
	if b.at.Path != b.base+"/sign-in" {
		t.Errorf("after the logout /account leads to %s", b.at)
	}
}

// useAPIPage logs in on the API page in a browser and sends a request with it.
func useAPIPage(t *testing.T, root string) {
	t.Helper()
	ctx := browsertest.Chromium(t, 1280, 1400, false)
	const me = "#operations-account-me "
	err := chromedp.Do(ctx,
		chromedp.Navigate(root+"/docs"),
		chromedp.WaitVisible(chromedp.CSS("#login")),
		chromedp.SendKeys(chromedp.CSS("#login-email"), "admin@pico.local"),
		chromedp.SendKeys(chromedp.CSS("#login-password"), "a-good-passphrase"),
		chromedp.Click(chromedp.CSS("#login button")),
		chromedp.WaitVisible(chromedp.CSS(".auth-wrapper .authorize.locked")),
		chromedp.Click(chromedp.CSS(me+".opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS(me+".execute")),
		chromedp.Click(chromedp.CSS(me+".execute")),
		chromedp.WaitVisible(chromedp.CSS(me+".live-responses-table .response-col_description pre")),
	)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(me)))
	if err != nil || !strings.Contains(shown, root+"/api/v1/auth/me") || !strings.Contains(shown, "superadmin") {
		t.Errorf("the page sent %s, %v", shown, err)
	}
}
