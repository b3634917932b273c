package server_test

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
)

// socketFolder has a short path: a kernel takes 104 bytes.
func socketFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pico")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func onSocket(path string) func(*config.Config) {
	return func(c *config.Config) {
		c.Auth.AdminPassword = "a-good-passphrase"
		c.Server.Listen = config.SocketPrefix + path
	}
}

// through sends a request to a socket and returns status and body.
func through(t *testing.T, path, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func TestSocketHasItsModeAndItsPeersAreProxies(t *testing.T) {
	dir := socketFolder(t)
	path := filepath.Join(dir, "http.sock")
	s := start(t, t.TempDir(), func(c *config.Config) {
		onSocket(path)(c)
		c.Server.ListenMode = "0620"
		c.Server.TrustedProxies = []string{"10.0.0.0/8"}
	})
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o620 {
		t.Fatalf("%v %v", info, err)
	}
	if !strings.Contains(s.out.String(), "listening on  unix:"+path+"\n") {
		t.Errorf("the start does not name the socket:\n%s", s.out)
	}
	login := `{"email":"admin@pico.local","password":"a-good-passphrase"}`
	status, tokens := through(t, path, "POST", "/api/v1/auth/login", login, "Content-Type", "application/json", "X-Forwarded-For", "1.2.3.4, 203.0.113.9, 10.1.2.3")
	if status != 200 {
		t.Fatalf("%d %s", status, tokens)
	}
	if status, body := through(t, path, "POST", "/api/v1/auth/login", login, "Content-Type", "application/json"); status != 200 {
		t.Errorf("without an address: %d %s", status, body)
	}
	access, _, _ := strings.Cut(tokens[strings.Index(tokens, `"access_token":"`)+len(`"access_token":"`):], `"`)
	if _, sessions := through(t, path, "GET", "/api/v1/auth/sessions", "", "Authorization", "Bearer "+access); !strings.Contains(sessions, `"address":"203.0.113.9"`) {
		t.Errorf("the client of the proxy is unknown: %s", sessions)
	}
	if status, _ := through(t, path, "GET", "/metrics", ""); status != 404 {
		t.Errorf("/metrics for clients of the proxy: %d", status)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the server leaves %v, %v", left, err)
	}
}

func TestMetricsOnASocketOfTheirOwn(t *testing.T) {
	dir := socketFolder(t)
	path := filepath.Join(dir, "metrics.sock")
	both := func(c *config.Config) {
		onSocket(filepath.Join(dir, "http.sock"))(c)
		c.Server.MetricsListen, c.Server.ListenMode = config.SocketPrefix+path, "0600"
	}
	s := start(t, t.TempDir(), both)
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if !strings.Contains(s.out.String(), "metrics       /metrics at unix:"+path+"\n") {
		t.Errorf("the start does not name the socket:\n%s", s.out)
	}
	for url, want := range map[string]int{"/metrics": 200, "/readyz": 404, "/api/v1/auth/jwks": 404} {
		if status, body := through(t, path, "GET", url, ""); status != want || strings.Contains(body, "pico_auth_build_info") != (want == 200) {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	if status, _ := through(t, filepath.Join(dir, "http.sock"), "GET", "/metrics", ""); status != 404 {
		t.Errorf("/metrics for clients of the proxy: %d", status)
	}
	cfg := testConfig(t.TempDir())
	cfg.Server.MetricsListen = config.SocketPrefix + path
	if second, err := server.New(t.Context(), server.Config{Config: cfg}); err == nil || !strings.Contains(err.Error(), "server.metrics_listen: "+path+" is in use") {
		if err == nil {
			_ = second.Close()
		}
		t.Errorf("a second server: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the server leaves %v, %v", left, err)
	}
}

func TestSocketIsTakenOnlyWhereNothingElseIs(t *testing.T) {
	dir := socketFolder(t)
	path := filepath.Join(dir, "http.sock")
	refused := func(want string) {
		t.Helper()
		cfg := testConfig(t.TempDir())
		onSocket(path)(&cfg)
		s, err := server.New(t.Context(), server.Config{Config: cfg})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "server.listen: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 2 {
			t.Errorf("a refused start leaves %v, %v", left, err)
		}
	}
	missing := filepath.Join(dir, "missing")
	path = filepath.Join(missing, "http.sock")
	refused("the folder " + missing + " does not exist; make it, or set another path")
	path = filepath.Join(dir, "http.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("is no socket")
	if err := os.Rename(path, filepath.Join(dir, "kept")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "kept"), path); err != nil {
		t.Fatal(err)
	}
	refused("is no socket")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	// A killed server leaves its socket behind.
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	_ = killed.Close()
	first := start(t, t.TempDir(), onSocket(path))
	refused("is in use")
	if status, _ := through(t, path, "GET", "/readyz", ""); status != 200 {
		t.Errorf("the running server responds with %d", status)
	}

	// Another server has the path when this one ends.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := start(t, t.TempDir(), onSocket(path))
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	if status, _ := through(t, path, "GET", "/readyz", ""); status != 200 {
		t.Errorf("the server that has the path now responds with %d", status)
	}
	if err := second.stop(); err != nil {
		t.Error(err)
	}
}

// Each of them finds the socket of a killed server; replacing that of another one would
// leave a server that nothing reaches.
func TestOneOfSeveralStartsGetsTheSocket(t *testing.T) {
	path := filepath.Join(socketFolder(t), "http.sock")
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	_ = killed.Close()
	const starts = 4
	servers, refused := make(chan *server.Server, starts), make(chan error, starts)
	for range starts {
		cfg := testConfig(t.TempDir())
		onSocket(path)(&cfg)
		go func() {
			s, err := server.New(t.Context(), server.Config{Config: cfg})
			if err != nil {
				refused <- err
				return
			}
			servers <- s
		}()
	}
	for range starts - 1 {
		if err := <-refused; !strings.Contains(err.Error(), "is in use") {
			t.Error(err)
		}
	}
	if err := (<-servers).Close(); err != nil {
		t.Error(err)
	}
}

// An account that can read the folder can lock it: that delays a start, and prevents none. It takes
// as long as that delay.
func TestAccountsThatLockTheFolderOfTheSocketKeepNoServerFromIt(t *testing.T) {
	t.Parallel()
	dir := socketFolder(t)
	folder := flock.New(dir, flock.SetFlag(os.O_RDONLY))
	if err := folder.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	path := filepath.Join(dir, "http.sock")
	for range 2 { // the second one finds the file of the first
		s := start(t, t.TempDir(), onSocket(path))
		if status, _ := through(t, path, "GET", "/readyz", ""); status != 200 {
			t.Errorf("the server responds with %d", status)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}
}

// What connects to a socket is a proxy, whose clients are others than this machine's.
func TestDefaultPasswordIsRefusedOnASocket(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Server.Listen = config.SocketPrefix + filepath.Join(socketFolder(t), "s")
	if _, err := server.New(t.Context(), server.Config{Config: cfg}); err == nil || !strings.Contains(err.Error(), "refusing to listen on unix:") {
		t.Error(err)
	}
}

// systemd is what starts a process with sockets and waits for its messages.
type systemd struct {
	t        *testing.T
	messages *net.UnixConn
	cmd      *exec.Cmd
	log      *strings.Builder
}

// startBySystemd starts the program as systemd does. LISTEN_PID has to be the id of
// the process itself.
func startBySystemd(t *testing.T, path string, sockets []net.Listener, env ...string) *systemd {
	t.Helper()
	dir := socketFolder(t)
	messages, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = messages.Close() })
	s := &systemd{t: t, messages: messages, log: &strings.Builder{}}
	s.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, path)
	for _, ln := range sockets {
		file, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, file)
	}
	s.cmd.Env = append([]string{
		"HOME=" + dir, "NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "LISTEN_FDS=" + string(rune('0'+len(sockets))),
		"AUTH_ISSUER=https://auth.example.com", "AUTH_BCRYPT_COST=10", "AUTH_ADMIN_PASSWORD=" + rootPassword, "SERVER_PORT=1",
	}, env...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

// hear waits for the next message.
func (s *systemd) hear(want string) {
	s.t.Helper()
	var text [256]byte
	_ = s.messages.SetReadDeadline(time.Now().Add(server.Patience))
	n, err := s.messages.Read(text[:])
	if err != nil || string(text[:n]) != want {
		s.t.Fatalf("%q, %v, want %q", text[:n], err, want)
	}
}

func TestServerTakesASocketOfSystemdAndTellsItWhenItIsReady(t *testing.T) {
	t.Parallel()
	path := program(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := filepath.Join(socketFolder(t), "http.sock")
	unix, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for _, ln := range []net.Listener{tcp, unix} {
		s := startBySystemd(t, path, []net.Listener{ln})
		s.hear("READY=1")
		if ln == tcp {
			if status, _, _ := get(t, "http://"+tcp.Addr().String()+"/readyz", nil); status != 200 {
				t.Errorf("/readyz: %d", status)
			}
		} else if status, _ := through(t, name, "GET", "/readyz", ""); status != 200 {
			t.Errorf("/readyz: %d", status)
		}
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.hear("STOPPING=1")
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, s.log)
		}
		if !strings.Contains(s.log.String(), "listening on  ") {
			t.Error(s.log)
		}
	}
	if _, err := os.Lstat(name); err != nil {
		t.Errorf("the server removed the socket of systemd: %v", err)
	}
	for _, refused := range []struct {
		sockets []net.Listener
		env     string
		says    string
	}{
		{[]net.Listener{tcp, unix}, "X=", "keep one ListenStream="},
		{[]net.Listener{unix}, "AUTH_ADMIN_PASSWORD=admin", "refusing to listen on unix:" + name},
	} {
		s := startBySystemd(t, path, refused.sockets, refused.env)
		if err := s.cmd.Wait(); err == nil || !strings.Contains(s.log.String(), refused.says) {
			t.Errorf("%v, want %q in\n%s", err, refused.says, s.log)
		}
		if left, err := filepath.Glob(filepath.Join(s.cmd.Dir, "*.db*")); err != nil || left != nil {
			t.Errorf("the refused start has left %q, %v", left, err)
		}
	}
}

func TestHealthReachesTheSocket(t *testing.T) {
	t.Parallel()
	path := program(t)
	name := filepath.Join(socketFolder(t), "http.sock")
	s := startBySystemd(t, path, nil, "SERVER_LISTEN=unix:"+name)
	s.hear("READY=1")
	health := exec.CommandContext(t.Context(), path, "health")
	health.Env, health.Dir = s.cmd.Env, s.cmd.Dir
	if out, err := health.CombinedOutput(); err != nil || string(out) != "ready\n" {
		t.Errorf("%v: %s", err, out)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	health = exec.CommandContext(t.Context(), path, "health")
	health.Env, health.Dir = s.cmd.Env, s.cmd.Dir
	if out, err := health.CombinedOutput(); err == nil || !strings.Contains(string(out), "no server answers at unix:"+name) {
		t.Errorf("%v: %s", err, out)
	}
}
