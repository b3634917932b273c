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

// batches replaces the computation of a pool by one that notes how many were
// computed together, and waits.
func batches(p *pool, g *gate) *[]int {
	var mu sync.Mutex
	sizes := &[]int{}
	p.compute = func(_ int, works ...*bcrypt.Work) []string {
		mu.Lock()
		*sizes = append(*sizes, len(works))
		mu.Unlock()
		<-g.open
		return make([]string, len(works))
	}
	return sizes
}

func (g *gate) startLane(p *pool, n, cost int) chan error {
	answer := make(chan error, 1)
	l := &lane{cost: cost, work: func() *bcrypt.Work { return nil }, settle: func(string) {}}
	go func() { answer <- p.do(context.Background(), "", g.work(n), l) }()
	return answer
}

func TestHashesThatWaitAreComputedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(1, 20, 12), newGate()
		defer p.close()
		sizes := batches(p, g)
		var answers []chan error
		costs := []int{12, 12, 12, 12, 12, 12, 12, 10, 12} // the first runs alone at once
		for n, cost := range costs {
			answers = append(answers, g.startLane(p, n, cost))
			synctest.Wait()
		}
		if got := p.stats(); got.Running != 1 || got.Waiting != 8 {
			t.Fatalf("%+v", got)
		}
		close(g.open)
		for _, answer := range answers {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		// Then four, two (the next has another cost), and two alone.
		if want := []int{4, 2}; !slices.Equal(*sizes, want) {
			t.Errorf("computed together %v, want %v", *sizes, want)
		}
		if got := p.stats(); got.Done != 9 || got.Running != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestIdleWorkersTakeOneHashEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(3, 20, 12), newGate()
		defer p.close()
		sizes := batches(p, g)
		for n := range 3 {
			g.startLane(p, n, 12)
		}
		synctest.Wait()
		if got := p.stats(); got.Running != 3 || len(*sizes) != 0 {
			t.Errorf("%+v, together %v: three workers should have one each", got, *sizes)
		}
		close(g.open)
		synctest.Wait()
	})
}

// However many try one account at once, the work does not tell what hash it has,
// or that the user is unknown: as many are computed together, by as many rounds.
func TestNeighboursDoNotTellAHashFromNobody(t *testing.T) {
	cheap, err := single.GenerateFromPassword([]byte("right"), 4)
	if err != nil {
		t.Fatal(err)
	}
	equal, err := single.GenerateFromPassword([]byte("right"), 5)
	if err != nil {
		t.Fatal(err)
	}
	work := func(n int, hashes ...identity.PasswordHash) (done [][2]int) {
		synctest.Test(t, func(*testing.T) {
			h := New(Config{Cost: 5, Workers: 1, Queue: 100})
			defer h.Close()
			inner := h.pool.compute
			h.pool.compute = func(cost int, works ...*bcrypt.Work) []string {
				done = append(done, [2]int{len(works), cost})
				return inner(cost, works...)
			}
			g := newGate()
			first := make(chan error, 1)
			go func() { first <- h.pool.do(context.Background(), "", g.work(0), nil) }() // the others wait for it
			synctest.Wait()
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() { _, _ = h.Verify(context.Background(), "", hashes[i%len(hashes)], "wrong") })
				synctest.Wait()
			}
			close(g.open)
			all.Wait()
			if err := <-first; err != nil {
				t.Error(err)
			}
		})
		return done
	}
	for _, n := range []int{1, 2, 4, 7} {
		want := work(n, "")
		for name, hashes := range map[string][]identity.PasswordHash{
			"cheaper": {identity.PasswordHash(cheap)}, "equal": {identity.PasswordHash(equal)}, "no hash": {"$2a$04$not-a-hash"},
			"mixed": {identity.PasswordHash(cheap), "", identity.PasswordHash(equal)},
		} {
			if got := work(n, hashes...); !slices.Equal(got, want) {
				t.Errorf("%d with the hash %s: together, by cost %v; unknown user: %v", n, name, got, want)
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
	inner := h.pool.compute
	h.pool.compute = func(cost int, works ...*bcrypt.Work) []string {
		together += len(works) // one worker: no other takes any
		return inner(cost, works...)
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
	if together == 0 {
		t.Error("nothing was computed together, so nothing was tested")
	}
}

func TestAPanicFailsTheHashAndNotTheProcess(t *testing.T) {
	h := New(Config{Cost: 4, Workers: 1})
	defer h.Close()
	working := h.compare
	h.compare = func([]byte, []byte) error { panic("the reason") }
	var f *fault.Error
	if ok, err := h.Verify(t.Context(), "", "", "password"); ok || !errors.As(err, &f) || f.Kind != fault.Internal || strings.Contains(f.Message, "the reason") {
		t.Errorf("%t, %#v", ok, err)
	}
	h.compare = working
	if _, err := h.Verify(t.Context(), "", "", "password"); err != nil {
		t.Errorf("the worker ended: %v", err)
	}
}
