package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pico-auth/pico-auth/internal/programtest"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pico-auth": main})
}

// TestScripts runs the program as an operator does. Each script has its own
// folder, home folder and port.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"HOME": env.WorkDir, "USERPROFILE": env.WorkDir, "PORT": programtest.FreePort(t), "AUTH_BCRYPT_COST": "10",
			} {
				env.Setenv(name, value)
			}
			env.Setenv("SERVER_PORT", env.Getenv("PORT"))
			return writeCertificate(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "ready": ready, "http": request, "field": field, "terminate": terminate,
			"stall": stall, "closed": closed, "soon": soon, "refused": refused,
			"original": func(ts *testscript.TestScript, _ bool, args []string) { original(t, ts.MkAbs(args[0])) },
		},
	})
}

// original makes a database as the Python server 0.3 left it.
func original(t *testing.T, path string) {
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		text, err := os.ReadFile(filepath.Join("../..", "internal/store/testdata/original-"+version+".sql"))
		if err != nil {
			t.Fatal(err)
		}
		storetest.Exec(t, "sqlite:///"+path, string(text))
	}
}

// exits CODE PROGRAM ARGS... runs a program that must exit with that code and
// without a stack trace.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if neg || got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if stderr := ts.ReadFile("stderr"); strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, ".go:") {
		ts.Fatalf("stderr contains a stack trace")
	}
}

// refused PATTERN demands that the check of the configuration and the start refuse it with
// the same sentences, which match.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	var said [2]string
	for i, command := range [][]string{{"pico-auth", "config", "check"}, {"pico-auth", "serve"}} {
		exits(ts, neg, append([]string{"2"}, command...))
		for line := range strings.Lines(ts.ReadFile("stderr")) {
			if strings.HasPrefix(line, "pico-auth: ") { // else a record of the log
				said[i] += line
			}
		}
	}
	if said[0] != said[1] {
		ts.Fatalf("config check: %s\nserve: %s", said[0], said[1])
	}
	if !regexp.MustCompile("(?m)" + args[0]).MatchString(said[0]) {
		ts.Fatalf("%s does not match %s", said[0], args[0])
	}
}

// patience is how long a test waits for what must happen: the race detector on a busy machine
// is slow.
const patience = 2 * time.Minute

// soon PATTERN PROGRAM ARGS... runs a program until its output matches.
func soon(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(100 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("the output did not match in time")
}

// ready [https] waits until the server of the script responds.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	scheme := append(args, "http")[0]
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		resp, err := httpClient().Get(scheme + "://127.0.0.1:" + ts.Getenv("PORT") + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	ts.Fatalf("the server did not become ready")
}

// http METHOD PATH [BODY] prints status and body; $TOKEN is the bearer token.
func request(ts *testscript.TestScript, _ bool, args []string) {
	body := strings.Join(args[2:], " ")
	req, err := http.NewRequest(args[0], "http://127.0.0.1:"+ts.Getenv("PORT")+args[1], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := httpClient().Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s", resp.StatusCode, content)
}

// field NAME FIELD sets the variable NAME from a field of the last response, or
// of the last JSON output, or of the first entry of its only list.
func field(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stdout")
	var fields map[string]any
	ts.Check(json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &fields))
	for _, list := range fields {
		if entries, ok := list.([]any); ok && fields[args[1]] == nil {
			fields = entries[0].(map[string]any)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(fields[args[1]]))
}

// stall leaves a request half sent, so that a drain has a request to wait for.
// The server says "continue" when its handler waits for the rest.
func stall(ts *testscript.TestScript, _ bool, _ []string) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+ts.Getenv("PORT"))
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	_, err = io.WriteString(conn, "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Content-Length: 99\r\nExpect: 100-continue\r\n\r\n")
	ts.Check(err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	ts.Check(err)
	if line != "HTTP/1.1 100 Continue\r\n" {
		ts.Fatalf("the server responds with %q to half a request", line)
	}
}

// closed waits until the port is closed.
func closed(ts *testscript.TestScript, _ bool, _ []string) {
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+ts.Getenv("PORT"))
		if err != nil {
			return
		}
		conn.Close()
	}
	ts.Fatalf("the server still accepts connections")
}

// terminate sends SIGTERM to the background processes.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

func httpClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
}
