package password

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// worker computes hashes side by side, on an OS thread of its own: the kernel then
// shares the cores between hashing and everything else, which it does in finer slices
// than Go's 10 ms. The thread has a lower priority, and yields twice a millisecond, so
// that token checks stay fast while logins saturate the machine.
type worker struct {
	jobs  []*job // that have begun, or begin with the next step
	begun int    // of these
	lanes bcrypt.Lanes
}

// step computes half a millisecond of each job and returns those that are done. A panic
// is the failure of those that are not, and not of the process.
func (w *worker) step() (done []*job) {
	defer func() {
		if r := recover(); r != nil {
			err := fault.Wrap(fault.Internal, "", "a password hash panicked", fmt.Errorf("%v\n%s", r, debug.Stack()))
			for _, j := range w.jobs {
				j.failed = err
			}
			done = append(done, w.jobs...)
			*w = worker{}
		}
	}()
	for ; w.begun < len(w.jobs); w.begun++ {
		w.lanes.Add(&w.jobs[w.begun].work)
	}
	for _, work := range w.lanes.Step() {
		i := slices.IndexFunc(w.jobs, func(j *job) bool { return &j.work == work })
		done = append(done, w.jobs[i])
		w.jobs = slices.Delete(w.jobs, i, i+1)
		w.begun--
	}
	return done
}
