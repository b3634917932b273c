//go:build linux

package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that takes milliseconds on an idle
// machine.
const patience = time.Minute

// output is what a process has written; safe while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// container runs an unpacked image as an engine would, by chroot.
type container struct {
	t      *testing.T
	root   string
	config imageConfig
	env    []string // beside those of the image
}

// command runs args in the container, as its user, in its working folder.
func (c container) command(args ...string) *exec.Cmd {
	c.t.Helper()
	user, group, _ := strings.Cut(c.config.User, ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil || uid == 0 {
		c.t.Fatalf("the user %q is not a number, or root", c.config.User)
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append([]string{}, c.config.Env...), c.env...)
	cmd.Dir = c.config.WorkingDir
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}}
	return cmd
}

// start runs the entry point with the arguments of the image.
func (c container) start() *process {
	c.t.Helper()
	return start(c.t, c.command(append(append([]string{}, c.config.Entrypoint...), c.config.Cmd...)...))
}

// health runs the health check of the image.
func (c container) health() error {
	c.t.Helper()
	if c.config.Healthcheck == nil || len(c.config.Healthcheck.Test) < 2 || c.config.Healthcheck.Test[0] != "CMD" {
		c.t.Fatalf("the image has no health check: %+v", c.config.Healthcheck)
	}
	return c.command(c.config.Healthcheck.Test[1:]...).Run()
}

// process is a started program. The end of the test kills it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *output
	done chan struct{}
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, log: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, p.log)
		}
	})
	return p
}

// code waits for the end and returns the exit code.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.cmd.Path)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends SIGTERM and demands a clean end.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if code := p.code(); code != 0 {
		p.t.Fatalf("exit code %d after SIGTERM", code)
	}
}

// until waits for the condition while the process runs.
func (p *process) until(what string, condition func() error) {
	p.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s: %s has ended: %s", what, p.cmd.Path, p.log)
		default:
		}
	}
	p.t.Fatalf("%s: %v", what, err)
}

// call sends a request, with a body of JSON and a bearer token if there are any, and
// returns status and body.
func call(t *testing.T, client *http.Client, method, address, token string, body any) (status int, text string) {
	t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, address, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(read)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
