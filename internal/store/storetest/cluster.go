//go:build unix

package storetest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// startCluster starts a PostgreSQL server of the machine's newest binaries on a
// socket in a temporary folder, without durability, and returns its URL. As
// root it runs as the user postgres, since the server refuses root.
//
// The server is the child of a shell that waits for the end of its standard
// input, which the operating system closes however this process ends: a
// crashed or killed test leaves no server and no folder behind.
func startCluster() (databaseURL string, stop func(), err error) {
	bin, err := findBinaries()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "pico-pg-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return "", nil, err
	}
	credential, err := ownerOf(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	data := filepath.Join(dir, "data")
	var out bytes.Buffer
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir, initdb.SysProcAttr, initdb.Stdout, initdb.Stderr = dir, credential, &out, &out
	if err := initdb.Run(); err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, fmt.Errorf("initdb: %w\n%s", err, out.Bytes())
	}
	halt, err := runServer(bin, dir, data, credential)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	query := url.Values{"host": {dir}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode(), func() {
		halt()
		_ = os.RemoveAll(dir)
	}, nil
}

// babysitter gets pg_ctl, the data folder, the folder around it and the
// server's options.
const babysitter = `trap '' INT TERM HUP
"$0" start -D "$1" -w -t 60 -l "$2/log" -o "$3" >&2 || { cat "$2/log" >&2; exit 1; }
echo ready
cat >/dev/null
"$0" stop -D "$1" -m immediate -w >/dev/null 2>&1
cd / && rm -rf "$2"`

func runServer(bin, dir, data string, credential *syscall.SysProcAttr) (stop func(), err error) {
	options := "-c listen_addresses='' -c unix_socket_directories='" + dir + "' -c fsync=off -c synchronous_commit=off" +
		" -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB"
	var complaints bytes.Buffer
	shell := exec.Command("/bin/sh", "-c", babysitter, filepath.Join(bin, "pg_ctl"), data, dir, options)
	shell.Dir, shell.SysProcAttr, shell.Stderr = dir, credential, &complaints
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
	return func() {
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
