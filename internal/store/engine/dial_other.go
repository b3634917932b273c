//go:build !linux

package engine

import "syscall"

// endWithSilentPeer is net.Dialer.Control: only Linux has a limit to set.
func endWithSilentPeer(_, _ string, _ syscall.RawConn) error { return nil }
