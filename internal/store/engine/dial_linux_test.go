package engine

import (
	"net"
	"syscall"
	"testing"
)

func TestConnectionsEndWithASilentPeer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	target, err := Parse("postgresql://u@h/db")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := target.Server.DialFunc(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var timeout, idle int
	if err := raw.Control(func(fd uintptr) {
		timeout, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		idle, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
	}); err != nil {
		t.Fatal(err)
	}
	if timeout != int(silentPeer.Milliseconds()) || idle != 2 {
		t.Errorf("a silent peer is noticed after %d ms, and asked after %d s", timeout, idle)
	}
}
