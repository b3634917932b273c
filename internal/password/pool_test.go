package password

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is work that stands still until it is opened.
type gate struct {
	began chan int
	open  chan struct{}
}

func newGate() *gate { return &gate{began: make(chan int, 100), open: make(chan struct{})} }

func (g *gate) work(n int) func() {
	return func() {
		g.began <- n
		<-g.open
	}
}

// start runs the n-th caller of p in the background.
func (g *gate) start(ctx context.Context, p *pool, n int) chan error {
	answer := make(chan error, 1)
	go func() { answer <- p.do(ctx, "", g.work(n), nil) }()
	return answer
}

func TestNoMoreThanTheWorkersRunAndTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(2, 3, 12), newGate()
		defer p.close()
		var answers []chan error
		for n := range 5 {
			answers = append(answers, g.start(context.Background(), p, n))
		}
		synctest.Wait()
		if got := p.stats(); got.Running != 2 || got.Waiting != 3 || len(g.began) != 2 {
			t.Fatalf("%+v", got)
		}
		err := p.do(context.Background(), "", func() { t.Error("ran although refused") }, nil)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Throttled || f.Code != "rate_limited" || f.RetryAfter < time.Second {
			t.Errorf("the sixth caller got %#v", err)
		}
		if got := p.stats(); got.Refused != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(2 * time.Second)
		close(g.open)
		for _, answer := range answers {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		if got := p.stats(); got.Done != 5 || got.Running != 0 || got.Waiting != 0 || got.Seconds < 4 {
			t.Errorf("%+v", got)
		}
	})
}

func TestRetryAfterFollowsTheTimeAHashTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 4, 12), newGate()
		defer p.close()
		_ = p.do(context.Background(), "", func() { time.Sleep(3 * time.Second) }, nil)
		for n := range 5 {
			g.start(context.Background(), p, n)
		}
		synctest.Wait()
		var f *fault.Error
		if err := p.do(context.Background(), "", func() {}, nil); !errors.As(err, &f) || f.RetryAfter != 13*time.Second {
			t.Errorf("%#v", err)
		}
		close(g.open)
		synctest.Wait()
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 10, 12), newGate()
		defer p.close()
		for n := range 10 {
			g.start(context.Background(), p, n)
			synctest.Wait()
		}
		close(g.open)
		synctest.Wait()
		for n := range 10 {
			if got := <-g.began; got != n {
				t.Fatalf("caller %d was served as number %d", got, n)
			}
		}
	})
}

func TestCancelledCallerLeavesTheQueueAndItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 2, 12), newGate()
		defer p.close()
		first := g.start(context.Background(), p, 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		second, third := g.start(ctx, p, 1), g.start(context.Background(), p, 2)
		synctest.Wait()
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		if got := p.stats(); got.Waiting != 1 {
			t.Errorf("%+v", got)
		}
		fourth := g.start(context.Background(), p, 3)
		synctest.Wait()
		close(g.open)
		for _, answer := range []chan error{first, third, fourth} {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		close(g.began)
		for n := range g.began {
			if n == 1 {
				t.Error("the work of the cancelled caller was done")
			}
		}
	})
}

// On a machine that is busy with other work, a queue of three seconds can take half
// a minute, and by then the connection is closed.
func TestJobThatWaitsTooLongIsRefusedAndARunningOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 3, 12), newGate()
		defer p.close()
		served := g.start(context.Background(), p, 0)
		synctest.Wait()
		begin := time.Now()
		err := p.do(context.Background(), "", func() { t.Error("ran although refused") }, nil)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Throttled || time.Since(begin) != defaultPatience {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if got := p.stats(); got.Refused != 1 || got.Waiting != 0 || got.Running != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Minute)
		close(g.open)
		if err := <-served; err != nil {
			t.Errorf("the one that a worker had begun: %v", err)
		}
	})
}

func TestCancelledCallerDoesNotWaitForWorkThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 2, 12), newGate()
		defer p.close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := <-g.start(ctx, p, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if got := p.stats(); got.Running != 1 {
			t.Errorf("the worker is counted as free: %+v", got)
		}
		close(g.open)
		synctest.Wait()
		if got := p.stats(); got.Running != 0 || got.Done != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestEndedContextCostsNothing(t *testing.T) {
	p := newPool(1, 1, 12)
	defer p.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.do(ctx, "", func() { t.Error("ran") }, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseRefusesWhoWaitsAndLetsRunningWorkFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 2, 12), newGate()
		running := g.start(context.Background(), p, 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		waiting := g.start(ctx, p, 1)
		synctest.Wait()
		closed := make(chan struct{})
		go func() { p.close(); close(closed) }()
		if err := <-waiting; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("who waited got %v", err)
		}
		cancel()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("close did not wait")
		default:
		}
		close(g.open)
		if err := <-running; err != nil {
			t.Errorf("who was being served got %v", err)
		}
		<-closed
		if err := p.do(context.Background(), "", func() {}, nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("after close: %v", err)
		}
		if got := p.stats(); got.Waiting != 0 || got.Running != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestQueueHoldsAboutThreeSecondsOfWork(t *testing.T) {
	for cost, want := range map[int]int{4: 64, 10: 64, 11: 32, 12: 16, 13: 8, 14: 4, 15: 2} {
		if got := defaultQueue(cost); got != want {
			t.Errorf("cost %d: %d, want %d", cost, got, want)
		}
	}
}

// TestManyCallersComeAndGo is for the race detector: some give up, each gets
// exactly one answer, and the numbers add up.
func TestManyCallersComeAndGo(t *testing.T) {
	p := newPool(2, 8, 12)
	defer p.close()
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for n := range 400 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%7)*100*time.Microsecond)
			if n%2 == 0 {
				ctx = context.Background()
			}
			defer cancel()
			err := p.do(ctx, "", func() { time.Sleep(50 * time.Microsecond) }, nil)
			outcome := "served"
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				outcome = "gave up"
			case fault.KindOf(err) == fault.Throttled:
				outcome = "refused"
			case err != nil:
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	all.Wait()
	if sum := outcomes["served"] + outcomes["gave up"] + outcomes["refused"]; sum != 400 {
		t.Errorf("%v", outcomes)
	}
	if got := p.stats(); int(got.Refused) != outcomes["refused"] || int(got.Done) < outcomes["served"] {
		t.Errorf("%+v, %v", got, outcomes)
	}
}
