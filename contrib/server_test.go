//go:build linux

// Package contrib tests the files of this folder with the programs that read them and
// with a server that runs as a process.
//
// A program that is missing on this machine skips its tests, unless REQUIRE_CONTRIB
// names it.
package contrib

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

const (
	rootEmail    = "root@example.com"
	rootPassword = "a-good-passphrase"
)

// tool returns the path of a program of this machine.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	missing(t, name)
	t.Skipf("NOT TESTED: there is no %s on this machine (REQUIRE_CONTRIB=%[1]s makes that a failure)", name)
	return ""
}

// missing fails the test where REQUIRE_CONTRIB names what this machine lacks.
func missing(t *testing.T, name string) {
	t.Helper()
	if slices.Contains(strings.Fields(os.Getenv("REQUIRE_CONTRIB")), name) {
		t.Fatalf("REQUIRE_CONTRIB names %s, which this machine lacks", name)
	}
}

// text is what a process has written so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// built is the program, in a folder that TestMain removes.
var (
	folder string
	built  = sync.OnceValues(func() (string, error) { return programtest.Build(folder) })
)

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "contrib"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// server is a process of the program with a folder of its own.
type server struct {
	t       *testing.T
	dir     string
	port    string
	metrics string
	env     []string
	log     *text
	cmd     *exec.Cmd
}

// newServer starts a server as the examples of proxies want it.
func newServer(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), port: programtest.FreePort(t), metrics: programtest.FreePort(t), log: &text{}}
	s.env = append([]string{
		"HOME=" + s.dir, "SERVER_PORT=" + s.port, "SERVER_METRICS_LISTEN=127.0.0.1:" + s.metrics,
		"SERVER_TRUSTED_PROXIES=127.0.0.1", "AUTH_ISSUER=https://auth.example.com", "AUTH_BCRYPT_COST=10",
		"AUTH_ADMIN_EMAIL=" + rootEmail, "AUTH_ADMIN_PASSWORD=" + rootPassword,
	}, env...)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	path, err := built()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(path, "serve")
	s.cmd.Env, s.cmd.Dir, s.cmd.Stderr, s.cmd.Stdout = s.env, s.dir, s.log, io.Discard
	run(s.t, s.cmd)
	await(s.t, "the server is not ready", s.log, func() bool { return status("http://127.0.0.1:"+s.port+"/readyz") == 200 })
}

// stop ends the process as an operator does.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server did not stop cleanly: %v\n%s", err, s.log)
	}
}

// command runs a command of the program beside the server.
func (s *server) command(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.cmd.Path, args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("pico-auth %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// scrape is the content of /metrics.
func (s *server) scrape() string {
	s.t.Helper()
	resp, err := http.Get("http://127.0.0.1:" + s.metrics + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// record is the log record of the request with the ID.
func (s *server) record(id string) (fields map[string]any) {
	s.t.Helper()
	await(s.t, "no record of the request "+id, s.log, func() bool {
		for line := range strings.Lines(s.log.String()) {
			var f map[string]any
			if json.Unmarshal([]byte(line), &f) == nil && f["msg"] == "request" && f["request_id"] == id {
				fields = f
			}
		}
		return fields != nil
	})
	return fields
}

// run starts a process, which ends with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// patience is how long a test waits for what must happen: long enough for a busy machine.
const patience = 2 * time.Minute

// await waits until something is so.
func await(t *testing.T, otherwise string, log fmt.Stringer, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("%s:\n%s", otherwise, log)
}

// status is that of the response to a GET, 0 without one.
func status(url string) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// replaced is a file of this folder with its ports, paths and names replaced by those of
// the test. Each must be in it.
func replaced(t *testing.T, file string, pairs ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("%s does not contain %q", file, pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

// write writes a file into a folder and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
