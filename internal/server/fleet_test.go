package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/programtest"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	rootEmail    = "root@example.com"
	rootPassword = "a-good-passphrase"
)

// program returns the path of the built program.
func program(t *testing.T) string {
	t.Helper()
	path, err := programtest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func masterKey(fill byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32))
}

// replica is one process of the program.
type replica struct {
	t    *testing.T
	path string
	env  []string
	base string
	cmd  *exec.Cmd
	log  *testrig.Buffer
}

// newReplica does not start the process.
func newReplica(t *testing.T, path, database string, env ...string) *replica {
	t.Helper()
	dir, port := t.TempDir(), programtest.FreePort(t)
	own := []string{
		"HOME=" + dir, "DATABASE_URL=" + database, "SERVER_PORT=" + port, "AUTH_ISSUER=http://localhost:8100", "AUTH_BCRYPT_COST=10",
		"AUTH_ADMIN_EMAIL=" + rootEmail, "AUTH_ADMIN_PASSWORD=" + rootPassword,
	}
	return &replica{t: t, path: path, env: append(own, env...), base: "http://127.0.0.1:" + port}
}

func (r *replica) start() {
	r.t.Helper()
	r.cmd, r.log = exec.Command(r.path, "serve"), &testrig.Buffer{}
	r.cmd.Env, r.cmd.Dir, r.cmd.Stderr, r.cmd.Stdout = r.env, strings.TrimPrefix(r.env[0], "HOME="), r.log, io.Discard
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	started := r.cmd
	r.t.Cleanup(func() { _ = started.Process.Kill() })
}

func (r *replica) ready() {
	r.t.Helper()
	for begin := time.Now(); time.Since(begin) < server.Patience; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(r.base + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	r.t.Fatalf("the replica did not become ready:\n%s", r.log)
}

// stop ends the process as an operator does and requires exit code 0.
func (r *replica) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the replica did not stop cleanly: %v\n%s", err, r.log)
	}
}

// refused starts the process and requires exit code 2 and one sentence with all the texts.
func (r *replica) refused(texts ...string) {
	r.t.Helper()
	r.start()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		r.t.Fatalf("%v, want exit code 2\n%s", err, r.log)
	}
	sentence := ""
	for line := range strings.Lines(r.log.String()) {
		if after, ok := strings.CutPrefix(line, "pico-auth: "); ok {
			sentence += after
		}
	}
	for _, text := range texts {
		if !strings.Contains(sentence, text) || strings.Count(sentence, "\n") != 1 {
			r.t.Errorf("%q does not contain %q", sentence, text)
		}
	}
}

// fleet is a group of replicas behind a round-robin load balancer.
type fleet struct {
	t        *testing.T
	replicas []*replica
	client   *http.Client
	next     atomic.Int64
	retried  atomic.Int64
}

// newFleet starts n replicas concurrently.
func newFleet(t *testing.T, path, database string, n int, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, client: &http.Client{Timeout: server.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	for range n {
		f.replicas = append(f.replicas, newReplica(t, path, database, env...))
	}
	for _, r := range f.replicas {
		r.start()
	}
	for _, r := range f.replicas {
		r.ready()
	}
	return f
}

// response is a status and the fields of the body.
type response struct {
	status int
	fields map[string]any
}

func (r response) text(field string) string {
	s, _ := r.fields[field].(string)
	return s
}

// at sends a request to one replica. It returns an error only for the connection.
func (f *fleet) at(base, method, path, bearer string, body any) (response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return response{}, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, base+path, reader)
	if err != nil {
		return response{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	a := response{status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&a.fields); err != nil {
		return a, fmt.Errorf("%s %s: %d, not JSON: %w", method, path, resp.StatusCode, err)
	}
	return a, nil
}

// call sends a request to the next replica, and to the one after it if the
// connection was refused or was closed without a response; again reports the
// latter.
func (f *fleet) call(method, path, bearer string, body any) (a response, again bool, err error) {
	for range 4 * len(f.replicas) {
		base := f.replicas[int(f.next.Add(1))%len(f.replicas)].base
		a, err = f.at(base, method, path, bearer, body)
		cut := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
			err != nil && strings.Contains(err.Error(), "server closed idle connection")
		if !cut && !errors.Is(err, syscall.ECONNREFUSED) {
			return a, again, err
		}
		again = again || cut
		f.retried.Add(1)
	}
	return a, again, err
}

// want is call that requires the status.
func (f *fleet) want(status int, method, path, bearer string, body any) response {
	f.t.Helper()
	a, _, err := f.call(method, path, bearer, body)
	if err != nil || a.status != status {
		f.t.Fatalf("%s %s: %d %v %v, want %d", method, path, a.status, a.fields, err, status)
	}
	return a
}

// everywhere requires the status from each replica.
func (f *fleet) everywhere(status int, method, path, bearer string, body any) {
	f.t.Helper()
	for i, r := range f.replicas {
		a, err := f.at(r.base, method, path, bearer, body)
		if err != nil || a.status != status {
			f.t.Errorf("replica %d: %s %s: %d %v %v, want %d", i, method, path, a.status, a.fields, err, status)
		}
	}
}

func (f *fleet) login(email, password string) (access, refresh string) {
	f.t.Helper()
	a := f.want(200, "POST", "/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
	return a.text("access_token"), a.text("refresh_token")
}
