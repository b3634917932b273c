package job

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// drainTimeout is how long a run may continue after the server stops, before
	// its context is cancelled.
	drainTimeout = 500 * time.Millisecond

	// giveTimeout bounds giving a lease back. A lease that is not given back expires.
	giveTimeout = time.Second
)

// Job is a function that is called periodically.
type Job struct {
	// Name identifies the job in the log and the metrics, and its lease in the database.
	Name string

	// Every is the time from one start to the next. Each time up to a tenth of it
	// is subtracted at random, so that replicas that start together do not stay
	// synchronized. A run that takes longer delays the next one.
	Every time.Duration

	// Later delays the first run by Every; else it begins at once.
	Later bool

	// Lease, longer than Every, limits the job to one replica: the holder of the
	// lease, which renews it before each run and gives it back when it stops. A run
	// is cancelled when the lease expires; then another replica takes it. Zero: each
	// replica runs the job.
	Lease time.Duration

	// Run does the work. With more it is called again at once; the lease is renewed
	// between the calls.
	Run func(ctx context.Context) (more bool, err error)
}

// Config is what a Runner needs.
type Config struct {
	// TakeLease makes holder the owner of the named lease, or renews it, and
	// reports false while another one holds it. GiveLease ends it early. nil: no job
	// has a lease.
	TakeLease func(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)
	GiveLease func(ctx context.Context, name, holder string) error

	Log *slog.Logger     // nil: discard
	Now func() time.Time // nil: time.Now
}

// Stats are the counters of one job since the start of the process.
type Stats struct {
	Name        string
	LastSuccess time.Time // the end of the latest run without an error; zero: none on this replica
	Failures    uint64    // runs with an error, and failed attempts to take the lease
}

// Runner runs jobs. It is safe for concurrent use.
type Runner struct {
	cfg    Config
	holder string // of the leases; unique in each process
	tasks  []*task
}

// task is a job and its state.
type task struct {
	Job
	failures    atomic.Uint64
	lastSuccess atomic.Int64 // nanoseconds since 1970; 0: none

	failing string // the error of the latest run; empty: none
	held    bool   // the lease is this replica's
}

// New returns a runner of jobs. It panics if the declaration of a job is
// incomplete; no configuration can cause that.
func New(cfg Config, jobs ...Job) *Runner {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Runner{cfg: cfg, holder: rand.Text()}
	for _, j := range jobs {
		if j.Name == "" || j.Every <= 0 || j.Run == nil {
			panic("job: " + j.Name + " lacks a name, a period or a function")
		}
		if j.Lease != 0 && (j.Lease <= j.Every || cfg.TakeLease == nil || cfg.GiveLease == nil) {
			panic("job: " + j.Name + " has a lease that is too short, or Config lacks the functions for leases")
		}
		r.tasks = append(r.tasks, &task{Job: j})
	}
	return r
}

// Run runs the jobs until ctx ends. Then no run begins, runs in progress have half
// a second before their context is cancelled, and the leases are given back; Run
// returns when all runs have ended.
func (r *Runner) Run(ctx context.Context) {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var loops sync.WaitGroup
	for _, t := range r.tasks {
		loops.Go(func() { r.loop(ctx, working, t) })
	}
	<-ctx.Done()
	late := time.AfterFunc(drainTimeout, cancel)
	defer late.Stop()
	loops.Wait()
}

// Stats returns the counters of the jobs, in the order of New.
func (r *Runner) Stats() []Stats {
	all := make([]Stats, len(r.tasks))
	for i, t := range r.tasks {
		all[i] = Stats{Name: t.Name, Failures: t.failures.Load()}
		if at := t.lastSuccess.Load(); at != 0 {
			all[i].LastSuccess = time.Unix(0, at)
		}
	}
	return all
}

// loop runs one job until ctx ends; working is the context of its runs.
func (r *Runner) loop(ctx, working context.Context, t *task) {
	defer r.giveBack(context.WithoutCancel(ctx), t)
	var wait time.Duration
	if t.Later {
		wait = t.pause()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begin := time.Now()
		for more := true; more && ctx.Err() == nil; {
			more = r.run(working, t)
		}
		timer.Reset(max(t.pause()-time.Since(begin), t.Every/10))
	}
}

// pause is the time to the next start.
func (t *task) pause() time.Duration {
	var random [2]byte
	_, _ = rand.Read(random[:]) // it never fails
	return t.Every - t.Every/10/math.MaxUint16*time.Duration(binary.NativeEndian.Uint16(random[:]))
}

// run calls the job's function, if this replica is to run it. It reports whether
// the function is to be called again at once.
func (r *Runner) run(ctx context.Context, t *task) (more bool) {
	ran, more, err := r.try(ctx, t)
	switch {
	case err != nil && ctx.Err() != nil:
		return false // the server stops
	case err != nil:
		t.failures.Add(1)
		r.report(ctx, t, err)
		return false
	case !ran:
		return false
	case t.failing != "":
		t.failing = ""
		r.cfg.Log.Info("background job recovered", "job", t.Name)
	}
	t.lastSuccess.Store(r.cfg.Now().UnixNano())
	return more
}

// report logs an error, unless the previous run failed with the same one.
func (r *Runner) report(ctx context.Context, t *task, err error) {
	if err.Error() == t.failing {
		return
	}
	t.failing = err.Error()
	if p, ok := errors.AsType[panicked](err); ok {
		r.cfg.Log.ErrorContext(ctx, "background job panicked", "job", t.Name, "error", err, "stack", p.stack)
		return
	}
	r.cfg.Log.WarnContext(ctx, "background job failed", "job", t.Name, "error", err)
}

// panicked is a panic of a job's function.
type panicked struct {
	value any
	stack string
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// try takes the lease, if the job has one, and calls its function.
func (r *Runner) try(ctx context.Context, t *task) (ran, more bool, err error) {
	if t.Lease > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Lease) // starts before the lease does, so that no run outlives the lease
		defer cancel()
		held, err := r.cfg.TakeLease(ctx, t.Name, r.holder, t.Lease)
		if err != nil {
			return false, false, fmt.Errorf("take the lease: %w", err)
		}
		if t.held = held; !held {
			return false, false, nil
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p, string(debug.Stack())}
		}
	}()
	more, err = t.Run(ctx)
	return true, more, err
}

// giveBack ends the lease, so that another replica can take it at once.
func (r *Runner) giveBack(ctx context.Context, t *task) {
	if !t.held {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, giveTimeout)
	defer cancel()
	if err := r.cfg.GiveLease(ctx, t.Name, r.holder); err != nil {
		r.cfg.Log.Warn("background job lease not released; it expires by itself", "job", t.Name, "error", err)
	}
}
