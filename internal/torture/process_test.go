//go:build linux

package torture

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

const (
	adminEmail = "admin@pico.local"
	password   = "a-long-enough-passphrase"

	// limit is how long a test waits for a change: long enough for a busy machine.
	limit = time.Minute
)

// site is an installation for several processes one after another: keys,
// database, port.
type site struct {
	t        *testing.T
	dir      string
	database string // URL
	env      map[string]string
	base     string // URL
}

// newSite is a site with a fresh SQLite database.
func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	return newSiteAt(t, dir, "sqlite:///"+filepath.Join(dir, "auth.db"))
}

func newSiteAt(t *testing.T, dir, database string) *site {
	t.Helper()
	port := programtest.FreePort(t)
	return &site{
		t: t, dir: dir, database: database, base: "http://127.0.0.1:" + port,
		env: map[string]string{
			"HOME": dir, "DATABASE_URL": database, "SERVER_PORT": port, "AUTH_DATA_DIR": filepath.Join(dir, "keys"),
			"AUTH_ADMIN_EMAIL": adminEmail, "AUTH_ADMIN_PASSWORD": password, "AUTH_BCRYPT_COST": "10",
			"AUTH_ACCESS_TOKEN_EXPIRE_MINUTES": "600", "AUTH_ISSUER": "http://127.0.0.1:" + port,
			"AUTH_ROTATIONS_PER_FAMILY": "0", // the tests refresh without pause, for as long as the machine needs
		},
	}
}

func (s *site) environ() []string {
	var env []string
	for name := range maps.Keys(s.env) {
		env = append(env, name+"="+s.env[name])
	}
	return append(env, "PATH="+os.Getenv("PATH"))
}

// run executes a command of the program and returns its exit code and
// output.
func (s *site) run(args ...string) (code int, out string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.environ()
	text, err := cmd.CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// sound checks the whole database with `migrate --check`.
func (s *site) sound() {
	s.t.Helper()
	if code, out := s.run("migrate", "--check"); code != 0 {
		s.t.Fatalf("the database is not sound:\n%s", out)
	}
}

// process is one process of the program.
type process struct {
	*client
	site  *site
	cmd   *exec.Cmd
	log   string // file of its standard error
	ended chan struct{}
}

// launch starts the program, with before as a command prefix, and does not wait
// until it is ready.
func (s *site) launch(before ...string) *process {
	s.t.Helper()
	args := append(before, binary, "serve")
	log := filepath.Join(s.t.TempDir(), "log")
	out, err := os.Create(log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close() // the program has its own descriptor
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.environ(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &process{client: newClient(s.t, s.base), site: s, cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the result is in cmd.ProcessState
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("the end of the program's log:\n%s", p.tail())
		}
	})
	return p
}

// start starts the program and waits until it is ready.
func (s *site) start(before ...string) *process {
	s.t.Helper()
	p := s.launch(before...)
	deadline := time.Now().Add(limit)
	for p.status("/readyz") != http.StatusOK {
		select {
		case <-p.ended:
			s.t.Fatalf("the program ended at its start: %v\n%s", p.cmd.ProcessState, p.tail())
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the program is not ready after %v\n%s", limit, p.tail())
		}
	}
	return p
}

// kill kills the program and waits until it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
	p.hangUp()
}

// stop ends the program as an operator does.
func (p *process) stop() {
	p.site.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.site.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.site.t.Fatalf("the program does not stop\n%s", p.tail())
	}
	p.hangUp()
}

// tail is the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// complaints are the lines of the log with a 500 or a panic.
func (p *process) complaints() []string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "goroutine ") || strings.Contains(line, `"status":500`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// eventually waits until the condition holds and returns how long that took.
func (p *process) eventually(what string, holds func() bool) time.Duration {
	p.site.t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			p.site.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

func (p *process) becomesReady() time.Duration {
	p.site.t.Helper()
	return p.eventually("the program is ready again", func() bool { return p.status("/readyz") == http.StatusOK })
}

func (p *process) becomesUnready() time.Duration {
	p.site.t.Helper()
	return p.eventually("the program is not ready", func() bool {
		return p.status("/readyz") == http.StatusServiceUnavailable
	})
}

// goroutines is the number of goroutines of the program.
func (p *process) goroutines() int {
	p.site.t.Helper()
	body := p.text("/metrics")
	_, after, _ := strings.Cut(body, "\ngo_goroutines ")
	var n int
	if _, err := fmt.Sscan(after, &n); err != nil {
		p.site.t.Fatalf("go_goroutines is not in /metrics: %v", err)
	}
	return n
}
