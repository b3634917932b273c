//go:build unix

package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Cluster is a PostgreSQL server of the newest installed version, on a Unix socket
// in its own folder. As root it runs as the user postgres, since the server refuses
// to run as root.
type Cluster struct {
	bin, dir   string
	credential *syscall.SysProcAttr
}

// Start creates a Cluster in a folder below parent and starts it with settings such
// as "fsync=off". It returns the URL of its first database and a function that
// stops the server and removes the folder. An empty parent is the folder for
// temporary files.
func Start(parent string, settings ...string) (databaseURL string, stop func(), err error) {
	c, err := New(parent)
	if err != nil {
		return "", nil, err
	}
	halt, err := c.Start(settings...)
	if err != nil {
		return "", nil, errors.Join(err, c.Remove())
	}
	return c.URL(), func() { halt(Removed) }, nil
}

// New creates a Cluster and does not start it. Its error is ErrMissing if PostgreSQL
// is not installed.
func New(parent string) (*Cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "pico-pg-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir}
	if c.credential, err = ownerOf(dir); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	var out bytes.Buffer
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync") //nolint:gosec,noctx // an installed program, which ends by itself
	initdb.Dir, initdb.SysProcAttr, initdb.Stdout, initdb.Stderr = dir, c.credential, &out, &out
	if err := initdb.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out.Bytes()), c.Remove())
	}
	return c, nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Socket is the path of the Unix socket.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// Remove removes the folder of a stopped server.
func (c *Cluster) Remove() error { return os.RemoveAll(c.dir) }

// URL is the URL of the server's first database.
func (c *Cluster) URL() string {
	query := url.Values{"host": {c.dir}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode()
}

// Fate says whether the folder is removed after its server was stopped.
type Fate string

// The fates. The folder is removed if the process ends without a call of stop.
const (
	Kept    Fate = "kept\n"
	Removed Fate = ""
)

// supervisor is the shell script that starts the server. It waits for a line or the
// end of its standard input, which the operating system closes when this process
// ends: a crashed or killed test leaves no server and no folder behind. Its
// arguments are pg_ctl, the data folder, the parent folder and the options of the
// server.
const supervisor = `trap '' INT TERM HUP
"$0" start -D "$1" -w -t 60 -l "$2/log" -o "$3" >&2 || { cat "$2/log" >&2; exit 1; }
echo ready
read -r fate
"$0" stop -D "$1" -m immediate -w >/dev/null 2>&1
[ "$fate" = kept ] || { cd / && rm -rf "$2"; }`

// Start starts the server with settings such as "fsync=off". The stop is immediate,
// like a crash.
func (c *Cluster) Start(settings ...string) (stop func(Fate), err error) {
	settings = append([]string{"listen_addresses=''", "unix_socket_directories='" + c.dir + "'"}, settings...)
	options := "-c " + strings.Join(settings, " -c ")
	var complaints bytes.Buffer
	shell := exec.Command("/bin/sh", "-c", supervisor, filepath.Join(c.bin, "pg_ctl"), c.data(), c.dir, options) //nolint:gosec,noctx // its own text and an installed program; it ends with its standard input
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
	return func(fate Fate) {
		_, _ = io.WriteString(stdin, string(fate))
		_ = stdin.Close() // the shell stops the server
		_ = shell.Wait()
	}, nil
}

// findBinaries returns the folder of the newest version that Debian installed,
// or of what is on the PATH.
func findBinaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 sorts names without a version first
			return n
		}
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrMissing
}

// ownerOf makes the user postgres the owner of the folder if this process is root,
// and returns the attributes that start a process as that user.
func ownerOf(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w; as root it needs the user postgres", ErrMissing)
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
