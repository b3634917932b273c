//go:build unix

package doctest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// standIn replaces a command in the documents. Its error fails the line.
type standIn struct {
	file   string // of the repository; empty: a command on the path
	reason string
	run    func(args []string) error
}

const deviceScript = "examples/device/device.sh"

// standIns is the only list of commands that the documents do not run as they are.
var standIns = map[string]standIn{
	"pico-auth": {
		reason: "a server in the foreground never ends; everything else is the program itself",
		run:    runProgram,
	},
	"make": {
		reason: "make test runs this test, and others take minutes; that the targets do what they say is for .ci/run",
		run:    checkMake,
	},
	"git": {
		reason: "the repository is here; its address on the network is not asked",
		run:    checkClone,
	},
	"docker": {
		reason: "needs a container engine; the command in the container runs on a folder that stands for its volume",
		run:    runContained,
	},
	"curl": {
		reason: "it succeeds with a refusal too; here it fails",
		run: func(args []string) error {
			path, err := exec.LookPath("curl")
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(args, regexp.MustCompile(`^(?:-[a-zA-Z]*f|--fail)`).MatchString) {
				if slices.Contains(args, "--retry") { // a server that starts responds with 503
					return errors.New("with --retry and without -f, curl writes the body of each refusal before that of the response")
				}
				args = append([]string{"--fail-with-body"}, args...)
			}
			return syscall.Exec(path, append([]string{"curl"}, args...), os.Environ())
		},
	},
	"go": {
		reason: "an application in the foreground never ends",
		run:    runGo,
	},
	"kubectl":   {reason: "needs a cluster; the files exist, and contrib checks them", run: checkManifests},
	"systemctl": {reason: "needs systemd; the units are checked", run: checkUnits},
	"npm":       {reason: "make examples installs and starts these", run: checkNPM},
	"pip":       {reason: "make examples installs and starts these", run: checkPip},
	"python":    {reason: "make examples installs and starts these", run: checkPython},
	"mvn":       {reason: "make examples builds and starts it", run: checkMaven},
	"run.sh":    {file: "examples/apache/run.sh", reason: "needs Apache with a module; make examples starts it", run: checkScript("examples/apache/run.sh")},
	"device.sh": {file: deviceScript, reason: "waits for a user; it runs until it has printed the code", run: runDevice},
}

// main is the main function of a stand-in.
func (s standIn) main() int {
	name := filepath.Base(os.Args[0])
	path := strings.Split(os.Getenv("PATH"), ":")
	if err := os.Setenv("PATH", strings.Join(path[1:], ":")); err != nil { // without the stand-ins
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("USED"), name), nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := s.run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "stand-in for %s: %v\n", name, err)
		return 1
	}
	return 0
}

var (
	program    = func() string { return os.Getenv("PROGRAM") }
	inState    = func(name string) string { return filepath.Join(os.Getenv("STATE"), name) }
	inCheckout = func(name string) string { return filepath.Join(os.Getenv("CHECKOUT"), name) }
)

// runProgram replaces the stand-in by the program, except where a server would stay in
// the foreground or the output is needed later.
func runProgram(args []string) error {
	switch {
	case len(args) == 0 || args[0] == "serve":
		return serve(args)
	case len(args) > 1 && args[0] == "client" && args[1] == "create":
		return createClient(args)
	}
	return syscall.Exec(program(), append([]string{"pico-auth"}, args...), os.Environ())
}

// serve starts a server, ends the one that the document has started before, and returns
// when the new one is ready.
func serve(args []string) error {
	return goOn("server", func([]byte) bool {
		return responds("http://localhost:" + os.Getenv("SERVER_PORT") + "/readyz")
	}, program(), args...)
}

// goOn starts a program that goes on after this process, and returns when it is ready, of
// which ready sees the output so far. The one that was started before under the same
// name is ended.
func goOn(name string, ready func(output []byte) bool, command string, args ...string) error {
	if former, err := os.ReadFile(inState(name)); err == nil {
		pid, err := strconv.Atoi(string(former))
		if err != nil {
			return err
		}
		if err := stop(pid); err != nil {
			return err
		}
	}
	log, err := os.Create(inState(name + ".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(command, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(inState(name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range 600 {
		output, err := os.ReadFile(log.Name())
		if err != nil {
			return err
		}
		if ready(output) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the %s ended: %w\n%s", name, err, output)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the %s does not become ready", name)
}

// responds reports whether a request gets a response other than an error of the server.
func responds(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode < http.StatusInternalServerError
}

// alive reports whether a process exists, as one does whose end nothing has waited for.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// stop ends the server of the process and waits for its end.
func stop(pid int) error {
	_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
	for range 600 {
		// Nothing waits for a process whose parent has ended, in a container without init.
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat") // absent on other systems
		if !alive(pid) || bytes.Contains(stat, []byte(") Z ")) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the server %d does not end", pid)
}

var printed = regexp.MustCompile(`client_(id|secret)"?:?\s+"?([\w-]+)`)

// createClient keeps the ID and the secret for the placeholders of later lines.
func createClient(args []string) error {
	cmd := exec.Command(program(), args...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return err
	}
	for _, found := range printed.FindAllSubmatch(output, -1) {
		if err := os.WriteFile(inState("CLIENT_"+strings.ToUpper(string(found[1]))), found[2], 0o600); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write(output)
	return err
}

// checkMake checks that the targets exist, and does what a document builds on: make build
// leaves the program.
func checkMake(args []string) error {
	cmd := exec.Command("make", append([]string{"-n", "-C", os.Getenv("REPOSITORY")}, args...)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	if slices.Contains(args, "build") || slices.Contains(args, "run") || len(args) == 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := os.MkdirAll("bin", 0o700); err != nil {
			return err
		}
		if err := os.Symlink(self, "bin/pico-auth"); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if slices.Contains(args, "run") {
		return serve(nil)
	}
	return nil
}
