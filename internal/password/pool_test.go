package password

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate makes the workers of a pool stand still until it is opened: then the jobs of one
// worker are done.
type gate struct {
	began chan int
	open  chan struct{}
}

// gated is a pool behind a gate. Each worker has that many lanes.
func gated(workers, lanes, queue int) (*pool, *gate) {
	p, g := newPool(workers, queue, 12), &gate{began: make(chan int, 2000), open: make(chan struct{})}
	p.lanes, p.step = lanes, g.step
	return p, g
}

func (g *gate) step(w *worker) []*job {
	for ; w.begun < len(w.jobs); w.begun++ {
		n, _ := strconv.Atoi(w.jobs[w.begun].work.Password)
		g.began <- n
	}
	<-g.open
	return w.all()
}

// all takes the jobs of the worker.
func (w *worker) all() []*job {
	jobs := w.jobs
	w.jobs, w.begun = nil, 0
	return jobs
}

// try is the n-th caller of the pool, from the network.
func try(ctx context.Context, p *pool, network string, n int) error {
	_, err := p.do(ctx, network, bcrypt.Work{Password: strconv.Itoa(n)})
	return err
}

// start is try in the background.
func start(ctx context.Context, p *pool, network string, n int) chan error {
	answer := make(chan error, 1)
	go func() { answer <- try(ctx, p, network, n) }()
	return answer
}

func TestNoMoreThanTheWorkersRunAndTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(2, 1, 3)
		defer p.close()
		var answers []chan error
		for n := range 5 {
			answers = append(answers, start(context.Background(), p, "", n))
		}
		synctest.Wait()
		if got := p.stats(); got.Running != 2 || got.Waiting != 3 || len(g.began) != 2 {
			t.Fatalf("%+v", got)
		}
		err := try(context.Background(), p, "", 1000)
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
		p, g := gated(1, 1, 4)
		defer p.close()
		p.step = func(w *worker) []*job {
			time.Sleep(3 * time.Second)
			return w.all()
		}
		_ = try(context.Background(), p, "", 0)
		p.step = g.step
		for n := range 5 {
			start(context.Background(), p, "", n)
		}
		synctest.Wait()
		var f *fault.Error
		if err := try(context.Background(), p, "", 1000); !errors.As(err, &f) || f.RetryAfter != 13*time.Second {
			t.Errorf("%#v", err)
		}
		close(g.open)
		synctest.Wait()
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(1, 1, 10)
		defer p.close()
		for n := range 10 {
			start(context.Background(), p, "", n)
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
		p, g := gated(1, 1, 2)
		defer p.close()
		first := start(context.Background(), p, "", 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		second, third := start(ctx, p, "", 1), start(context.Background(), p, "", 2)
		synctest.Wait()
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		if got := p.stats(); got.Waiting != 1 {
			t.Errorf("%+v", got)
		}
		fourth := start(context.Background(), p, "", 3)
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
		p, g := gated(1, 1, 3)
		defer p.close()
		served := start(context.Background(), p, "", 0)
		synctest.Wait()
		begin := time.Now()
		err := try(context.Background(), p, "", 1000)
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
		p, g := gated(1, 1, 2)
		defer p.close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := <-start(ctx, p, "", 0); !errors.Is(err, context.DeadlineExceeded) {
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
	p, g := gated(1, 1, 1)
	defer p.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := try(ctx, p, "", 0); !errors.Is(err, context.Canceled) || len(g.began) > 0 {
		t.Error(err)
	}
}

func TestCloseRefusesWhoWaitsAndLetsRunningWorkFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(1, 1, 2)
		running := start(context.Background(), p, "", 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		waiting := start(ctx, p, "", 1)
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
		if err := try(context.Background(), p, "", 1000); fault.KindOf(err) != fault.Unavailable {
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

// TestNoJobWaitsWhileAWorkerSleeps lets bursts of jobs come while all workers sleep. The clock
// stands still as long as any goroutine can go on: half a step later each worker that was
// woken computes.
func TestNoJobWaitsWhileAWorkerSleeps(t *testing.T) {
	for workers := 1; workers <= 4; workers++ {
		synctest.Test(t, func(t *testing.T) {
			const jobs, moments, step = 300, 20, time.Millisecond
			p := newPool(workers, jobs, 12)
			defer p.close()
			var computing atomic.Int32
			p.step = func(w *worker) []*job {
				computing.Add(1)
				time.Sleep(step)
				computing.Add(-1)
				return w.step()
			}
			var all sync.WaitGroup
			for n := range jobs {
				all.Go(func() {
					time.Sleep(time.Duration(n*n%moments) * 400 * step) // bursts of several sizes
					if _, err := p.do(context.Background(), "", bcrypt.Work{Cost: 4, Effort: 4 + n%3}); err != nil {
						t.Errorf("%d workers, job %d: %v", workers, n, err)
					}
				})
			}
			time.Sleep(step / 2)
			for p.stats().Done < jobs && !t.Failed() {
				if got := p.stats(); got.Waiting > 0 && int(computing.Load()) != workers {
					t.Errorf("%d of %d workers compute, and %d jobs wait", computing.Load(), workers, got.Waiting)
				}
				time.Sleep(step)
			}
			all.Wait()
		})
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
			_, err := p.do(ctx, "", bcrypt.Work{Password: strconv.Itoa(n), Cost: 4, Effort: 4})
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
