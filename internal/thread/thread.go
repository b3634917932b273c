// Package thread lets work that needs a core for long step back behind requests, on OS
// threads of a lower priority: the kernel shares a core in finer slices than Go's 10 ms.
//
// It owns how a thread steps back and yields; it does not know what runs on it. Its
// callers are password, which hashes on such threads, and server, which examines the
// database on one.
package thread

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Behind runs f on a thread of its own that has stepped back, and returns when f does.
// A panic of f is one of the caller, with its stack.
func Behind(f func()) {
	ended := make(chan any, 1)
	go func() {
		// Never unlocked, so the thread ends with f: nothing else must run at its priority.
		runtime.LockOSThread()
		defer func() {
			p := recover()
			if p != nil {
				p = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			ended <- p
		}()
		stepBack()
		f()
	}()
	if p := <-ended; p != nil {
		panic(p)
	}
}
