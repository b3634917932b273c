package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// queueLength limits the operations that wait for the writer. At the rate of a
	// slow disk, 500 commits of one operation a second, the last one waits 2 s.
	queueLength = 1024
	// maxBatch limits the operations of one commit, and so how long the first one
	// waits for the others: about 20 ms.
	maxBatch = 256
)

var errQueueFull = errors.New("the queue of the database writer is full")

// errClosed is the error of operations after Close has begun.
var errClosed = errors.New("the store is closed")

// writer is the one writer of a SQLite database. It commits waiting operations
// together, so that they share one sync of the disk, each but the first one in a
// savepoint of its own, so that one failure does not affect the others. No caller gets a result
// before the commit has returned. A batch is what arrived during the previous
// commit; the writer never waits to fill one.
//
// The statements run on the writer's own context: interrupting one may roll the
// whole transaction back.
type writer struct {
	store *Store
	db    *sql.DB
	queue chan *job
	idle  chan struct{} // closed when the goroutine has ended

	gate   sync.RWMutex // held to read while sending, to write while closing
	closed error        // what operations are refused with; nil: they are not

	// The fields below belong to the goroutine.
	conn  *sql.Conn // nil: to be opened
	stmts *prepared // on conn
	run   runner    // runs stmts
	most  int       // operations in a batch: maxBatch
}

// The states of a job. The goroutine that moves it out of waiting owns it.
const (
	waiting int32 = iota
	running
	abandoned
)

type job struct {
	op     func(*tx) error
	state  atomic.Int32
	done   chan error // has capacity for the one result
	events []Event    // of the operation, if its changes are committed
	ended  int64      // as tx.ended, if its changes are committed
}

func newWriter(s *Store, db *sql.DB) *writer {
	w := &writer{store: s, db: db, queue: make(chan *job, queueLength), idle: make(chan struct{}), most: maxBatch}
	go w.loop()
	return w
}

// closedWriter is the writer of a database that is open for reading only.
func closedWriter(s *Store, refusal error) *writer { return &writer{store: s, closed: refusal} }

// do runs and commits the operation. When ctx ends before the operation was started,
// it never is; once started, do waits for its result.
func (w *writer) do(ctx context.Context, op func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{op: op, done: make(chan error, 1)}
	if err := w.enqueue(j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		return <-j.done
	}
}

func (w *writer) enqueue(j *job) error {
	w.gate.RLock()
	defer w.gate.RUnlock()
	if w.closed != nil {
		return w.closed
	}
	select {
	case w.queue <- j:
		return nil
	default:
		w.store.count.refused.Add(1)
		return engine.Unavailable(errQueueFull)
	}
}

// drain finishes the waiting jobs, then ends the goroutine. The pool stays open.
func (w *writer) drain() {
	w.gate.Lock()
	if w.closed == nil {
		w.closed = engine.Unavailable(errClosed)
		close(w.queue)
	}
	w.gate.Unlock()
	<-w.idle
}

func (w *writer) loop() {
	defer close(w.idle)
	for first := range w.queue {
		w.batch(first)
	}
	if w.conn != nil {
		_ = w.stmts.close()
		_ = w.conn.Close() // back to the pool, which reports when it is closed
	}
}

// batch runs first and the jobs that wait behind it in one transaction.
func (w *writer) batch(first *job) {
	ctx := context.Background()
	if err := w.begin(ctx); err != nil {
		w.abort(w.waiting(first), err)
		return
	}
	jobs, answers := make([]*job, 0, maxBatch), make([]error, 0, maxBatch)
	for j := first; j != nil; j = w.next(len(jobs)) {
		if !j.state.CompareAndSwap(waiting, running) {
			continue
		}
		answer, err := w.perform(ctx, j, len(jobs) == 0)
		jobs, answers = append(jobs, j), append(answers, answer)
		if err != nil {
			w.abort(jobs, err)
			return
		}
	}
	if _, err := w.run.ExecContext(ctx, "COMMIT"); err != nil {
		w.abort(jobs, err)
		return
	}
	// Data written to a file that was removed or replaced is lost at the next
	// start.
	if err := w.store.inPlace(); err != nil {
		w.abort(jobs, err)
		return
	}
	w.store.count.committed(uint64(len(jobs)))
	for _, j := range jobs {
		w.store.noteEnded(j.ended)
		w.store.outbox.add(j.events)
	}
	for i, j := range jobs {
		j.done <- answers[i]
	}
}

// next returns the next job that waits already, nil when there is none or the
// batch is full.
func (w *writer) next(have int) *job {
	if have >= w.most {
		return nil
	}
	if have > 0 && len(w.queue) == 0 {
		runtime.Gosched() // callers that just got their result may be about to send another job
	}
	select {
	case j := <-w.queue: // nil when closed
		return j
	default:
		return nil
	}
}

// waiting claims first and all jobs that wait at this moment.
func (w *writer) waiting(first *job) []*job {
	var claimed []*job
	for j := first; j != nil; j = w.next(len(claimed)) {
		if j.state.CompareAndSwap(waiting, running) {
			claimed = append(claimed, j)
		}
	}
	return claimed
}

// begin opens the transaction, and the connection if there is none.
func (w *writer) begin(ctx context.Context) error {
	if w.conn == nil {
		conn, err := w.db.Conn(ctx)
		if err != nil {
			return err
		}
		w.conn, w.stmts = conn, &prepared{prepare: conn.PrepareContext}
		w.run = w.store.wrap(w.stmts)
	}
	_, err := w.run.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

// perform runs one operation. answer is for its caller; err means that the whole
// transaction is lost. The first one of a transaction needs no savepoint, for which
// SQLite would copy each page that the operation changes.
func (w *writer) perform(ctx context.Context, j *job, first bool) (answer, err error) {
	begin, undo, end := []string{"SAVEPOINT op"}, []string{"ROLLBACK TO op"}, []string{"RELEASE op"}
	if first {
		begin, undo, end = nil, []string{"ROLLBACK", "BEGIN IMMEDIATE"}, nil
	}
	if err := w.each(ctx, begin); err != nil {
		return nil, err
	}
	t := w.store.newTx(ctx, w.run)
	commit, answer := t.outcome(w.protect(t, j.op))
	if engine.ConditionOf(t.failed).Fatal() {
		return nil, t.failed // SQLite may have rolled back everything by itself
	}
	if !commit {
		if err := w.each(ctx, undo); err != nil {
			return nil, err
		}
	} else {
		j.events, j.ended = t.events, t.ended
	}
	return answer, w.each(ctx, end)
}

// each runs statements without a result.
func (w *writer) each(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		if _, err := w.run.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// protect runs the operation and turns a panic into an error.
func (w *writer) protect(t *tx, op func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.store.log.Error("write panicked", "panic", p, "stack", string(debug.Stack()))
			err = fault.Wrap(fault.Internal, "", "a write panicked", fmt.Errorf("panic: %v", p))
		}
	}()
	return op(t)
}

// abort closes the connection, since its state is unknown, and reports to all
// callers that nothing was done.
func (w *writer) abort(jobs []*job, cause error) {
	if w.conn != nil {
		_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // there may be nothing to roll back
		_ = w.stmts.close()
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = w.conn.Close()
		w.conn, w.stmts, w.run = nil, nil, nil
	}
	w.store.count.failed.Add(uint64(len(jobs)))
	w.store.log.Warn("batch of writes rolled back", "writes", len(jobs), "error", cause)
	w.store.note(cause)
	w.store.failing.Store(true)
	answer := engine.Unavailable(cause)
	if engine.ConditionOf(cause) == engine.Damaged {
		answer = engine.DamagedBy(cause)
	}
	for _, j := range jobs {
		j.done <- answer
	}
}
