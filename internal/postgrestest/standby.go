//go:build unix

package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Standby returns a standby of the running server. When it is started it follows that
// server until Promote.
func (c *Cluster) Standby() (*Cluster, error) {
	dir, err := os.MkdirTemp(filepath.Dir(c.dir), "pico-pg-")
	if err != nil {
		return nil, err
	}
	s := &Cluster{bin: c.bin, dir: dir}
	if s.credential, err = ownerOf(dir); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	if err := s.run("pg_basebackup", "-D", s.data(), "-h", c.dir, "-U", "postgres", "-R", "-c", "fast", "--no-sync"); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// Promote makes a running standby a server that takes writes.
func (c *Cluster) Promote() error {
	return c.run("pg_ctl", "promote", "-D", c.data(), "-w", "-t", "60")
}

// Kill ends every process of the server with SIGKILL, as the end of its machine would.
func (c *Cluster) Kill() error {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	main, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	for _, pid := range append([]int{main}, children(main)...) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// children are the processes that the process has started.
func children(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // proc(5): state, parent, ...
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// URLOf is the URL of the first database of whichever of the servers takes writes.
func URLOf(servers ...*Cluster) string {
	var dirs []string
	for _, c := range servers {
		dirs = append(dirs, c.dir)
	}
	query := url.Values{"host": {strings.Join(dirs, ",")}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode()
}

// run runs a program of PostgreSQL as the owner of the folder.
func (c *Cluster) run(name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(c.bin, name), args...) //nolint:gosec,noctx // an installed program, which ends by itself
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = c.dir, c.credential, &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out.Bytes())
	}
	return nil
}
