//go:build unix

package store_test

import (
	"cmp"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// switchboard is a socket that leads to a server, and later to another one.
type switchboard struct {
	dir string

	mu     sync.Mutex
	target string
	open   []net.Conn
}

func newSwitchboard(t *testing.T, url string) *switchboard {
	t.Helper()
	dir, err := os.MkdirTemp("", "pico-sw-") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	b := &switchboard{dir: dir}
	b.lead(t, url)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.connect(client)
		}
	}()
	return b
}

// lead makes the socket lead to the server of the URL and ends all connections.
func (b *switchboard) lead(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if u.Hostname() != "" {
		t.Skip("the server of TEST_DATABASE_URL has no socket")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target = filepath.Join(u.Query().Get("host"), ".s.PGSQL."+cmp.Or(u.Query().Get("port"), "5432"))
	for _, conn := range b.open {
		_ = conn.Close()
	}
	b.open = nil
}

func (b *switchboard) connect(client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	server, err := net.Dial("unix", b.target)
	if err == nil {
		b.open = append(b.open, client, server)
	}
	b.mu.Unlock()
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
	_, _ = io.Copy(client, server)
}
