package password

import (
	"container/list"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// Stats is what a Hasher is doing and has done since it was made.
type Stats struct {
	Waiting int     // callers in the queue
	Running int     // callers being served
	Done    uint64  // callers served
	Refused uint64  // callers that found the queue full, or waited too long
	Seconds float64 // used for serving, over all workers
}

var errClosed = fault.New(fault.Unavailable, "unavailable", "the server is shutting down")

// pool runs work on a fixed number of workers, and shares them fairly between client
// networks: see queue. Each
// worker is locked to an OS thread: the kernel then shares the cores between
// hashing and everything else, which it does in finer slices than Go's 10 ms.
// The thread has a lower priority, and yields twice a millisecond, so that token
// checks stay fast while logins saturate the machine.
//
// A worker that finds several hashes of one cost waiting, more than the idle
// workers can take one each, computes up to four of them together: that takes
// little longer than one.
type pool struct {
	compute func(cost int, works ...*bcrypt.Work) []string // bcrypt.Compute, or a counter in tests

	workers  int
	queue    int
	patience time.Duration // that a caller may wait for a worker
	known    networks      // from which a user has signed in
	ended    sync.WaitGroup

	mu      sync.Mutex
	work    *sync.Cond // waiting is not empty, or closed
	waiting queue
	busy    int // workers
	running int // jobs; several on a worker are done together
	closed  bool
	done    uint64
	refused uint64
	took    time.Duration
}

type job struct {
	run      func()     // the work when it is done alone
	lane     *lane      // the same work when it is done together with others; nil: it cannot be
	finished chan error // buffered: a caller that left is not waited for

	line  *line         // in the queue; nil: it does not wait any more
	place *list.Element // in the line
}

// lane is a single hash, which can be computed together with others of its cost.
type lane struct {
	cost   int
	work   func() *bcrypt.Work // prepares it
	settle func(sum string)
}

func newPool(workers, queue, cost int) *pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if queue <= 0 {
		queue = workers * defaultQueue(cost)
	}
	p := &pool{compute: computeYielding, workers: workers, queue: queue, patience: defaultPatience}
	p.work = sync.NewCond(&p.mu)
	for range workers {
		p.ended.Go(p.serve)
	}
	return p
}

// defaultPatience is well beyond what a full queue takes, and well within the
// write timeout of a connection: on a busy machine the client gets a response
// instead of a closed connection.
const defaultPatience = 10 * time.Second

// defaultQueue is how many may wait for one worker: 16 at cost 12, about three
// seconds of a core, and as much work at other costs, within reason.
func defaultQueue(cost int) int {
	if cost > defaultCost {
		return max(16>>(cost-defaultCost), 2)
	}
	return min(16<<(defaultCost-cost), 64)
}

// do runs the work for a client of that network on a worker and waits for it. A
// context that ends takes a waiting caller out of the queue, and so does the end of
// the pool's patience; work that has begun is completed, after a context's end
// unwatched. together may be nil: the work is then always done alone.
func (p *pool) do(ctx context.Context, network string, work func(), together *lane) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{run: work, lane: together, finished: make(chan error, 1)}
	if err := p.enter(j, network); err != nil {
		return err
	}
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for {
		select {
		case err := <-j.finished:
			return err
		case <-ctx.Done():
			p.leave(j)
			return ctx.Err()
		case <-late.C:
			if p.leave(j) {
				return p.refuse()
			}
		}
	}
}

// enter queues the job. When all places are taken, it refuses a job of the network
// that has the most, or this one.
func (p *pool) enter(j *job, network string) error {
	known := p.known.has(network)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.waiting.len()+p.busy >= p.workers+p.queue {
		displaced := p.waiting.displaced(network, known)
		if displaced == nil {
			return p.full()
		}
		p.waiting.remove(displaced)
		displaced.finished <- p.full()
	}
	p.waiting.push(j, network, known)
	p.work.Signal()
	return nil
}

// refuse is full for a caller who waited too long.
func (p *pool) refuse() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full()
}

// full is the refusal, with the time after which those before will be served.
func (p *pool) full() error {
	p.refused++
	wait := time.Second
	if p.done > 0 {
		rounds := float64(p.waiting.len() / p.workers)
		wait += time.Duration(float64(p.took) / float64(p.done) * rounds)
	}
	return &fault.Error{
		Kind: fault.Throttled, Code: "rate_limited",
		Message:    "too many passwords are being checked at the moment, try again later",
		RetryAfter: wait.Truncate(time.Second),
	}
}

// leave gives up a place in the queue and reports whether it was still held:
// otherwise a worker has begun, or another caller has taken it.
func (p *pool) leave(j *job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.remove(j)
}

// serve is one worker. It never unlocks its thread, which therefore ends with it:
// nothing else must run at its priority.
func (p *pool) serve() {
	runtime.LockOSThread()
	lowerPriority()
	for jobs := p.next(); len(jobs) > 0; jobs = p.next() {
		start := time.Now()
		err := p.run(jobs)
		p.finish(len(jobs), time.Since(start))
		for _, j := range jobs {
			j.finished <- err
		}
	}
}

// run does the jobs. A panic is the failure of these jobs, not of the process.
func (p *pool) run(jobs []*job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.Wrap(fault.Internal, "", "a password hash panicked", fmt.Errorf("%v\n%s", r, debug.Stack()))
		}
	}()
	if len(jobs) == 1 {
		jobs[0].run()
		return nil
	}
	works := make([]*bcrypt.Work, len(jobs))
	for i, j := range jobs {
		works[i] = j.lane.work()
	}
	for i, sum := range p.compute(jobs[0].lane.cost, works...) {
		jobs[i].lane.settle(sum)
	}
	return nil
}

// next waits for a job and returns it with those that are done together with it;
// none ends the worker.
func (p *pool) next() []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.waiting.len() == 0 && !p.closed {
		p.work.Wait()
	}
	if p.closed {
		return nil
	}
	idle := p.workers - p.busy
	share := min((p.waiting.len()+idle-1)/idle, bcrypt.MaxLanes)
	jobs := []*job{p.waiting.pop()}
	for len(jobs) < share && together(jobs[0], p.waiting.next()) {
		jobs = append(jobs, p.waiting.pop())
	}
	p.busy++
	p.running += len(jobs)
	return jobs
}

// together reports whether the job whose turn it is can be done with j. No job
// is overtaken for it.
func together(j, next *job) bool {
	return next != nil && j.lane != nil && next.lane != nil && j.lane.cost == next.lane.cost
}

func (p *pool) finish(jobs int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	p.running -= jobs
	p.done += uint64(jobs) //nolint:gosec // one to four
	p.took += took
}

// close refuses those who wait and returns when the workers have ended.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for j := p.waiting.pop(); j != nil; j = p.waiting.pop() {
		j.finished <- errClosed
	}
	p.work.Broadcast()
	p.mu.Unlock()
	p.ended.Wait()
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Waiting: p.waiting.len(), Running: p.running,
		Done: p.done, Refused: p.refused, Seconds: p.took.Seconds(),
	}
}

func computeYielding(cost int, works ...*bcrypt.Work) []string {
	return bcrypt.Compute(cost, yield, works...)
}
