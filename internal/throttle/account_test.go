package throttle_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAfterFiveFailuresFromOneNetworkTheWaitDoublesToAMinute(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada) // known: no other counter
		for i := range 5 {
			if refused := w.fails(from(1), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d: %+v", i, refused)
			}
		}
		for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			w.waits(from(1), ada, seconds*time.Second)
		}
	})
}

func TestAttemptsAtOnceCannotAllPassBeforeTheFirstFails(t *testing.T) {
	each(t, func(w *world) {
		var admitted, refused atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				a, no := w.admit(from(1), ada, ada.Email)
				if no != nil {
					refused.Add(1)
					return
				}
				admitted.Add(1)
				time.Sleep(5 * time.Millisecond) // the hash
				if err := a.Failed(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
		if admitted.Load() != 5 || refused.Load() != 59 {
			w.t.Errorf("%d attempts were admitted, %d refused", admitted.Load(), refused.Load())
		}
	})
}

func TestRightPasswordsAtOnceAllPass(t *testing.T) {
	each(t, func(w *world) {
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				a, no := w.admit(from(1), ada, ada.Email)
				if no != nil {
					w.t.Errorf("refused: %+v", no)
					return
				}
				time.Sleep(time.Millisecond)
				if err := a.Succeeded(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
	})
}
