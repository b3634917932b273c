//go:build linux

package contrib

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

const site = "https://auth.example.com"

// proxy is a proxy with its example.
type proxy struct {
	program string
	limits  bool // of requests and connections of one address
	refuses bool // HTTP/2 streams whose server closed the connection, so that clients repeat the request
	// command writes the example with the ports and the certificate of the test to dir.
	command func(t *testing.T, dir string, port, server, cert, key string) []string
}

var proxies = []proxy{
	{"nginx", true, false, func(t *testing.T, dir string, port, server, cert, key string) []string {
		example := write(t, dir, "site", replaced(t, "nginx/pico-auth.conf", "listen [::]:443 ssl http2;", "", "listen 443", "listen 127.0.0.1:"+port,
			"127.0.0.1:8100", "127.0.0.1:"+server, "/etc/ssl/certs/auth.example.com.pem", cert, "/etc/ssl/private/auth.example.com.key", key))
		var temp strings.Builder
		for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			fmt.Fprintf(&temp, "%s_temp_path %s/%[1]s; ", of, dir)
		}
		main := fmt.Sprintf("daemon off; master_process off; pid %s/pid; error_log stderr; events { worker_connections 4096; }\nhttp { access_log off; %s include %s; }\n", dir, &temp, example)
		return []string{"-e", "stderr", "-c", write(t, dir, "nginx.conf", main)}
	}},
	{"caddy", false, false, func(t *testing.T, dir string, port, server, cert, key string) []string {
		example := replaced(t, "caddy/Caddyfile", "{\n\tservers {", "{\n\tadmin off\n\tauto_https off\n\tservers {",
			"auth.example.com {", fmt.Sprintf("https://auth.example.com:%s {\n\tbind 127.0.0.1\n\ttls %s %s", port, cert, key),
			"127.0.0.1:8100", "127.0.0.1:"+server)
		return []string{"run", "--adapter", "caddyfile", "--config", write(t, dir, "Caddyfile", example)}
	}},
	{"haproxy", true, true, func(t *testing.T, dir string, port, server, cert, _ string) []string {
		example := replaced(t, "haproxy/haproxy.cfg", "bind :443", "bind 127.0.0.1:"+port, "bind [::]:443 v6only", "bind 127.0.0.2:"+port, "/etc/ssl/private/auth.example.com.pem", cert,
			"127.0.0.1:8100", "127.0.0.1:"+server, "log /dev/log local0", "log stderr format raw local0")
		return []string{"-db", "-f", write(t, dir, "haproxy.cfg", example)}
	}},
	{"traefik", true, false, func(t *testing.T, dir string, port, server, cert, key string) []string {
		dynamic := write(t, dir, "pico-auth.yaml", replaced(t, "traefik/pico-auth.yaml", "127.0.0.1:8100", "127.0.0.1:"+server,
			"/etc/ssl/certs/auth.example.com.pem", cert, "/etc/ssl/private/auth.example.com.key", key))
		static := replaced(t, "traefik/traefik.yaml", ":443", "127.0.0.1:"+port, "/etc/traefik/pico-auth.yaml", dynamic)
		return []string{"--configFile=" + write(t, dir, "traefik.yaml", static)}
	}},
}

// behind is a server behind a proxy.
type behind struct {
	proxy
	t      *testing.T
	server *server
	port   string
	log    *text // of the proxy
	roots  *x509.CertPool
}

// Each example of a proxy keeps the same promises, with a real server behind the real
// proxy.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, p := range proxies {
		t.Run(p.program, func(t *testing.T) {
			path := tool(t, p.program)
			b := &behind{proxy: p, t: t, server: newServer(t), port: programtest.FreePort(t), log: &text{}}
			dir := t.TempDir()
			cert, key := b.certificate(dir)
			cmd := exec.Command(path, p.command(t, dir, b.port, b.server.port, cert, key)...)
			cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{"HOME=" + dir}, dir, b.log, b.log
			run(t, cmd)
			await(t, p.program+" does not respond", b.log, func() bool {
				resp, err := b.client("127.0.0.1").Get(site + "/readyz")
				return err == nil && resp.Body.Close() == nil && resp.StatusCode == 200
			})
			for _, promise := range []struct {
				name string
				hold func(*behind)
			}{
				{"a user registers, signs in and refreshes", walk},
				{"the client address is that of the connection", clientAddress},
				{"metrics are not public", metricsAreRefused},
				{"long headers pass and large bodies are refused", sizes},
				{"a POST is never repeated", postIsNotRepeated},
				{"a restart of the server ends no session", restart},
			} {
				t.Run(promise.name, func(t *testing.T) { b.t = t; promise.hold(b) })
			}
			if p.limits {
				t.Run("one address may not send all requests", func(t *testing.T) { b.t = t; requestLimit(b) })
				t.Run("one address may not have all connections", func(t *testing.T) { b.t = t; connectionLimit(b) })
			}
		})
	}
}

// certificate makes a certificate, and puts certificate and key into the first file and
// the key into the second, as each proxy can read one of them.
func (b *behind) certificate(dir string) (cert, key string) {
	b.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "auth.example.com"}, DNSNames: []string{"auth.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		b.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.t.Fatal(err)
	}
	b.roots = x509.NewCertPool()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	b.roots.AppendCertsFromPEM(certPEM)
	return write(b.t, dir, "cert.pem", string(certPEM)+string(keyPEM)), write(b.t, dir, "key.pem", string(keyPEM))
}

// dial connects to the proxy from an address of this machine.
func (b *behind) dial(ctx context.Context, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	return d.DialContext(ctx, "tcp", "127.0.0.1:"+b.port)
}

// client is a client with that address.
func (b *behind) client(from string) *http.Client {
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: b.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.dial(ctx, from) },
	}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// client1 is one that speaks HTTP/1.1.
func (b *behind) client1(from string) *http.Client {
	c := b.client(from)
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	return c
}

// response is what the proxy responded with.
type response struct {
	status int
	header http.Header
	major  int // of the version of HTTP
	body   string
}

// send sends a request.
func (b *behind) send(c *http.Client, method, path, body string, header ...string) response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, site+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", method, path, err, b.log)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", method, path, err, b.log)
	}
	return response{resp.StatusCode, resp.Header, resp.ProtoMajor, string(content)}
}

// want is send that requires a status, and returns the fields of the response.
func (b *behind) want(code int, c *http.Client, method, path, body string, header ...string) map[string]any {
	b.t.Helper()
	resp := b.send(c, method, path, body, header...)
	if resp.status != code {
		b.t.Fatalf("%s %s: %d, want %d: %s\n%s", method, path, resp.status, code, resp.body, b.log)
	}
	var fields map[string]any
	_ = json.Unmarshal([]byte(resp.body), &fields) // a page has none
	return fields
}

const login = `{"email":"` + rootEmail + `","password":"` + rootPassword + `"}`

func walk(b *behind) {
	c := b.client("127.0.0.2")
	b.want(200, c, "POST", "/api/v1/auth/register", `{"email":"ada@example.com","password":"correct horse"}`)
	pair := b.want(200, c, "POST", "/api/v1/auth/login", `{"email":"ada@example.com","password":"correct horse"}`)
	pair = b.want(200, c, "POST", "/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, pair["refresh_token"]))
	me := b.want(200, c, "GET", "/api/v1/auth/me", "", "Authorization", "Bearer "+pair["access_token"].(string))
	if me["email"] != "ada@example.com" {
		b.t.Errorf("/me is %v", me)
	}
	if d := b.want(200, c, "GET", "/.well-known/openid-configuration", ""); d["issuer"] != site || d["token_endpoint"] != site+"/oauth2/token" {
		b.t.Errorf("discovery says %v", d)
	}
	resp := b.send(c, "GET", "/account", "", "Accept", "text/html")
	if to := resp.header.Get("Location"); resp.status != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in") && !strings.HasPrefix(to, site+"/sign-in") {
		b.t.Errorf("the account page is %d %s", resp.status, resp.body)
	}
	if resp.major != 2 {
		b.t.Errorf("the proxy speaks HTTP/%d", resp.major)
	}
	if resp.header.Get("Strict-Transport-Security") == "" {
		b.t.Error("no Strict-Transport-Security")
	}
	// The address of a redirect has the state that the client sent.
	var created struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(b.server.command("client", "create", "--kind", "spa", "--redirect-uri", "https://app.example.com/", "--json")), &created); err != nil {
		b.t.Fatal(err)
	}
	state := strings.Repeat("s", 2000)
	resp = b.send(c, "GET", "/oauth2/authorize?response_type=code&prompt=none&scope=openid&redirect_uri=https://app.example.com/&client_id="+created.ID+
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state="+state, "")
	if to := resp.header.Get("Location"); !strings.Contains(to, "error=login_required") || !strings.Contains(to, state) {
		b.t.Errorf("the authorization response is %d %s %s", resp.status, to, resp.body)
	}
}

// What a client sends as the address of another one is not believed, with the name of the
// header in Connection neither.
func clientAddress(b *behind) {
	forged := []string{"X-Forwarded-For", "203.0.113.7", "X-Real-IP", "203.0.113.7", "Forwarded", "for=203.0.113.7", "X-Forwarded-Host", "evil.example", "X-Request-Id", "forged"}
	for name, more := range map[string][]string{"forged": nil, "removed": {"Connection", "X-Forwarded-For, X-Request-Id"}} {
		c := b.client("127.0.0.3")
		if more != nil {
			c = b.client1("127.0.0.3") // HTTP/2 has no Connection
		}
		id := b.send(c, "GET", "/api/v1/auth/me", "", append(forged, more...)...).header.Get("X-Request-Id")
		if id == "" || id == "forged" {
			b.t.Errorf("%s: the request has the ID %q", name, id)
			continue
		}
		if got := b.server.record(id)["client"]; got != "127.0.0.3" {
			b.t.Errorf("%s: the client is %v, want 127.0.0.3", name, got)
		}
	}
}

func metricsAreRefused(b *behind) {
	c := b.client("127.0.0.2")
	for _, path := range []string{"/metrics", "/%6detrics", "//metrics", "/metrics/", "/x/../metrics"} {
		if resp := b.send(c, "GET", path, ""); resp.status < 300 || strings.Contains(resp.body, "pico_auth_") {
			b.t.Errorf("%s: %d", path, resp.status)
		}
	}
	if !strings.Contains(b.server.scrape(), "pico_auth_build_info") {
		b.t.Error("the server has no metrics of its own")
	}
}

func sizes(b *behind) {
	c := b.client("127.0.0.2")
	b.want(401, c, "GET", "/api/v1/auth/me", "", "Authorization", "Bearer "+strings.Repeat("a", 20_000))
	for _, kib := range []int{70, 70, 100, 100, 1000, 5000} {
		b.want(413, c, "POST", "/api/v1/auth/login", `"`+strings.Repeat("a", kib<<10)+`"`)
	}
}

// postIsNotRepeated puts a server in the place of the real one that reads requests and
// closes the connection without a response, on a new connection and on one that has
// served another request.
func postIsNotRepeated(b *behind) {
	b.server.stop()
	ln, err := net.Listen("tcp", "127.0.0.1:"+b.server.port)
	if err != nil {
		b.t.Fatal(err)
	}
	var posts atomic.Int64
	ended, end := context.WithCancel(b.t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ended, func() { _ = conn.Close() }) // else the proxy would use it later
			all.Go(func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if req.Method == http.MethodPost {
						posts.Add(1)
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		}
	})
	c := b.client("127.0.0.2")
	if b.refuses {
		c = b.client1("127.0.0.2")
		c.Transport.(*http.Transport).DisableKeepAlives = true
	}
	const attempts = 10
	for range attempts {
		b.want(200, c, "GET", "/livez", "")
		b.want(200, c, "GET", "/readyz", "")
		if resp := b.send(c, "POST", "/api/v1/auth/refresh", `{"refresh_token":"x"}`); resp.status < 500 {
			b.t.Errorf("a POST without a response is %d", resp.status)
		}
	}
	if n := posts.Load(); n != attempts {
		b.t.Errorf("%d POST requests arrived as %d", attempts, n)
	}
	_ = ln.Close()
	end()
	all.Wait()
	b.server.start()
	b.want(200, c, "POST", "/api/v1/auth/login", login)
}

// restart restarts the server while sessions are refreshed through the proxy. A response
// that is lost is the end of a session; a request that is repeated would be a reuse.
func restart(b *behind) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	var refreshed, lost atomic.Int64
	for range 4 {
		c := b.client("127.0.0.4")
		token := b.want(200, c, "POST", "/api/v1/auth/login", login)["refresh_token"].(string)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				resp, err := c.Post(site+"/api/v1/auth/refresh", "application/json", strings.NewReader(fmt.Sprintf(`{"refresh_token":%q}`, token)))
				if err != nil {
					lost.Add(1)
					return
				}
				var pair struct {
					Refresh string `json:"refresh_token"`
				}
				content, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				switch resp.StatusCode {
				case 200:
					if json.Unmarshal(content, &pair) != nil {
						return
					}
					token = pair.Refresh
					refreshed.Add(1)
				case 502, 503, 504: // it is not known whether the token was used, so it is not presented again
					lost.Add(1)
					return
				default:
					b.t.Errorf("a refresh: %d %s", resp.StatusCode, content)
					return
				}
			}
		})
	}
	await(b.t, "no refresh", b.log, func() bool { return refreshed.Load() > 10 })
	b.server.stop()
	b.server.start()
	c := b.client("127.0.0.4")
	await(b.t, "no login after the restart", b.log, func() bool {
		resp, err := c.Post(site+"/api/v1/auth/login", "application/json", strings.NewReader(login))
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == 200
	})
	close(stop)
	all.Wait()
	b.t.Logf("%d refreshes, %d of 4 sessions without a response", refreshed.Load(), lost.Load())
	if !strings.Contains(b.server.scrape(), "pico_auth_refresh_reuse_total 0\n") {
		b.t.Errorf("a used refresh token was presented again:\n%s", b.server.log)
	}
}

// requestLimit sends requests until one is refused, while another address is served. They
// follow each other on few connections, so that a busy machine sends more than the limit, too.
func requestLimit(b *behind) {
	other := b.client("127.0.0.6")
	var refused, sent atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(patience)
	for range 4 {
		all.Go(func() {
			for refused.Load() == 0 && time.Now().Before(end) && !b.t.Failed() {
				b.requests("127.0.0.5", &sent, &refused)
			}
		})
	}
	all.Wait()
	if sent.Load() < 150 || refused.Load() == 0 {
		b.t.Errorf("%d requests were served and %d refused", sent.Load(), refused.Load())
	}
	b.want(200, other, "GET", "/livez", "")
}

// requests sends requests over one connection, many at once, and counts the responses, until
// one is refused or the proxy closes the connection.
func (b *behind) requests(from string, sent, refused *atomic.Int64) {
	conn, err := b.dialTLS(from, nil)
	if err != nil {
		b.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	const batch = 50
	in := bufio.NewReader(conn)
	for refused.Load() == 0 {
		if _, err := io.WriteString(conn, strings.Repeat("GET /livez HTTP/1.1\r\nHost: auth.example.com\r\n\r\n", batch)); err != nil {
			return
		}
		for range batch {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			switch resp.StatusCode {
			case 200:
				sent.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				b.t.Errorf("status %d", resp.StatusCode)
			}
		}
	}
}

// dialTLS connects to the proxy for HTTP/1.1, and resumes a session of the cache.
func (b *behind) dialTLS(from string, cache tls.ClientSessionCache) (*tls.Conn, error) {
	raw, err := b.dial(b.t.Context(), from)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: b.roots, ServerName: "auth.example.com", NextProtos: []string{"http/1.1"}, ClientSessionCache: cache})
	if err := conn.HandshakeContext(b.t.Context()); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// connectionLimit opens connections with half a request until one is refused, while
// another address is served. Those that were cut before do not count.
func connectionLimit(b *behind) {
	other := b.client("127.0.0.8")
	const most = 4000
	refused := make(chan int, most)
	opened, end, cache := 0, time.Now().Add(patience), tls.NewLRUClientSessionCache(1)
	const half = 4000 // of 4096: the server waits longer for a sender who has sent as much
	request := "POST /api/v1/auth/login HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/json\r\nContent-Length: 4096\r\nConnection: close\r\n\r\n" + strings.Repeat(" ", half)
	for ; opened < most && len(refused) == 0 && time.Now().Before(end); opened++ {
		conn, err := b.dialTLS("127.0.0.7", cache)
		if err != nil {
			refused <- 0
			break
		}
		b.t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, request)
		go func() {
			defer func() { _ = conn.Close() }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusTooManyRequests {
				refused <- resp.StatusCode
			}
		}()
		time.Sleep(10 * time.Millisecond) // fewer than the limit of requests
	}
	select {
	case <-refused:
	case <-time.After(patience):
		b.t.Errorf("%d connections were accepted", opened)
	}
	if opened < 200 {
		b.t.Errorf("only %d connections were accepted", opened)
	}
	b.want(200, other, "GET", "/livez", "")
}
