package job

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// work is a job's function that records when it is called.
type work struct {
	begin  time.Time
	starts []time.Duration
	do     func(ctx context.Context, n int) (bool, error) // of the nth call, from 1; nil: nothing
}

func (w *work) run(ctx context.Context) (bool, error) {
	w.starts = append(w.starts, time.Since(w.begin))
	if w.do == nil {
		return false, nil
	}
	return w.do(ctx, len(w.starts))
}

// during runs the jobs in a synctest bubble for a time, and then until they have ended.
func during(lifetime time.Duration, cfg Config, jobs ...Job) *Runner {
	r := New(cfg, jobs...)
	ctx, stop := context.WithTimeout(context.Background(), lifetime)
	defer stop()
	r.Run(ctx)
	return r
}

func TestJobRunsAtStartAndThenOncePerPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, later := &work{begin: time.Now()}, &work{begin: time.Now()}
		r := during(100*time.Hour, Config{},
			Job{Name: "now", Every: time.Hour, Run: now.run},
			Job{Name: "later", Every: time.Hour, Later: true, Run: later.run})
		if now.starts[0] != 0 || later.starts[0] < 54*time.Minute || later.starts[0] > time.Hour {
			t.Errorf("first runs after %v and %v", now.starts[0], later.starts[0])
		}
		pauses := map[time.Duration]bool{}
		for i, at := range now.starts[1:] {
			pause := at - now.starts[i]
			if pauses[pause] = true; pause < 54*time.Minute || pause > time.Hour {
				t.Errorf("a pause of %v", pause)
			}
		}
		if n := len(now.starts); n < 100 || n > 112 || len(pauses) < 50 {
			t.Errorf("%d runs in 100 hours, %d different pauses", n, len(pauses))
		}
		last := now.begin.Add(now.starts[len(now.starts)-1])
		if got := r.Stats()[0]; got.Name != "now" || !got.LastSuccess.Equal(last) || got.Failures != 0 {
			t.Errorf("%+v, want the last success at %v", got, last)
		}
	})
}

func TestRunsOfAJobDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &work{begin: time.Now(), do: func(context.Context, int) (bool, error) {
			time.Sleep(90 * time.Second)
			return false, nil
		}}
		during(time.Hour, Config{}, Job{Name: "slow", Every: time.Minute, Run: w.run})
		for i, at := range w.starts[1:] {
			if pause := at - w.starts[i]; pause != 96*time.Second {
				t.Errorf("from one start to the next %v", pause)
			}
		}
	})
}

func TestErrorIsLoggedOncePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := &work{begin: time.Now(), do: func(_ context.Context, n int) (bool, error) {
			switch {
			case n <= 50:
				return true, errors.New("the disk is full")
			case n <= 100:
				return false, errors.New("the disk is missing")
			case n == 101:
				return false, nil
			case n == 102:
				return false, errors.New("the disk is missing")
			}
			return false, nil
		}}
		r := during(5*time.Minute, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, Job{Name: "tidy", Every: time.Second, Run: w.run})
		for text, want := range map[string]int{"the disk is full": 1, "the disk is missing": 2, "recovered": 2, "job=tidy": 5} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q %d times, want %d:\n%s", text, got, want, &log)
			}
		}
		if got := r.Stats()[0]; got.Failures != 101 || time.Since(got.LastSuccess) > time.Second {
			t.Errorf("%+v", got)
		}
	})
}

func TestPanicIsAFailureAndTheJobRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		wild := &work{begin: time.Now(), do: func(context.Context, int) (bool, error) { panic("out of cheese") }}
		calm := &work{begin: time.Now()}
		r := during(time.Minute, Config{Log: slog.New(slog.NewTextHandler(&log, nil))},
			Job{Name: "wild", Every: time.Second, Run: wild.run}, Job{Name: "calm", Every: time.Second, Run: calm.run})
		if len(wild.starts) < 60 || len(calm.starts) < 60 {
			t.Errorf("%d and %d runs", len(wild.starts), len(calm.starts))
		}
		if n := strings.Count(log.String(), "out of cheese"); n != 1 || !strings.Contains(log.String(), "job_test.go") {
			t.Errorf("logged %d times, or without a stack trace:\n%s", n, &log)
		}
		if got := r.Stats()[0]; got.Failures != uint64(len(wild.starts)) || !got.LastSuccess.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func TestStopWaitsForShortRunsAndCancelsLongOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = time.Minute
		var ended atomic.Bool
		quick := &work{begin: time.Now(), do: func(ctx context.Context, _ int) (bool, error) {
			time.Sleep(lifetime + drainTimeout - time.Millisecond)
			ended.Store(ctx.Err() == nil)
			return true, nil
		}}
		slow := &work{begin: time.Now(), do: func(ctx context.Context, _ int) (bool, error) {
			<-ctx.Done()
			return true, ctx.Err()
		}}
		r := during(lifetime, Config{}, Job{Name: "quick", Every: time.Hour, Run: quick.run}, Job{Name: "slow", Every: time.Hour, Run: slow.run})
		if !ended.Load() || len(quick.starts) != 1 || len(slow.starts) != 1 {
			t.Errorf("ended in time: %v; runs %v and %v", ended.Load(), quick.starts, slow.starts)
		}
		if took := time.Since(quick.begin); took != lifetime+drainTimeout {
			t.Errorf("Run returned after %v", took)
		}
		if got := r.Stats()[1]; got.Failures != 0 {
			t.Errorf("a run that was cancelled by the stop is counted as a failure: %+v", got)
		}
	})
}

// leases is a table of leases with the clock of the bubble; the store has one with
// the clock of the database, see lease_test.go.
type leases struct {
	holder string
	until  time.Time
	taken  []time.Time
	down   error
}

func (l *leases) config() Config {
	return Config{
		TakeLease: func(_ context.Context, _, holder string, lifetime time.Duration) (bool, error) {
			if l.down != nil {
				return false, l.down
			}
			if l.holder != holder && l.until.After(time.Now()) {
				return false, nil
			}
			l.holder, l.until, l.taken = holder, time.Now().Add(lifetime), append(l.taken, time.Now())
			return true, nil
		},
		GiveLease: func(_ context.Context, _, holder string) error {
			if l.holder == holder {
				l.until = time.Time{}
			}
			return nil
		},
	}
}

func TestWorkInBatchesRenewsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l leases
		w := &work{begin: time.Now(), do: func(_ context.Context, n int) (bool, error) {
			time.Sleep(time.Minute)
			return n%5 != 0, nil
		}}
		during(9*time.Minute, l.config(), Job{Name: "purge", Every: 10 * time.Minute, Lease: 25 * time.Minute, Run: w.run})
		want := []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute}
		if !slices.Equal(w.starts, want) || len(l.taken) != len(want) || !l.until.IsZero() {
			t.Errorf("runs at %v, %d leases taken, the last until %v", w.starts, len(l.taken), l.until)
		}
	})
}

func TestRunIsCancelledWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l leases
		var took time.Duration
		w := &work{do: func(ctx context.Context, _ int) (bool, error) {
			begin := time.Now()
			<-ctx.Done()
			took = time.Since(begin)
			return false, ctx.Err()
		}}
		r := during(2*time.Minute+time.Second, l.config(), Job{Name: "stuck", Every: time.Minute, Lease: 2 * time.Minute, Run: w.run})
		if took != 2*time.Minute || r.Stats()[0].Failures != 1 {
			t.Errorf("it ran for %v: %+v", took, r.Stats())
		}
	})
}

func TestLeaseOfACrashedReplicaExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leases{holder: "killed", until: time.Now().Add(25 * time.Minute)}
		w := &work{begin: time.Now()}
		r := during(40*time.Minute, l.config(), Job{Name: "purge", Every: 10 * time.Minute, Lease: 25 * time.Minute, Run: w.run})
		if len(w.starts) == 0 || w.starts[0] < 25*time.Minute || w.starts[0] > 35*time.Minute {
			t.Errorf("runs at %v", w.starts)
		}
		if got := r.Stats()[0]; got.Failures != 0 {
			t.Errorf("a lease of another replica is counted as a failure: %+v", got)
		}
	})
}

func TestJobDoesNotRunWhenItsLeaseCannotBeTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leases{down: errors.New("database unavailable")}
		w := &work{begin: time.Now()}
		r := during(time.Hour, l.config(), Job{Name: "purge", Every: 10 * time.Minute, Lease: 25 * time.Minute, Run: w.run})
		if got := r.Stats()[0]; len(w.starts) != 0 || got.Failures < 6 || !got.LastSuccess.IsZero() {
			t.Errorf("runs at %v: %+v", w.starts, got)
		}
	})
}
