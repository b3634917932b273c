//go:build unix

package postgrestest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// poolerScript starts PgBouncer and ends it with the standard input, like supervisor.
// Its arguments are the program and its configuration.
const poolerScript = `trap '' INT TERM HUP
"$0" -q "$1" & read -r end; kill -9 $!; wait`

// StartPooler starts PgBouncer before the server of the URL, with Debian's
// configuration and the lines of settings, such as "pool_mode = transaction". It
// returns the URL of the same database through it. Its error is ErrNoPooler if it is
// not installed.
func StartPooler(server string, settings ...string) (pooled string, stop func(), err error) {
	program, err := findPooler()
	if err != nil {
		return "", nil, err
	}
	behind, err := parseServer(server)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "pico-pgb-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return "", nil, err
	}
	credential, err := ownerOf(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := configurePooler(dir, behind, settings); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	var complaints bytes.Buffer
	shell := exec.Command("/bin/sh", "-c", poolerScript, program, filepath.Join(dir, "ini")) //nolint:gosec,noctx // its own text and an installed program; it ends with its standard input
	shell.Dir, shell.SysProcAttr, shell.Stderr = dir, credential, &complaints
	stdin, err := shell.StdinPipe()
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := shell.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() {
		_, _ = io.WriteString(stdin, "end\n")
		_ = stdin.Close()
		_ = shell.Wait()
		_ = os.RemoveAll(dir)
	}
	if err := awaitSocket(filepath.Join(dir, ".s.PGSQL.6432")); err != nil {
		stop()
		return "", nil, fmt.Errorf("start PgBouncer: %w\n%s", err, complaints.Bytes())
	}
	query := url.Values{"host": {dir}, "port": {"6432"}, "user": {behind.user}, "sslmode": {"disable"}}
	return "postgres:///" + behind.database + "?" + query.Encode(), stop, nil
}

// address is where a server is and how to log in.
type address struct{ host, port, user, password, database string }

// parseServer reads the URL of a server, on a socket or not.
func parseServer(server string) (address, error) {
	u, err := url.Parse(server)
	if err != nil {
		return address{}, errors.New("the URL of the test database is malformed")
	}
	query := u.Query()
	a := address{
		host: cmp.Or(u.Hostname(), query.Get("host")), port: cmp.Or(u.Port(), query.Get("port"), "5432"),
		user: cmp.Or(u.User.Username(), query.Get("user")), database: strings.TrimPrefix(u.Path, "/"),
	}
	a.password, _ = u.User.Password()
	return a, nil
}

// configurePooler writes the configuration of Debian's package, with other addresses
// and without passwords of clients.
func configurePooler(dir string, server address, settings []string) error {
	quote := func(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
	backend := "* = host=" + quote(server.host) + " port=" + server.port
	if server.password != "" {
		backend += " user=" + quote(server.user) + " password=" + quote(server.password)
	}
	users := filepath.Join(dir, "users")
	lines := append([]string{
		"[databases]", backend, "[pgbouncer]", "unix_socket_dir = " + dir, "listen_port = 6432", "auth_type = trust", "auth_file = " + users,
	}, settings...)
	return errors.Join(
		os.WriteFile(users, fmt.Appendf(nil, "%q \"\"\n", server.user), 0o644),                 //nolint:gosec // read by another user
		os.WriteFile(filepath.Join(dir, "ini"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)) //nolint:gosec // read by another user
}

// awaitSocket waits until a server listens on the socket.
func awaitSocket(path string) error {
	var err error
	for range 3000 {
		var conn net.Conn
		if conn, err = net.Dial("unix", path); err == nil { //nolint:noctx // on this machine, at once
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// findPooler returns the program. It is where users without rights may not look.
func findPooler() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoPooler
}
