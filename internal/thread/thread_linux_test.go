package thread

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestWorkRunsBehindTheOthersAndLeavesNoThread(t *testing.T) {
	own := priority(t)
	for range 10 {
		var got int
		Behind(func() { got = priority(t) })
		if want := max(own-niceness, 1); got != want {
			t.Fatalf("priority %d, want %d", got, want)
		}
	}
	if got := priority(t); got != own {
		t.Errorf("priority %d of the caller's thread, want %d", got, own)
	}
	for range 100 {
		done := make(chan int)
		go func() { done <- priority(t) }()
		if got := <-done; got != own {
			t.Fatalf("priority %d of another thread, want %d", got, own)
		}
	}
}

func TestPanicOfTheWorkReachesItsCaller(t *testing.T) {
	defer func() {
		if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "broken\n") || !strings.Contains(p, "breakHere") {
			t.Errorf("recovered %v", p)
		}
	}()
	Behind(breakHere)
	t.Error("it returned")
}

func breakHere() { panic("broken") }

// priority of the calling thread: 20 less its niceness.
func priority(t *testing.T) int {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := syscall.Getpriority(syscall.PRIO_PROCESS, syscall.Gettid())
	if err != nil {
		t.Error(err)
	}
	return p
}
