//go:build linux

package contrib

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pico-auth/pico-auth/internal/programtest"
)

const unit = "systemd/pico-auth.service"

// The unit gives the server almost nothing: systemd rates it from 0 (no rights) to 10.
func TestUnitIsHardened(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	out, err := exec.Command(analyze, "security", "--offline=true", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for pico-auth.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no rating:\n%s", out)
	}
	if rating, err := strconv.ParseFloat(string(m[1]), 64); err != nil || rating > 1.3 {
		t.Errorf("the exposure level is %s, want at most 1.3:\n%s", m[1], out)
	}
}

func TestUnitsAreValid(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "pico-auth.socket", replaced(t, "systemd/pico-auth.socket"))
	service := write(t, dir, "pico-auth.service", replaced(t, unit, "/usr/local/bin/pico-auth serve", path+" serve"))
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", service, filepath.Join(dir, "pico-auth.socket")).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// group returns the system calls of a group such as @system-service.
func group(t *testing.T, name string) (calls []string) {
	t.Helper()
	out, err := exec.Command(tool(t, "systemd-analyze"), "syscall-filter", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(string(out), "")) {
		switch {
		case word == name:
		case word[0] == '@':
			calls = append(calls, group(t, word)...)
		default:
			calls = append(calls, word)
		}
	}
	return calls
}

// allowed returns the system calls that the unit lets the server make.
func allowed(t *testing.T) []string {
	t.Helper()
	calls := group(t, "@default") // of every list
	for _, line := range regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindAllStringSubmatch(replaced(t, unit), -1) {
		words, not := strings.CutPrefix(line[1], "~")
		for word := range strings.FieldsSeq(words) {
			named := []string{word}
			if word[0] == '@' {
				named = group(t, word)
			}
			if not {
				calls = slices.DeleteFunc(calls, func(c string) bool { return slices.Contains(named, c) })
			} else {
				calls = append(calls, named...)
			}
		}
	}
	if slices.Contains(calls, "mount") || slices.Contains(calls, "sched_setscheduler") || !slices.Contains(calls, "setpriority") {
		t.Fatal("SystemCallFilter is read wrongly")
	}
	return calls
}

// sandbox is a command that runs the rest of its line as the unit does as far as that is
// possible without systemd: the file system cannot be written, except for the state and
// /tmp, /proc has only the processes of the server, /dev only a few devices, no other user's
// files are there, and the process has no right to change any of that.
//
//	sandbox DIR PROGRAM COMMAND...
const sandbox = `set -e
dir=$1 program=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o size=64m tmpfs /usr/local/bin
cp "$program" /usr/local/bin/pico-auth
mount -t tmpfs -o size=1m tmpfs /var/lib
mkdir /var/lib/pico-auth
mount --bind "$dir" /var/lib/pico-auth
mkdir /var/lib/dev
for d in null zero full random urandom tty; do : >/var/lib/dev/$d; mount --bind /dev/$d /var/lib/dev/$d; done
mount --rbind /var/lib/dev /dev
for d in /home /root /tmp; do mount -t tmpfs -o size=16m,mode=1777 tmpfs $d; done
mount -o remount,bind,ro /usr/local/bin
mount -o remount,bind,ro /
mount -t proc -o subset=pid,hidepid=invisible,nosuid,nodev,noexec proc /proc
cd /var/lib/pico-auth
umask 077
exec setpriv --reuid 64999 --regid 64999 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
`

// watched are the system calls that other directives restrict by their arguments.
var watched = []string{"mmap", "mprotect", "pkey_mprotect", "socket", "socketpair", "clone", "clone3", "unshare", "chmod", "fchmod", "fchmodat"}

// confined starts the server under strace, which lets system calls that the unit does not
// allow fail as systemd does. It writes them to a file, with those that are watched.
func confined(t *testing.T, s *server) (calls string) {
	t.Helper()
	strace := tool(t, "strace")
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	var known, silent []string
	for _, call := range allowed(t) {
		known = append(known, "?"+call)
		if !slices.Contains(watched, call) {
			silent = append(silent, "?"+call)
		}
	}
	calls = filepath.Join(s.dir, "calls")
	if err := os.Chown(s.dir, 64999, 64999); os.Geteuid() == 0 && err != nil {
		t.Fatal(err)
	}
	inside := func(dir, program string) []string {
		return []string{
			"env", "-i", "HOME=" + dir, "NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "GOMEMLIMIT=256MiB",
			"SERVER_PORT=" + s.port, "SERVER_METRICS_LISTEN=127.0.0.1:" + s.metrics, "AUTH_BCRYPT_COST=10",
			"AUTH_ADMIN_EMAIL=" + rootEmail, "AUTH_ADMIN_PASSWORD=" + rootPassword, "AUTH_ISSUER=https://localhost", "LOG_FORMAT=json",
			"SERVER_TLS_CERT=" + filepath.Join(dir, "cert.pem"), "SERVER_TLS_KEY=" + filepath.Join(dir, "key.pem"),
			strace, "-f", "-qq", "--seccomp-bpf", "-o", filepath.Join(dir, "calls"), "-e", "signal=none",
			"-e", "inject=!" + strings.Join(known, ",") + ":error=EPERM", "-e", "trace=!" + strings.Join(silent, ","),
			program, "serve",
		}
	}
	cmd := exec.Command(inside(s.dir, path)[0], inside(s.dir, path)[1:]...)
	if exec.Command("unshare", "--mount", "true").Run() == nil {
		cmd = exec.Command("unshare", append([]string{"--mount", "--uts", "--ipc", "sh", "-c", sandbox, "sandbox", s.dir, path}, inside("/var/lib/pico-auth", "/usr/local/bin/pico-auth")...)...)
	} else {
		missing(t, "mount")
		t.Log("NOT TESTED: what the unit forbids in the file system; this process may not mount (REQUIRE_CONTRIB=mount makes that a failure)")
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, io.Discard, s.log
	s.cmd = cmd
	run(t, cmd)
	return calls
}

// A server with the rights of the unit starts, signs users in under load, reads its
// configuration and certificate again, and drains, without a system call that the unit
// forbids.
func TestServerNeedsNoMoreThanTheUnitAllows(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze")
	s := &server{t: t, dir: t.TempDir(), port: programtest.FreePort(t), metrics: programtest.FreePort(t), log: &text{}}
	b := &behind{t: t, server: s, port: s.port, log: s.log}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	var said text
	go func() { _, _ = io.Copy(&said, notify) }()
	certify := func() {
		b.certificate(s.dir)
		for _, file := range []string{"notify", "cert.pem", "key.pem"} {
			if err := os.Chown(filepath.Join(s.dir, file), 64999, 64999); os.Geteuid() == 0 && err != nil {
				t.Fatal(err)
			}
		}
	}
	certify()
	calls := confined(t, s)
	await(t, "systemd is not told that the server is ready", s.log, func() bool { return strings.Contains(said.String(), "READY=1") })

	useEverything(t, b)
	certify()
	server := pid(t, calls)
	if err := syscall.Kill(server, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the configuration is not read again", s.log, func() bool { return strings.Contains(s.log.String(), "configuration reloaded") })
	conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, &tls.Config{RootCAs: b.roots, ServerName: "auth.example.com"})
	if err != nil {
		t.Errorf("the renewed certificate: %v\n%s", err, s.log)
	} else {
		_ = conn.Close()
	}
	if err := syscall.Kill(server, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server did not stop cleanly: %v\n%s", err, s.log)
	}
	made, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(made), "socket(AF_INET") {
		t.Errorf("strace saw no socket:\n%s", made)
	}
	for line := range strings.Lines(string(made)) {
		if !permitted(line) {
			t.Errorf("forbidden: %s", line)
		}
	}
	for _, file := range []string{"auth.db", ".pico-auth/private.pem"} {
		if _, err := os.Stat(filepath.Join(s.dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// useEverything signs users in at once, refreshes, and opens pages.
func useEverything(t *testing.T, b *behind) {
	t.Helper()
	s := b.server
	c := &http.Client{Timeout: patience, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: b.roots, ServerName: "auth.example.com"}}}
	base := "https://127.0.0.1:" + s.port
	post := func(path, body string) map[string]any {
		resp, err := c.Post(base+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v\n%s", path, err, s.log)
			return nil
		}
		defer resp.Body.Close()
		var fields map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil || resp.StatusCode != 200 && resp.StatusCode != 429 {
			t.Errorf("%s: %d %v %v", path, resp.StatusCode, fields, err)
		}
		if resp.StatusCode != 200 {
			return nil
		}
		return fields
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			user := fmt.Sprintf(`{"email":"u%d@example.com","password":"correct horse"}`, i)
			if post("/api/v1/auth/register", user) == nil {
				return
			}
			if pair := post("/api/v1/auth/login", user); pair != nil {
				post("/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, pair["refresh_token"]))
			}
		})
	}
	all.Wait()
	for _, path := range []string{"/sign-in", "/.well-known/jwks.json", "/docs", "/openapi.json"} {
		resp, err := c.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if m := s.scrape(); !strings.Contains(m, "process_open_fds") || !strings.Contains(m, "pico_auth_start_time_seconds") {
		t.Error("/metrics lacks those of the process")
	}
}

// permitted reports whether a line of strace is a call of those watched that the unit allows.
func permitted(line string) bool {
	_, call, _ := strings.Cut(line, " ")
	call = strings.TrimSpace(call)
	switch name, _, _ := strings.Cut(call, "("); name {
	case "mmap": // MemoryDenyWriteExecute
		return !strings.Contains(call, "PROT_EXEC") || !strings.Contains(call, "PROT_WRITE")
	case "mprotect", "pkey_mprotect":
		return !strings.Contains(call, "PROT_EXEC")
	case "socket", "socketpair": // RestrictAddressFamilies
		return regexp.MustCompile(`\((AF_INET|AF_INET6|AF_UNIX),`).MatchString(call)
	case "clone", "clone3", "unshare": // RestrictNamespaces
		return !strings.Contains(call, "CLONE_NEW")
	case "chmod", "fchmod", "fchmodat": // RestrictSUIDSGID
		return !strings.Contains(call, "S_ISUID") && !strings.Contains(call, "S_ISGID")
	}
	return strings.HasPrefix(call, "+++") || strings.HasPrefix(call, "<...")
}

// pid returns the ID of the process that made the first call.
func pid(t *testing.T, calls string) int {
	t.Helper()
	made, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(made), " ")
	id, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("%v\n%s", err, made)
	}
	return id
}
