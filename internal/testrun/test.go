package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// heartbeat is how long nothing is printed at most.
const heartbeat = 10 * time.Second

// test runs the packages of both kinds side by side: one kind waits for
// processes that it starts while the other computes.
func (r *run) test(with, without []string) error {
	r.step(fmt.Sprintf("vet and test %d packages with the race detector and %d without", len(with), len(without)))
	events := make(chan event, 100)
	var kinds sync.WaitGroup
	var failed [2]error
	var used [2]time.Duration
	kinds.Go(func() {
		used[0], failed[0] = r.goTest(events, "1", with, append(computing(), wide("p"), "-race")...)
	})
	kinds.Go(func() { used[1], failed[1] = r.goTest(events, "0", without) })
	go func() {
		kinds.Wait()
		close(events)
	}()
	p := newReport(r.out, r.started)
	p.follow(events, heartbeat)
	if r.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	p.summary(used[0] + used[1])
	return errors.Join(failed[:]...)
}

// computing are the flags that build what only computes without the race detector: with
// it translated SQLite takes four times as long, and bcrypt eight times.
func computing() (flags []string) {
	for _, path := range []string{
		"modernc.org/...", "golang.org/x/crypto/...", "github.com/cloudflare/circl/...", "filippo.io/...", module + "/internal/bcrypt",
	} {
		flags = append(flags, "-gcflags="+path+"=-race=false")
	}
	return flags
}

// wide is the flag for how much runs at a time: more than there are cores where those
// are few, since many tests wait for other processes and for the disk.
func wide(name string) string { return fmt.Sprintf("-%s=%d", name, max(4, runtime.NumCPU())) }

// goTest runs the packages and sends the events of go test. It returns the CPU time of
// all processes, except for servers of PostgreSQL, which end elsewhere.
func (r *run) goTest(events chan<- event, cgo string, packages []string, flags ...string) (used time.Duration, err error) {
	if len(packages) == 0 {
		return 0, nil
	}
	args := append([]string{"test", "-json", "-vet=all", "-timeout=40m", wide("parallel")}, flags...)
	cmd := exec.CommandContext(r.ctx, r.goTool, append(args, packages...)...) //nolint:gosec // go itself
	settings := quickSettings
	if r.full {
		settings = fullSettings
	}
	cmd.Env = append(append(os.Environ(), r.env...), settings...)
	// The race detector has each process sleep a second before it exits, and
	// tests start hundreds of their own binary.
	cmd.Env = append(cmd.Env, "CGO_ENABLED="+cgo, "GORACE=atexit_sleep_ms=20")
	end := inGroup(cmd)
	defer end()
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	send(events, out)
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("go test: %w", err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// send reads one event per line. Other lines are passed on as output.
func send(events chan<- event, from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				e = event{Action: "build-output", Output: line + "\n"}
			}
			events <- e
		}
		if err != nil {
			return
		}
	}
}
