//go:build linux

package site

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/bench/load"
)

// tick is the unit of /proc/PID/stat, sysconf(_SC_CLK_TCK): 100 a second on
// every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the program's CPU time so far, all its threads, in user and
// kernel. It is 0 when the process has ended.
func (p *Process) CPU() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64) // written by the kernel
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// Resident is the memory that the program holds, in bytes; 0 when the process
// has ended.
func (p *Process) Resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	line, _, _ := strings.Cut(after, "kB")
	kilobytes, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64) // written by the kernel
	return kilobytes << 10
}

// Files is how many descriptors the program has open; 0 when it has ended.
func (p *Process) Files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	if err != nil {
		return 0
	}
	return len(entries)
}

// Metric returns a number from /metrics, named with its labels.
func (p *Process) Metric(name string) (float64, error) {
	conn, err := load.Dial(p.Addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing is on it any more
	status, body, err := conn.Do(load.Request("GET", "/metrics", "", ""))
	if err != nil || status != 200 {
		return 0, fmt.Errorf("/metrics: %d %w", status, err)
	}
	_, after, found := strings.Cut("\n"+string(body), "\n"+name+" ")
	if !found {
		return 0, fmt.Errorf("/metrics has no %s", name)
	}
	value, _, _ := strings.Cut(after, "\n")
	return strconv.ParseFloat(value, 64)
}
