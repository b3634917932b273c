//go:build unix

package storetest

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// cluster is a PostgreSQL server of the machine's newest binaries on a socket
// in a temporary folder, without durability. As root it runs as the user
// postgres, since the server refuses root.
type cluster struct {
	bin, dir   string
	credential *syscall.SysProcAttr
}

// startCluster makes a cluster, starts it and returns its URL.
func startCluster() (databaseURL string, stop func(), err error) {
	c, err := newCluster()
	if err != nil {
		return "", nil, err
	}
	halt, err := c.start("off")
	if err != nil {
		c.remove()
		return "", nil, err
	}
	return c.url(), func() { halt(removed) }, nil
}

func newCluster() (*cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pico-pg-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, dir: dir}
	if c.credential, err = ownerOf(dir); err != nil {
		c.remove()
		return nil, err
	}
	var out bytes.Buffer
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir, initdb.SysProcAttr, initdb.Stdout, initdb.Stderr = dir, c.credential, &out, &out
	if err := initdb.Run(); err != nil {
		c.remove()
		return nil, fmt.Errorf("initdb: %w\n%s", err, out.Bytes())
	}
	return c, nil
}

func (c *cluster) data() string   { return filepath.Join(c.dir, "data") }
func (c *cluster) socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }
func (c *cluster) remove()        { _ = os.RemoveAll(c.dir) }

func (c *cluster) url() string {
	query := url.Values{"host": {c.dir}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode()
}

// The fates of the folder when its server was stopped.
const (
	kept    = "kept\n"
	removed = ""
)

// babysitter is the shell whose child the server is. It waits for a line or the
// end of its standard input, which the operating system closes however this
// process ends: a crashed or killed test leaves no server and no folder behind.
// It gets pg_ctl, the data folder, the folder around it and the server's
// options.
const babysitter = `trap '' INT TERM HUP
"$0" start -D "$1" -w -t 60 -l "$2/log" -o "$3" >&2 || { cat "$2/log" >&2; exit 1; }
echo ready
read -r fate
"$0" stop -D "$1" -m immediate -w >/dev/null 2>&1
[ "$fate" = kept ] || { cd / && rm -rf "$2"; }`

// start starts the server. With commits "on" what was committed survives its
// immediate stop.
func (c *cluster) start(commits string) (stop func(fate string), err error) {
	options := "-c listen_addresses='' -c unix_socket_directories='" + c.dir + "' -c fsync=off -c synchronous_commit=" + commits +
		" -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB"
	var complaints bytes.Buffer
	shell := exec.Command("/bin/sh", "-c", babysitter, filepath.Join(c.bin, "pg_ctl"), c.data(), c.dir, options)
	shell.Dir, shell.SysProcAttr, shell.Stderr = c.dir, c.credential, &complaints
	stdin, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if n, _ := stdout.Read(make([]byte, 16)); n == 0 {
		_ = stdin.Close()
		_ = shell.Wait()
		return nil, fmt.Errorf("start PostgreSQL: %s", complaints.Bytes())
	}
	return func(fate string) {
		_, _ = io.WriteString(stdin, fate)
		_ = stdin.Close() // the shell stops the server
		_ = shell.Wait()
	}, nil
}

// findBinaries returns the folder of the newest version that Debian installed,
// or of what is on the PATH.
func findBinaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is sound
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 sorts what is no version first
			return n
		}
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNoPostgres
}

// ownerOf gives the folder to the user postgres where this process is root, and
// returns how to start processes as that user.
func ownerOf(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w; as root it needs the user postgres", errNoPostgres)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
