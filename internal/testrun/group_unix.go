//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// inGroup forwards an interruption to the command and all processes that it starts,
// and returns a function that kills those that are left when the command has ended.
func inGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	return func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually none is left
		}
	}
}
