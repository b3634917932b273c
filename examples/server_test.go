package examples

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

const (
	userEmail    = "ada@example.com"
	userPassword = "correct horse battery staple"
)

// server is a running pico-auth with one user.
type server struct {
	issuer string
	env    []string
}

func startServer(t *testing.T, settings ...string) *server {
	t.Helper()
	folder, port := t.TempDir(), programtest.FreePort(t)
	s := &server{issuer: "http://localhost:" + port, env: append(os.Environ(),
		"HOME="+folder, "SERVER_PORT="+port, "AUTH_DATA_DIR="+filepath.Join(folder, "keys"),
		"DATABASE_URL=sqlite:///"+filepath.Join(folder, "auth.db"))}
	s.env = append(s.env, settings...)
	start(t, s.env, folder, program(t), "serve")
	waitFor(t, s.issuer+"/readyz")
	s.run(t, userPassword+"\n", "user", "create", userEmail, "--display-name", "Ada Example")
	return s
}

// program is the pico-auth that is tested.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/pico-auth")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *server) run(t *testing.T, input string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr, cmd.Dir = s.env, strings.NewReader(input), &stderr, t.TempDir()
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("pico-auth %s: %v\n%s%s", strings.Join(args, " "), err, output, stderr.Bytes())
	}
	return output
}

// client registers a client and returns the environment of its application.
func (s *server) client(t *testing.T, port string, args ...string) []string {
	t.Helper()
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	output := s.run(t, "", append([]string{"client", "create", "--json"}, args...)...)
	if err := json.Unmarshal(output, &made); err != nil || made.ID == "" {
		t.Fatalf("client create: %v\n%s", err, output)
	}
	return append(os.Environ(), "ISSUER="+s.issuer, "PORT="+port, "CLIENT_ID="+made.ID, "CLIENT_SECRET="+made.Secret, "NO_BROWSER=1")
}

// process is a program that runs until it ends, at the latest with the test.
type process struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	output bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// start shows the output of the program if the test fails.
func start(t *testing.T, env []string, folder string, command ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = env, folder, p, p
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endGroup(p.cmd)
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", command, p)
		}
	})
	return p
}

// printed waits until the output has the text and returns what follows it.
func (p *process) printed(t *testing.T, text string) string {
	t.Helper()
	for range 600 {
		if _, after, ok := strings.Cut(p.String(), text); ok && strings.Contains(after, "\n") {
			line, _, _ := strings.Cut(after, "\n")
			return line
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%q was not printed", text)
	return ""
}

// waitFor waits until the address answers. 503 is a server that starts.
func waitFor(t *testing.T, address string) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for range 600 {
		if resp, err := client.Get(address); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal(address, "does not answer")
}

// need skips the test where a program is missing, unless REQUIRE_EXAMPLES names it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if strings.Contains(os.Getenv("REQUIRE_EXAMPLES"), name) {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}
