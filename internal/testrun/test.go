package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	kinds.Go(func() {
		failed[0] = r.goTest(events, "1", with, append(foreign(), "-race")...)
	})
	kinds.Go(func() { failed[1] = r.goTest(events, "0", without) })
	go func() {
		kinds.Wait()
		close(events)
	}()
	p := newReport(r.out, r.started)
	p.follow(events, heartbeat)
	if r.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	p.summary()
	return errors.Join(failed[:]...)
}

// foreign are the flags that build what others wrote and only computes without
// the race detector: with it translated SQLite takes four times as long, and
// bcrypt eight times.
func foreign() (flags []string) {
	for _, path := range []string{"modernc.org/", "golang.org/x/crypto/", "github.com/cloudflare/circl/", "filippo.io/"} {
		flags = append(flags, "-gcflags="+path+"...=-race=false")
	}
	return flags
}

// goTest runs the packages and sends the events of go test.
func (r *run) goTest(events chan<- event, cgo string, packages []string, flags ...string) error {
	if len(packages) == 0 {
		return nil
	}
	args := append([]string{"test", "-json", "-vet=all", "-timeout=40m"}, flags...)
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
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	send(events, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
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
