package engine

import (
	"strings"
	"syscall"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7): for how many milliseconds sent data, or a
// keepalive, may stay without an acknowledgement. The package syscall has no name for it.
const tcpUserTimeout = 0x12

// endWithSilentPeer is net.Dialer.Control.
func endWithSilentPeer(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	return c.Control(func(fd uintptr) {
		// An error: the kernel waits as long as it does by default.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silentPeer.Milliseconds()))
	})
}
