//go:build linux

package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/pico-auth/pico-auth/bench/load"
)

// startTimeout is for machines that do much else.
const startTimeout = 2 * time.Minute

// Site is a place where the program runs: a folder with keys and a database.
type Site struct {
	Binary string
	Dir    string            // removed by Remove
	URL    string            // of the database
	Env    map[string]string // over the site's own variables
}

// New makes a site with a SQLite database below the folder. env may be nil.
func New(binary, parent string, env map[string]string) (*Site, error) {
	dir, err := os.MkdirTemp(parent, "site-")
	if err != nil {
		return nil, err
	}
	all := map[string]string{"AUTH_ACCESS_TOKEN_EXPIRE_MINUTES": "1440"}
	maps.Copy(all, env)
	return &Site{Binary: binary, Dir: dir, URL: "sqlite:///" + filepath.Join(dir, "auth.db"), Env: all}, nil
}

// Remove removes the site's folder.
func (s *Site) Remove() error { return os.RemoveAll(s.Dir) }

// WAL returns the size of the write-ahead log in bytes, 0 when there is none.
func (s *Site) WAL() int64 {
	info, err := os.Stat(filepath.Join(s.Dir, "auth.db-wal"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Size returns the size of the database file in bytes.
func (s *Site) Size() (int64, error) {
	info, err := os.Stat(filepath.Join(s.Dir, "auth.db"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (s *Site) environ(port string) []string {
	env := map[string]string{
		"HOME": s.Dir, "PATH": os.Getenv("PATH"), "DATABASE_URL": s.URL,
		"AUTH_DATA_DIR": filepath.Join(s.Dir, "keys"), "SERVER_PORT": port, "AUTH_ISSUER": "http://localhost:8100",
	}
	maps.Copy(env, s.Env)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		lines = append(lines, name+"="+env[name])
	}
	return lines
}

// Accepts reports whether the program takes the site's configuration.
func (s *Site) Accepts(ctx context.Context) bool {
	cmd := exec.CommandContext(ctx, s.Binary, "config", "check") //nolint:gosec // the program under test
	cmd.Dir, cmd.Env = s.Dir, s.environ("8100")
	return cmd.Run() == nil
}

// Process is one run of the program.
type Process struct {
	Addr    string
	PID     int
	Started time.Duration // from before the exec to the first answer

	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start starts the program and waits for its first answer. It ends with this
// process at the latest. Its log goes to a file of the site.
func (s *Site) Start(ctx context.Context) (*Process, error) {
	return launch(ctx, s.Dir, s.environ, s.Binary, "serve")
}

// launch starts a program that listens on SERVER_PORT.
func launch(ctx context.Context, dir string, environ func(port string) []string, args ...string) (*Process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &Process{Addr: "127.0.0.1:" + port, log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()                                      // the program has its own
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the program under test
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, environ(port), out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	started := make(chan error, 1)
	go func() {
		// The system sends Pdeathsig when the thread that started the program ends, as those
		// of load.Open.First do. This one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in its log
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	if err := p.firstAnswer(begin); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	p.Started = time.Since(begin)
	return p, nil
}

// firstAnswer waits until the program is ready.
func (p *Process) firstAnswer(begin time.Time) error {
	for {
		conn, err := load.Dial(p.Addr)
		if err == nil {
			status, _, err := conn.Do(load.Request("GET", "/readyz", "", ""))
			_ = conn.Close()
			if err != nil {
				return fmt.Errorf("first answer: %w\n%s", err, p.Tail())
			}
			if status != 503 { // other programs have no such path
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the program ended at its start\n%s", p.Tail())
		case <-time.After(100 * time.Microsecond):
		}
		if time.Since(begin) > startTimeout {
			return fmt.Errorf("no answer after %v: %w\n%s", startTimeout, err, p.Tail())
		}
	}
}

// Stop ends the program as an operator does, and kills it when it does not.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
		return nil
	case <-time.After(startTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return errors.New("the program did not stop and was killed")
	}
}

// Tail is the end of the program's log.
func (p *Process) Tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// Bare starts a server of the bench's own, whose first argument is name, in a
// process of its own. It gets its port in SERVER_PORT.
func Bare(ctx context.Context, dir, binary, name string) (*Process, error) {
	environ := func(port string) []string { return []string{"SERVER_PORT=" + port} }
	return launch(ctx, dir, environ, binary, name)
}
