package password

import (
	"context"
	"syscall"
	"testing"
)

func TestHashingThreadsStepBackBehindTheOthers(t *testing.T) {
	priority := func() int { // of the calling thread: 20 less its niceness
		p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return p
	}
	own := priority()
	p := newPool(2, 4, 12)
	var got int
	p.step = func(w *worker) []*job {
		got = priority()
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
		go func() { done <- priority() }()
		if got := <-done; got != own {
			t.Fatalf("priority %d of another thread, want %d", got, own)
		}
	}
}
