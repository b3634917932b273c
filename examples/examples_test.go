// Package examples holds complete applications that sign their users in through
// pico-auth, each started by one command. Its tests start every one of them against a
// real server and go through it as a browser does.
package examples

import (
	"bytes"
	"cmp"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

func TestGoWeb(t *testing.T) {
	signInAndOut(t, webApp{folder: "go-web", command: []string{compiled(t, "go-web")}})
}

func TestNodeWeb(t *testing.T) {
	need(t, "node", "npm")
	prepare(t, "node-web", "npm", "ci", "--no-audit", "--no-fund")
	signInAndOut(t, webApp{folder: "node-web", command: []string{"npm", "start"}})
}

// What client create prints authenticates as the client: the refresh token is refused,
// not the client.
func TestNodeSnippet(t *testing.T) {
	need(t, "node", "npm")
	prepare(t, "node-web", "npm", "ci", "--no-audit", "--no-fund")
	s := startServer(t)
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		printed := string(s.run(t, "", "client", "create", "--kind", "web", "--redirect-uri", "http://localhost/callback", "--auth-method", method))
		_, snippet, _ := strings.Cut(printed, "import ")
		script := "import " + snippet + "\nawait oidc.refreshTokenGrant(config, 'x').catch((e) => console.log(e.error))\n"
		cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "-")
		cmd.Dir, cmd.Stdin = "node-web", strings.NewReader(script)
		if output, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(output)) != "invalid_grant" {
			t.Errorf("%s: %v\n%s", method, err, output)
		}
	}
}

// A program with a key of its own gets a token by what client create prints, whatever the
// algorithm of the key. The assertion of each is signed by the library of the snippet.
func TestSnippetOfAMachineWithAKey(t *testing.T) {
	need(t, "node", "npm")
	prepare(t, "node-web", "npm", "ci", "--no-audit", "--no-fund")
	s := startServer(t)
	for alg, of := range map[string]string{
		"ES256": "'ec', { namedCurve: 'P-256' }", "ES384": "'ec', { namedCurve: 'P-384' }", "EdDSA": "'ed25519'",
		"RS256": "'rsa', { modulusLength: 2048 }", "PS256": "'rsa', { modulusLength: 2048 }",
	} {
		folder := t.TempDir()
		run := func(script string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "-")
			cmd.Dir, cmd.Stdin = folder, strings.NewReader(script)
			output, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", alg, err, output)
			}
			return strings.TrimSpace(string(output))
		}
		modules, err := filepath.Abs("node-web/node_modules")
		if err == nil {
			err = os.Symlink(modules, filepath.Join(folder, "node_modules"))
		}
		if err != nil {
			t.Fatal(err)
		}
		run(`import crypto from 'node:crypto'
import fs from 'node:fs'
const pair = crypto.generateKeyPairSync(` + of + `)
const more = { kid: 'mine', alg: '` + alg + `' }
fs.writeFileSync('key.json', JSON.stringify({ ...pair.privateKey.export({ format: 'jwk' }), ...more }))
fs.writeFileSync('jwks.json', JSON.stringify({ keys: [{ ...pair.publicKey.export({ format: 'jwk' }), ...more }] }))
`)
		printed := string(s.run(t, "", "client", "create", "--kind", "machine", "--auth-method", "private_key_jwt", "--jwks", filepath.Join(folder, "jwks.json")))
		_, snippet, _ := strings.Cut(printed, "import ")
		if token := run("import " + snippet + "\nconsole.log(access_token)\n"); strings.Count(token, ".") != 2 {
			t.Errorf("%s: got %s", alg, token)
		}
	}
}

func TestPythonWeb(t *testing.T) {
	need(t, "python3")
	python := filepath.Join(t.TempDir(), "bin", "python")
	prepare(t, "python-web", "python3", "-m", "venv", filepath.Dir(filepath.Dir(python)))
	prepare(t, "python-web", python, "-m", "pip", "install", "-q", "-r", "requirements.txt")
	signInAndOut(t, webApp{folder: "python-web", command: []string{python, "main.py"}})
}

func TestSpringWeb(t *testing.T) {
	need(t, "mvn", "java")
	prepare(t, "spring-web", "mvn", "-q", "-B", "package")
	signInAndOut(t, webApp{
		folder: "spring-web", redirect: "/login/oauth2/code/pico", login: "/",
		command: []string{"java", "-jar", "target/spring-web-1.jar"},
	})
}

func TestApache(t *testing.T) {
	need(t, "apache2")
	if modules, _ := filepath.Glob("/usr/lib/apache2/modules/mod_auth_openidc.so"); modules == nil {
		t.Skip("mod_auth_openidc is not installed")
	}
	signInAndOut(t, webApp{folder: "apache", login: "/", logout: "/callback?logout=http%3A%2F%2Flocalhost%3APORT%2F", command: []string{"./run.sh"}})
}

// webApp is an application with pages; empty fields have the value of most examples.
type webApp struct {
	folder                  string
	command                 []string
	redirect, login, logout string
}

// signInAndOut goes through an application: sign in, sign in once more without the
// password, sign out, and the next sign-in asks for the password again.
func signInAndOut(t *testing.T, app webApp) {
	t.Helper()
	s, port := startServer(t), programtest.FreePort(t)
	base := "http://localhost:" + port
	redirect, login, logout := cmp.Or(app.redirect, "/callback"), cmp.Or(app.login, "/login"), cmp.Or(app.logout, "/logout")
	env := s.client(t, port, "--kind", "web", "--redirect-uri", base+redirect, "--post-logout-redirect-uri", base+"/")
	start(t, env, app.folder, app.command...)
	waitFor(t, base+"/")

	b := newBrowser(t)
	first := b.visit(base + login)
	if !first.asksPassword() {
		t.Fatalf("the sign-in ended at %s (%d):\n%s", first.url, first.status, first.text)
	}
	home := b.through(first, s.issuer)
	if !strings.HasPrefix(home.url.String(), base) || !strings.Contains(home.text, "Hello") {
		t.Fatalf("the sign-in ended at %s (%d):\n%s", home.url, home.status, home.text)
	}

	out := b.visit(base + strings.ReplaceAll(logout, "PORT", port))
	if strings.HasPrefix(out.url.String(), base) && out.form != nil { // Spring asks first
		out = b.submit(out, nil)
	}
	// Where every page needs a user, the application sends the browser to sign in again.
	if !out.asksPassword() && !strings.HasPrefix(out.url.String(), base) {
		t.Errorf("the sign-out ended at %s (%d):\n%s", out.url, out.status, out.text)
	}
	if again := b.visit(base + login); !again.asksPassword() {
		t.Fatalf("after the sign-out %s (%d) does not ask for the password:\n%s", again.url, again.status, again.text)
	}
}

func TestGoCLI(t *testing.T) {
	s := startServer(t)
	env := s.client(t, "", "--kind", "native", "--redirect-uri", "http://127.0.0.1/callback")
	cli := start(t, env, ".", compiled(t, "go-cli"))
	b := newBrowser(t)
	b.through(b.visit(cli.printed(t, "Sign in at ")), s.issuer)
	if got := cli.printed(t, "Hello "); got != userEmail {
		t.Errorf("Hello %s", got)
	}
}

func TestDevice(t *testing.T) {
	need(t, "bash", "curl", "jq")
	s := startServer(t)
	env := s.client(t, "", "--kind", "native", "--grant-type", "urn:ietf:params:oauth:grant-type:device_code")
	device := start(t, env, "device", "./device.sh")
	address, code, _ := strings.Cut(device.printed(t, "Open "), " and enter the code ")
	b := newBrowser(t)
	p := b.visit(address)
	for range 6 {
		p = b.through(p, s.issuer)
		if p.form == nil || !p.form.fields.Has("user_code") {
			break
		}
		p = b.submit(p, url.Values{"user_code": {code}})
	}
	if got := device.printed(t, "Hello "); got != userEmail {
		t.Errorf("Hello %s", got)
	}
}

func TestMachineAndResourceServer(t *testing.T) {
	need(t, "bash", "curl", "jq")
	s, port := startServer(t), programtest.FreePort(t)
	const audience = "https://notes.example.com"
	start(t, append(os.Environ(), "ISSUER="+s.issuer, "PORT="+port, "AUDIENCE="+audience), ".", compiled(t, "go-resource-server"))
	notes := "http://localhost:" + port + "/notes"
	waitFor(t, notes)
	cmd := exec.CommandContext(t.Context(), "./machine.sh", notes)
	cmd.Dir, cmd.Env = "machine", s.client(t, "", "--kind", "machine", "--audience", audience)
	output, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(output, []byte("notes for ")) {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Run("what is refused is printed", func(t *testing.T) {
		other := s.client(t, "", "--kind", "machine", "--audience", "https://other.example.com")
		for want, env := range map[string][]string{"invalid_client: ": append(cmd.Env, "CLIENT_SECRET=another"), "invalid_token": other} {
			refused := exec.CommandContext(t.Context(), "./machine.sh", notes)
			refused.Dir, refused.Env = "machine", env
			if output, err := refused.CombinedOutput(); err == nil || !bytes.Contains(output, []byte(want)) {
				t.Errorf("%v, want %s:\n%s", err, want, output)
			}
		}
	})
}

// compiled builds a command of this module.
func compiled(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	prepare(t, ".", "go", "build", "-o", path, "./"+name)
	return path
}

// prepare runs a command that must succeed before the example can start.
func prepare(t *testing.T, folder string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = folder
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
}
