//go:build linux

package torture

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestResponsesComeAfterTheSync traces the system calls of the program: what it
// acknowledges was written to SQLite's log, and that log was synced, before the
// response was sent. A kill cannot show that, since the kernel keeps
// the writes of a killed process.
func TestResponsesComeAfterTheSync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		skip(t, "strace is missing: the order of sync and response")
	}
	s := newSite(t)
	setUp := s.start()
	const clients = 4
	for i := range clients {
		setUp.must(setUp.register(fmt.Sprintf("c%d@example.org", i)))
	}
	setUp.stop()

	file := filepath.Join(t.TempDir(), "trace")
	p := s.start(strace, "-f", "-qq", "-y", "-s", "8192", "-o", file, "--seccomp-bpf",
		"-e", "trace=pwrite64,pwritev,write,writev,sendto,sendmsg,fsync,fdatasync,sync_file_range", "--")
	var busy sync.WaitGroup
	for i := range clients {
		busy.Go(func() {
			a := p.login(fmt.Sprintf("c%d@example.org", i))
			for range 10 {
				if a.status != 200 {
					t.Errorf("under strace: %v", a)
					return
				}
				a = p.refresh(a.field("refresh_token"))
			}
		})
	}
	p.must(p.register("alone@example.org"))
	busy.Wait()
	p.stopTraced()

	calls := readTrace(t, file)
	acknowledged, wrong := judge(calls)
	if want := clients*11 + 1; acknowledged != want {
		t.Errorf("%d responses are in the trace, want %d", acknowledged, want)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	// Without the syncs judge must report every response.
	var unsynced []syscallLine
	for _, c := range calls {
		if c.name != "fsync" && c.name != "fdatasync" {
			unsynced = append(unsynced, c)
		}
	}
	if n, wrong := judge(unsynced); n == 0 || len(wrong) != n {
		t.Errorf("without the syncs %d of %d responses are reported", len(wrong), n)
	}
}

// stopTraced stops the program, not strace.
func (p *process) stopTraced() {
	p.site.t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	if err != nil {
		p.site.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		p.site.t.Fatal(err)
	}
	program, err := os.FindProcess(pid)
	if err != nil {
		p.site.t.Fatal(err)
	}
	if err := program.Signal(os.Interrupt); err != nil {
		p.site.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.site.t.Fatal("the program does not stop")
	}
}

// syscallLine is a system call. began and ended are the places in the trace
// where it was entered and had returned.
type syscallLine struct {
	name, args   string
	began, ended int
}

var (
	plain      = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	unfinished = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
)

// readTrace reads the output of strace, in the order in which the calls began.
func readTrace(t *testing.T, file string) []syscallLine {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []syscallLine
	open := map[string]int{} // index in calls of the current call of a thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		line := lines.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			open[m[1]] = len(calls)
			calls = append(calls, syscallLine{name: m[2], args: m[3], began: n, ended: -1})
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			if i, ok := open[m[1]]; ok && m[4] != "-1" {
				calls[i].args += m[3]
				calls[i].ended = n
			}
		} else if m := plain.FindStringSubmatch(line); m != nil && m[4] != "-1" {
			calls = append(calls, syscallLine{name: m[2], args: m[3], began: n, ended: n})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

var (
	issued     = regexp.MustCompile(`\\"refresh_token\\":\\"([A-Za-z0-9_-]+)\\"`)
	registered = regexp.MustCompile(`\\"email\\":\\"(alone@example\.org)\\"`)
)

// judge counts the acknowledgements in the trace and returns those that were sent
// before the log with their change was synced.
func judge(calls []syscallLine) (acknowledged int, wrong []string) {
	for i, c := range calls {
		if !strings.Contains(c.args, "HTTP/1.1 200 OK") {
			continue
		}
		var stored string
		if m := issued.FindStringSubmatch(c.args); m != nil {
			stored = hashOf(m[1])
		} else if m := registered.FindStringSubmatch(c.args); m != nil {
			stored = m[1]
		} else {
			continue
		}
		acknowledged++
		if reason := durable(calls[:i], stored, c.began); reason != "" {
			wrong = append(wrong, fmt.Sprintf("line %d of the trace: a response was sent and %s", c.began+1, reason))
		}
	}
	return acknowledged, wrong
}

// durable returns the reason why the text would not survive a power cut at a line of
// the trace, or an empty string.
func durable(before []syscallLine, text string, line int) (missing string) {
	written := -1
	for _, c := range before {
		if strings.HasPrefix(c.name, "pwrite") && strings.Contains(c.args, "-wal>") && strings.Contains(c.args, text) {
			written = c.ended
			break
		}
	}
	if written < 0 || written > line {
		return "the acknowledged change was not written to the log"
	}
	// SQLite writes the rest of the commit after it; the sync covers everything that
	// was written before it began.
	last := written
	for _, c := range before {
		synced := (c.name == "fsync" || c.name == "fdatasync") && strings.Contains(c.args, "-wal>")
		if synced && c.began > last && c.ended >= 0 && c.ended < line {
			return ""
		}
	}
	return "the log was not synced in between"
}
