package password

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/thread"
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

// pool computes hashes on a fixed number of workers, and shares them fairly between
// client networks: see queue. A worker computes up to four hashes side by side, which
// takes little longer than one; each begins as soon as a lane is free, on the worker
// that has the fewest.
type pool struct {
	step func(*worker) []*job // (*worker).step, or a slower one in tests

	workers  int
	lanes    int // hashes on one worker at the same time
	queue    int
	patience time.Duration // that a caller may wait for a lane
	known    networks      // from which a user has signed in
	ended    sync.WaitGroup

	mu      sync.Mutex
	work    *sync.Cond // waiting is not empty, or closed
	waiting queue
	running int // jobs
	closed  bool
	done    uint64
	refused uint64
	took    time.Duration
}

type job struct {
	work     bcrypt.Work
	failed   error
	finished chan error // buffered: a caller that left is not waited for

	shares [levels]*share // in the queue
}

func newPool(workers, queue, cost int) *pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if queue <= 0 {
		queue = workers * defaultQueue(cost)
	}
	p := &pool{step: (*worker).step, workers: workers, lanes: bcrypt.MaxLanes, queue: queue, patience: defaultPatience}
	p.work = sync.NewCond(&p.mu)
	for range workers {
		p.ended.Go(func() { thread.Behind(func() { p.serve(&worker{}) }) })
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

// do computes a hash for a client of that network and returns its sum. A context that
// ends takes a waiting caller out of the queue, and so does the end of the pool's
// patience; a hash that has begun is completed, after a context's end unwatched.
func (p *pool) do(ctx context.Context, network string, work bcrypt.Work) (sum string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	j := &job{work: work, finished: make(chan error, 1)}
	if err := p.enter(j, network); err != nil {
		return "", err
	}
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for {
		select {
		case err := <-j.finished:
			return j.work.Sum, err
		case <-ctx.Done():
			p.leave(j)
			return "", ctx.Err()
		case <-late.C:
			if p.leave(j) {
				return "", p.refuse()
			}
		}
	}
}

// enter queues the job. When all places are taken, it refuses a job of those that have
// the most, which can be this one.
func (p *pool) enter(j *job, network string) error {
	known := p.known.has(network)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.waiting.push(j, network, known)
	if p.waiting.len()+p.running > p.workers*p.lanes+p.queue {
		excess := p.waiting.excess()
		p.waiting.remove(excess)
		if excess == j {
			return p.full()
		}
		excess.finished <- p.full()
	}
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

// serve is one worker's loop.
func (p *pool) serve(w *worker) {
	for p.take(w) {
		start := time.Now()
		done := p.step(w)
		p.finish(done, time.Since(start))
		thread.Yield()
	}
}

// take gives the worker the jobs whose turn it is, if a lane is free and it has no more
// than the average: one of the workers always has that, and takes them. It waits for a
// job if the worker has none, and reports whether there is one; none ends the worker.
func (p *pool) take(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(w.jobs) == 0 && p.waiting.len() == 0 && !p.closed {
		p.work.Wait()
	}
	for len(w.jobs) < p.lanes && len(w.jobs)*p.workers <= p.running {
		j := p.waiting.pop()
		if j == nil {
			break
		}
		w.jobs = append(w.jobs, j)
		p.running++
	}
	return len(w.jobs) > 0
}

func (p *pool) finish(done []*job, took time.Duration) {
	p.mu.Lock()
	p.running -= len(done)
	p.done += uint64(len(done))
	p.took += took
	p.mu.Unlock()
	for _, j := range done {
		j.finished <- j.failed
	}
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
