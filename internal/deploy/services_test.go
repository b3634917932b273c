//go:build linux

package deploy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pico-auth/pico-auth/internal/browsertest"
	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

const (
	serverURL = "https://localhost:8443"
	notesURL  = "https://localhost:9443"

	warned = `"msg":"configuration: ` // in the log of the server, about its settings
)

// hosts are the services in the networks of compose.yaml, as its engine would name them.
const hosts = "127.0.0.1 localhost\n10.213.44.2 proxy\n10.213.44.3 auth\n10.213.44.4 notes\n10.213.45.2 database\n"

// rig runs the services of compose.yaml as processes of this machine.
type rig struct {
	t       *testing.T
	dir     string // of the archives
	secrets string
	file    compose
	data    string // volume of the proxy
	created map[string]container
	running map[string]*process
}

// Each service starts with the environment, the files and the order of compose.yaml, and
// its health check fails before and succeeds after.
func TestComposeSignsAUserInAtTheApplication(t *testing.T) {
	r := newRig(t)
	order, err := r.file.order()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range order {
		if r.healthy(name) == nil {
			t.Errorf("the health check of %s succeeds before it starts", name)
		}
		r.start(name)
	}
	b := newBrowser(t, filepath.Join(r.data, "caddy/pki/authorities/local/root.crt"))
	password, err := os.ReadFile(filepath.Join(r.secrets, "admin_password"))
	if err != nil {
		t.Fatal(err)
	}
	token := b.signIn("admin@example.com", strings.TrimSpace(string(password)))
	if status, body := call(t, b.client, http.MethodPost, notesURL+"/api/notes", token, map[string]string{"text": "a note"}); status != http.StatusCreated {
		t.Errorf("the application with the token: %d %s", status, body)
	}
	if status, body := call(t, b.client, http.MethodGet, notesURL+"/api/notes/all", token, nil); status != http.StatusOK || !strings.Contains(body, "a note") {
		t.Errorf("notes: %d %s", status, body)
	}
	if status, _ := call(t, b.client, http.MethodGet, notesURL+"/api/notes", "", nil); status != http.StatusUnauthorized {
		t.Errorf("the application without a token: %d", status)
	}
	if origin := b.allowed(serverURL + "/oauth2/token"); origin != notesURL {
		t.Errorf("the page of the application may not call the server: %q", origin)
	}
	if status, _ := call(t, b.client, http.MethodGet, serverURL+"/metrics", "", nil); status != http.StatusNotFound {
		t.Errorf("metrics through the proxy: %d", status)
	}
	if status, _ := call(t, http.DefaultClient, http.MethodGet, "http://auth:9100/metrics", "", nil); status != http.StatusOK {
		t.Errorf("metrics behind the proxy: %d", status)
	}

	b.forge(serverURL + "/api/v1/auth/me")

	t.Run("in Chromium", func(t *testing.T) { inChromium(t, strings.TrimSpace(string(password))) })

	// A new container has nothing of the former one, and the same keys.
	keys := func() string {
		_, set := call(t, b.client, http.MethodGet, serverURL+"/.well-known/jwks.json", "", nil)
		return set
	}
	before := keys()
	r.running["auth"].stop()
	log := r.running["auth"].log.String()
	if strings.Contains(log, warned) || !strings.Contains(log, `"client":"127.0.0.1"`) {
		t.Errorf("the log has a warning, or the address of the proxy for that of the client:\n%s", log)
	}
	if strings.Contains(log, forged) {
		t.Errorf("the server believes headers of the client:\n%s", log)
	}
	delete(r.created, "auth")
	r.start("auth")
	if after := keys(); after != before {
		t.Errorf("keys before and after a restart:\n%s\n%s", before, after)
	}
	if status, _ := call(t, b.client, http.MethodGet, notesURL+"/api/notes", token, nil); status != http.StatusOK {
		t.Errorf("the token after a restart: %d", status)
	}
}

// inChromium signs the administrator in on the page of the application.
func inChromium(t *testing.T, password string) {
	t.Helper()
	tab := browsertest.Chromium(t, 1280, 900, false, chromedp.IgnoreCertErrors) // the authority of the proxy is of this test
	err := chromedp.Do(tab,
		chromedp.Navigate(notesURL+"/"),
		chromedp.WaitVisible("#sign-in"),
		chromedp.Click("#sign-in"),
		chromedp.WaitVisible(`input[name="password"]`),
		chromedp.SendKeys(`input[name="email"]`, "admin@example.com"),
		chromedp.SendKeys(`input[name="password"]`, password),
		chromedp.Click(`button[value="sign-in"]`),
		chromedp.WaitVisible("#list li"), // the note
	)
	if err != nil {
		where, _ := chromedp.Run(tab, chromedp.Location())
		text, _ := chromedp.Run(tab, chromedp.Text("body"))
		t.Errorf("%v, at %s:\n%s", err, where, text)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: images(t), secrets: filepath.Join(t.TempDir(), "secrets"), file: readCompose(t), data: t.TempDir(), created: map[string]container{}, running: map[string]*process{}}
	makeSecrets(t, r.secrets)
	names := filepath.Join(t.TempDir(), "hosts")
	r.write(names, hosts)
	if err := syscall.Mount(names, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/etc/hosts", 0) })
	for _, line := range strings.Split(strings.TrimSpace(hosts), "\n")[1:] {
		address, _, _ := strings.Cut(line, " ")
		if out, err := exec.Command("ip", "address", "replace", address+"/24", "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("ip: %v: %s", err, out)
		}
	}
	return r
}

func (r *rig) write(path, text string) {
	r.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// A Pod has the environment of the example and nothing but its secrets and an empty
// folder. Its probes are served, and it ends before it is killed.
func TestKubernetesProbesAreServed(t *testing.T) {
	r := newRig(t)
	r.start("database")
	deployment := objects(t)["Deployment"].Spec.Template.Spec
	c := deployment.Containers[0]
	found := readDocker(t, filepath.Join(r.dir, "pico-auth-docker.tar"))
	root, _ := found.unpack(t)
	if err := os.Remove(filepath.Join(root, "data/README")); err != nil { // the volume of the Pod is empty
		t.Fatal(err)
	}
	r.write(filepath.Join(root, "etc/hosts"), hosts)
	pod := container{t: t, root: root, config: found.config}
	secrets := map[string]string{}
	for variable, value := range c.environment() {
		if name, inside := strings.CutPrefix(value, "/run/secrets/pico-auth/"); inside {
			secrets[name] = strings.ReplaceAll(name, "-", "_")
		}
		pod.env = append(pod.env, variable+"="+value)
	}
	r.mount(filepath.Join(root, "run/secrets/pico-auth"), secrets)
	p := pod.start()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, probed := range []probe{c.Startup, c.Liveness, c.Readiness} {
		p.until(probed.HTTPGet.Path, func() error {
			res, err := client.Get("http://127.0.0.1:" + strconv.Itoa(c.port(probed.HTTPGet.Port)) + probed.HTTPGet.Path)
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
			return nil
		})
	}
	if status, _ := call(t, client, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(c.port("metrics"))+"/metrics", "", nil); status != http.StatusOK {
		t.Errorf("metrics: %d", status)
	}
	p.stop()
	if log := p.log.String(); strings.Contains(log, warned) {
		t.Errorf("the log has a warning:\n%s", log)
	}
}

// start starts a service and waits until it is healthy.
func (r *rig) start(name string) {
	r.t.Helper()
	switch name {
	case "database":
		r.database()
		r.until(name)
	case "proxy":
		cmd := exec.Command("caddy", "run", "--config", filepath.Join(repository, r.file.Services[name].volume("/etc/caddy/Caddyfile")), "--adapter", "caddyfile")
		cmd.Env = []string{"HOME=" + r.data, "XDG_DATA_HOME=" + r.data, "XDG_CONFIG_HOME=" + r.data}
		r.running[name] = start(r.t, cmd)
		r.running[name].until("proxy", func() error { return r.healthy(name) })
	default:
		c := r.container(name)
		r.running[name] = c.start()
		r.running[name].until(name, func() error { return r.healthy(name) })
	}
}

func (r *rig) until(name string) {
	r.t.Helper()
	if err := r.healthy(name); err != nil {
		r.t.Fatalf("health check of %s: %v", name, err)
	}
}

// healthy runs the health check that compose.yaml has for the service.
func (r *rig) healthy(name string) error {
	r.t.Helper()
	args := r.file.Services[name].Healthcheck.Test[1:]
	if name == "auth" || name == "notes" {
		return r.container(name).command(args...).Run()
	}
	return exec.Command(args[0], args[1:]...).Run()
}

// container is that of the service, with its files in their places; a new one if it was
// removed.
func (r *rig) container(name string) container {
	r.t.Helper()
	if c, ok := r.created[name]; ok {
		return c
	}
	s := r.file.Services[name]
	found := readDocker(r.t, filepath.Join(r.dir, strings.Replace(s.Image, ":", "-", 1)+"-docker.tar"))
	root, _ := found.unpack(r.t)
	secrets := map[string]string{}
	for _, secret := range s.Secrets {
		secrets[secret] = filepath.Base(r.file.Secrets[secret].File)
	}
	r.mount(filepath.Join(root, "run/secrets"), secrets)
	for _, volume := range s.Volumes {
		parts := strings.Split(volume, ":")
		r.write(filepath.Join(root, parts[1]), string(read(r.t, parts[0])))
	}
	r.write(filepath.Join(root, "etc/hosts"), hosts)
	c := container{t: r.t, root: root, config: found.config}
	for variable, value := range s.Environment {
		c.env = append(c.env, variable+"="+value)
	}
	r.created[name] = c
	return c
}

// mount puts secrets into a file system of their own that is mounted read-only, as engines
// do. The names in it lead to those of secrets.sh.
func (r *rig) mount(target string, secrets map[string]string) {
	r.t.Helper()
	err := os.MkdirAll(target, 0o755)
	if err == nil {
		err = syscall.Mount("tmpfs", target, "tmpfs", 0, "mode=0755")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) })
	for name, file := range secrets {
		text, failed := os.ReadFile(filepath.Join(r.secrets, file))
		err = errors.Join(err, failed, os.WriteFile(filepath.Join(target, name), text, 0o644))
	}
	err = errors.Join(err, syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	if err != nil {
		r.t.Fatal(err)
	}
}

// database starts PostgreSQL on all addresses, with the role and the database that the
// image of compose.yaml would create.
func (r *rig) database() {
	r.t.Helper()
	cluster, err := postgrestest.New("")
	if err != nil {
		r.t.Fatal(err)
	}
	access := filepath.Join(filepath.Dir(cluster.Socket()), "access")
	r.write(access, "local all postgres trust\nhost all auth 10.213.45.0/24 scram-sha-256\n")
	stop, err := cluster.Start("fsync=off", "listen_addresses='*'", "hba_file='"+access+"'")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { stop(postgrestest.Removed) })
	environment := r.file.Services["database"].Environment
	password, err := os.ReadFile(filepath.Join(r.secrets, filepath.Base(environment["POSTGRES_PASSWORD_FILE"])))
	if err != nil {
		r.t.Fatal(err)
	}
	script := "CREATE ROLE :role SUPERUSER LOGIN PASSWORD :'password'; CREATE DATABASE :database OWNER :role;"
	psql := exec.Command("psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", "role="+environment["POSTGRES_USER"], "-v", "database="+environment["POSTGRES_DB"],
		"-v", "password="+strings.TrimSpace(string(password)), cluster.URL())
	psql.Stdin = strings.NewReader(script)
	if out, err := psql.CombinedOutput(); err != nil {
		r.t.Fatalf("psql: %v: %s", err, out)
	}
}

// browser follows no redirect, keeps cookies, and trusts the authority of the proxy.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T, authority string) browser {
	t.Helper()
	certificate, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		t.Fatal("the authority of the proxy is no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{t, &http.Client{
		Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// signIn gets an authorization code for the application of compose.yaml and returns the
// access token.
func (b browser) signIn(email, password string) string {
	b.t.Helper()
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	where := b.visit(serverURL + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"notes"}, "redirect_uri": {notesURL + "/"}, "scope": {"openid email roles"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	request := where.Query().Get("request")
	b.visit(where.String())
	where, _ = b.post(serverURL+"/sign-in", url.Values{"request": {request}, "email": {email}, "password": {password}, "action": {"sign-in"}})
	for where != nil && where.Host != "localhost:9443" {
		where = b.visit(where.String())
	}
	if where == nil || where.Query().Get("code") == "" {
		b.t.Fatalf("no code: %v", where)
	}
	_, body := b.post(serverURL+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"notes"}, "code": {where.Query().Get("code")},
		"redirect_uri": {notesURL + "/"}, "code_verifier": {verifier},
	})
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || tokens.AccessToken == "" {
		b.t.Fatalf("no token: %s", body)
	}
	return tokens.AccessToken
}

// allowed is the origin that may read the response to a request of the application.
func (b browser) allowed(address string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, strings.NewReader("client_id=notes"))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Origin", notesURL)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("Access-Control-Allow-Origin")
}

// forged is an address that clients claim to have, and a request ID that they choose.
const forged = "203.0.113.7"

// forge sends what only a proxy may say.
func (b browser) forge(address string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "X-Request-Id"} {
		req.Header.Set(name, forged)
	}
	req.Header.Set("Forwarded", "for="+forged)
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// visit returns where the response leads; nil where there is no redirect.
func (b browser) visit(address string) *url.URL {
	b.t.Helper()
	where, _ := b.send(http.MethodGet, address, nil)
	return where
}

func (b browser) post(address string, form url.Values) (where *url.URL, body string) {
	b.t.Helper()
	return b.send(http.MethodPost, address, form)
}

func (b browser) send(method, address string, form url.Values) (where *url.URL, body string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Origin", serverURL)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	where, err = res.Location()
	if res.StatusCode >= http.StatusBadRequest || err != nil && !errors.Is(err, http.ErrNoLocation) {
		b.t.Fatalf("%s %s: %d %v %s", method, address, res.StatusCode, err, text)
	}
	return where, string(text)
}
