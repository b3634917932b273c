//go:build linux

package site

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrNoPostgres says that there is neither a server nor an installation.
var ErrNoPostgres = errors.New("no PostgreSQL: set TEST_DATABASE_URL, or install the package postgresql")

// babysitter is the shell whose child the server is. It waits for the end of
// its standard input, which comes however this process ends.
const babysitter = `trap '' INT TERM HUP
"$0" start -D "$1/data" -w -t 60 -l "$1/log" -o "$2" >&2 || { cat "$1/log" >&2; exit 1; }
echo ready
read -r _
"$0" stop -D "$1/data" -m immediate -w >/dev/null 2>&1
cd / && rm -rf "$1"`

// Postgres returns the URL of an empty database and a function that removes it:
// on the server of TEST_DATABASE_URL, else on one of the machine's newest
// binaries, with PostgreSQL's own durability, in a folder below parent.
func Postgres(ctx context.Context, parent string) (databaseURL string, stop func(), err error) {
	server, end := os.Getenv("TEST_DATABASE_URL"), func() {}
	if server == "" {
		if server, end, err = startPostgres(ctx, parent); err != nil {
			return "", nil, err
		}
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, errors.New("TEST_DATABASE_URL is not a URL")
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, err
	}
	name := fmt.Sprintf("pico_bench_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		end()
		return "", nil, fmt.Errorf("create a database: %w", err)
	}
	u.Path = "/" + name
	return u.String(), func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)") // a server of ours goes whole
		_ = db.Close()
		end()
	}, nil
}

func startPostgres(ctx context.Context, parent string) (databaseURL string, stop func(), err error) {
	bin, err := postgresBinaries()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(parent, "pg-") // keep it short: a socket's path has at most 107 bytes
	if err != nil {
		return "", nil, err
	}
	owner, err := postgresOwner(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	var said bytes.Buffer
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale") //nolint:gosec // an installed program
	initdb.Dir, initdb.SysProcAttr, initdb.Stdout, initdb.Stderr = dir, owner, &said, &said
	if err := initdb.Run(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, said.Bytes()), os.RemoveAll(dir))
	}
	options := "-c listen_addresses='' -c unix_socket_directories='" + dir + "' -c shared_buffers=128MB"
	shell := exec.Command("/bin/sh", "-c", babysitter, filepath.Join(bin, "pg_ctl"), dir, options) //nolint:gosec,noctx // it ends with its standard input
	shell.Dir, shell.SysProcAttr, shell.Stderr = dir, owner, &said
	stdin, err := shell.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := shell.Start(); err != nil {
		return "", nil, err
	}
	if n, _ := io.ReadFull(stdout, make([]byte, 6)); n == 0 {
		return "", nil, errors.Join(fmt.Errorf("start PostgreSQL: %s", said.Bytes()), stdin.Close(), shell.Wait())
	}
	query := url.Values{"host": {dir}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///postgres?" + query.Encode(), func() {
		_ = stdin.Close() // the shell stops the server and removes the folder
		_ = shell.Wait()
	}, nil
}

// postgresBinaries returns the folder of the newest version that Debian
// installed, or of what is on the PATH.
func postgresBinaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is sound
	newest, best := "", -1
	for _, path := range found {
		if n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); n > best {
			newest, best = filepath.Dir(path), n
		}
	}
	if newest != "" {
		return newest, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrNoPostgres
}

// postgresOwner gives the folder to the user postgres where this process is
// root, since the server refuses root.
func postgresOwner(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w; as root it needs the user postgres", ErrNoPostgres)
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
