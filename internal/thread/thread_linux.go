package thread

import "syscall"

// niceness is how far a thread that has stepped back is below the others of the process:
// at 5 it still gets a quarter of a core that another program uses without pause.
const niceness = 5

// stepBack lowers the priority of the calling OS thread for good. It needs no privilege; where it fails nevertheless, requests take
// some milliseconds longer beside the work.
func stepBack() {
	thread := syscall.Gettid()
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, thread)
	if err != nil {
		return
	}
	nice := 20 - raw // what the system call returns is never negative
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, min(nice+niceness, 19))
}

// Yield lets a thread that waits for this core have it. Otherwise a thread that
// wakes up can wait for the next tick of the kernel's clock, up to 4 ms.
func Yield() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
