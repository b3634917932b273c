package password

import (
	"context"
	"runtime"
	"syscall"
	"testing"
)

func TestHashingThreadsStepBackBehindTheOthers(t *testing.T) {
	own := priority(t)
	p := newPool(2, 4, 12)
	var got int
	p.step = func(w *worker) []*job {
		got = priority(t)
		return w.all()
	}
	for range 10 {
		if err := try(context.Background(), p, "", 0); err != nil || got >= own && own > 1 {
			t.Errorf("priority %d, want less than %d, %v", got, own, err)
		}
	}
	p.close()
	// A thread that stepped back is not used for anything else.
	for range 100 {
		done := make(chan int)
		go func() { done <- priority(t) }()
		if got := <-done; got != own {
			t.Fatalf("priority %d of another thread, want %d", got, own)
		}
	}
}

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
