package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/gofrs/flock"

	"github.com/pico-auth/pico-auth/internal/config"
)

// inherit returns the socket that systemd has opened for this process, nil without one,
// and sets its address in c, by which a start decides who reaches the server.
func inherit(c *config.Server) (net.Listener, error) {
	listeners, err := activation.Listeners()
	switch {
	case err != nil || len(listeners) == 0:
		return nil, err
	case len(listeners) > 1:
		return nil, fmt.Errorf("systemd has opened %d sockets, and the server takes one: keep one ListenStream= (a port alone is IPv6 and IPv4)", len(listeners))
	case listeners[0] == nil:
		return nil, errors.New("systemd has opened a socket that accepts no connections: use ListenStream= and Accept=no")
	}
	switch at := listeners[0].Addr().(type) {
	case *net.TCPAddr:
		c.Host, c.Port, c.Listen = at.AddrPort().Addr().String(), at.Port, ""
	case *net.UnixAddr:
		c.Listen = config.SocketPrefix + at.Name
	}
	return listeners[0], nil
}

// notify tells systemd, if it started the server with Type=notify.
func (s *Server) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.cfg.Log.Warn("telling systemd failed", "state", state, "error", err)
	}
}

// socket is a listener of the unix domain that removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	once sync.Once
}

// For how long another server may be opening or closing a socket in the same folder. Any
// account that can read the folder can lock it, and must not keep the server from starting
// or stopping.
const (
	socketLock    = 5 * time.Second
	lockWhenEnded = time.Second
)

// listenSocket listens on a socket of the unix domain. The file appears with its mode,
// ready for connections, and replaces one that a server which ended has left behind.
func listenSocket(ctx context.Context, path string, mode fs.FileMode) (*socket, error) {
	folder := filepath.Dir(path)
	lock, err := lockFolder(ctx, folder, socketLock)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(folder, ".pico-auth-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(private) }()
	made := filepath.Join(private, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: made})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	s := &socket{UnixListener: ln, path: path}
	err = os.Chmod(made, mode)
	if err == nil {
		err = os.Rename(made, path)
	}
	if err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return s, nil
}

// lockFolder keeps another server from replacing a socket at the same time. The lock is
// to be closed after an error, too.
func lockFolder(ctx context.Context, folder string, within time.Duration) (*flock.Flock, error) {
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	lock := flock.New(folder, flock.SetFlag(os.O_RDONLY))
	if _, err := lock.TryLockContext(waiting, 20*time.Millisecond); err != nil {
		return lock, fmt.Errorf("lock the folder %s: %w", folder, cmp.Or(ctx.Err(), err))
	}
	return lock, nil
}

// vacant returns why the path of a socket cannot be taken, nil if it can: nothing is
// there, or a socket on which no program listens.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket; remove it, or set another path", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err == nil {
		_ = conn.Close()
	}
	return fmt.Errorf("%s is in use; stop the program that listens on it, or set another path", path)
}

// Addr implements net.Listener.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: s.path} }

// Close implements net.Listener. A file that another server has put in the place of
// this one's stays.
func (s *socket) Close() error {
	s.once.Do(func() {
		lock, err := lockFolder(context.Background(), filepath.Dir(s.path), lockWhenEnded)
		defer func() { _ = lock.Close() }()
		if err != nil {
			return // the next start replaces the file
		}
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.file) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}
