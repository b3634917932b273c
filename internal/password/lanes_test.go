package password

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	single "golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/bcrypt"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// A hash begins at once while there is a lane, on the worker that has the fewest, and
// ends before those that began later.
func TestAHashBeginsAsSoonAsALaneIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 2
		p := newPool(workers, 20, 12)
		defer p.close()
		var mu sync.Mutex
		most, clock := map[*worker]int{}, make(chan struct{})
		p.step = func(w *worker) []*job {
			mu.Lock()
			most[w] = max(most[w], len(w.jobs))
			mu.Unlock()
			<-clock
			return w.step()
		}
		tick := func() {
			for range workers {
				select {
				case clock <- struct{}{}:
				default:
				}
			}
			synctest.Wait()
		}
		var ended []int
		for n := range workers*bcrypt.MaxLanes + 1 {
			go func() {
				_, err := p.do(context.Background(), "", bcrypt.Work{Cost: 8, Effort: 8})
				mu.Lock()
				defer mu.Unlock()
				if ended = append(ended, n); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
			tick()
			if got, want := p.stats().Running, min(n+1, workers*bcrypt.MaxLanes); got != want {
				t.Errorf("%d of %d hashes run", got, n+1)
			}
			for w, jobs := range most {
				if share := n/workers + 1; jobs > min(share, bcrypt.MaxLanes) {
					t.Errorf("worker %p has %d of %d hashes", w, jobs, n+1)
				}
			}
		}
		for p.stats().Running > 0 {
			tick()
		}
		if !slices.IsSorted(ended) || len(ended) != workers*bcrypt.MaxLanes+1 {
			t.Errorf("ended as %v", ended)
		}
	})
}

// However many try one account at once, the work does not tell what hash it has,
// or that the user is unknown: each step computes as many.
func TestNeighboursDoNotTellAHashFromNobody(t *testing.T) {
	cheap, err := single.GenerateFromPassword([]byte("right"), 4)
	if err != nil {
		t.Fatal(err)
	}
	equal, err := single.GenerateFromPassword([]byte("right"), 5)
	if err != nil {
		t.Fatal(err)
	}
	work := func(n int, hashes ...identity.PasswordHash) (steps []int) {
		synctest.Test(t, func(*testing.T) {
			h := New(Config{Cost: 5, Workers: 1, Queue: 100})
			defer h.Close()
			clock := make(chan struct{})
			h.pool.step = func(w *worker) []*job {
				<-clock
				steps = append(steps, len(w.jobs))
				return w.step()
			}
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() { _, _ = h.Verify(context.Background(), "", hashes[i%len(hashes)], "wrong") })
				synctest.Wait()
			}
			close(clock)
			all.Wait()
		})
		return steps
	}
	for _, n := range []int{1, 2, 4, 7} {
		want := work(n, "")
		for name, hashes := range map[string][]identity.PasswordHash{
			"cheaper": {identity.PasswordHash(cheap)}, "equal": {identity.PasswordHash(equal)}, "no hash": {"$2a$04$not-a-hash"},
			"mixed": {identity.PasswordHash(cheap), "", identity.PasswordHash(equal)},
		} {
			if got := work(n, hashes...); !slices.Equal(got, want) {
				t.Errorf("%d with the hash %s: steps %v; unknown user: %v", n, name, got, want)
			}
		}
	}
}

// TestNeighboursDoNotMixUpTheirAnswers verifies right and wrong passwords of
// all kinds of hashes at once, and makes hashes among them.
func TestNeighboursDoNotMixUpTheirAnswers(t *testing.T) {
	h := New(Config{Cost: 5, Workers: 1, Queue: 1000})
	defer h.Close()
	h.pool.patience = time.Minute // the race detector is slow
	together := 0
	h.pool.step = func(w *worker) []*job {
		together = max(together, len(w.jobs)) // one worker: no other takes any
		return w.step()
	}
	long := strings.Repeat("x", 80)
	hash := func(password string, cost int, form string) identity.PasswordHash {
		b, err := single.GenerateFromPassword([]byte(password), cost)
		if err != nil {
			t.Fatal(err)
		}
		return identity.PasswordHash(strings.Replace(string(b), "$2a$", form, 1))
	}
	tests := []struct {
		hash     identity.PasswordHash
		password string
		want     bool
	}{
		{hash("right", 4, "$2a$"), "right", true},
		{hash("right", 4, "$2a$"), "wrong", false},
		{hash("right", 5, "$2b$"), "right", true},
		{hash("right", 5, "$2a$"), "wrong", false},
		{hash(long[:72], 4, "$2b$"), long, true},
		{hash(long[:72], 4, "$2a$"), long, false},
		{hash(long[:72], 4, "$2a$"), long[:72], true},
		{"", "right", false},
		{"", "", false},
		{"$2a$04$not-a-hash", "right", false},
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			tt := tests[i%len(tests)]
			if got, err := h.Verify(t.Context(), "", tt.hash, tt.password); err != nil || got != tt.want {
				t.Errorf("test %d: %t, %v", i%len(tests), got, err)
			}
		})
		all.Go(func() {
			password := fmt.Sprint("password ", i)
			made, err := h.Hash(t.Context(), "", password)
			if err != nil || single.CompareHashAndPassword([]byte(made), []byte(password)) != nil {
				t.Errorf("hash %d does not verify, %v", i, err)
			}
		})
	}
	all.Wait()
	if together != bcrypt.MaxLanes {
		t.Errorf("%d were computed together, so little was tested", together)
	}
}

// A hash that was done before the panic is not lost: its caller would wait for it until
// its connection ends, and its lane would stay taken.
func TestAPanicLosesNoHashThatIsDone(t *testing.T) {
	whole, failed := &job{work: bcrypt.Work{Cost: 4, Effort: 4}}, &job{work: bcrypt.Work{Cost: 4, Effort: 5}}
	w := &worker{jobs: []*job{whole, failed}, begun: 2}
	w.lanes.Add(&bcrypt.Work{Cost: 4, Effort: 4}) // of no job: the worker panics when it is done
	w.lanes.Add(&whole.work)
	w.lanes.Add(&failed.work)
	var done []*job
	for len(done) == 0 {
		done = w.step()
	}
	if !slices.Contains(done, whole) || whole.failed != nil || whole.work.Sum == "" {
		t.Errorf("the hash that was done: %v", whole.failed)
	}
	if !slices.Contains(done, failed) || fault.KindOf(failed.failed) != fault.Internal || len(done) != 2 || len(w.jobs) != 0 {
		t.Errorf("%d returned, the other failed with %v", len(done), failed.failed)
	}
}

func TestAPanicFailsTheHashAndNotTheProcess(t *testing.T) {
	h := New(Config{Cost: 4, Workers: 1})
	defer h.Close()
	var f *fault.Error
	if _, err := h.pool.do(t.Context(), "", bcrypt.Work{Cost: 99}); !errors.As(err, &f) || f.Kind != fault.Internal || strings.Contains(f.Message, "cost") {
		t.Errorf("%#v", err)
	}
	if _, err := h.Verify(t.Context(), "", "", "password"); err != nil {
		t.Errorf("the worker ended: %v", err)
	}
}
