package throttle_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

func TestAfterFiveFailuresFromOneNetworkTheWaitDoublesToAMinute(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada) // known: no other counter
		for i := range 5 {
			if refused := w.fails(from(1), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d: %+v", i, refused)
			}
		}
		for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			w.waits(from(1), ada, time.Duration(seconds)*time.Second)
		}
	})
}

func TestAttemptsAtOnceCannotAllPassBeforeTheFirstFails(t *testing.T) {
	each(t, func(w *world) {
		var admitted, refused atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				a, no := w.admit(from(1), ada, ada.Email)
				if no != nil {
					refused.Add(1)
					return
				}
				admitted.Add(1)
				time.Sleep(5 * time.Millisecond) // the hash
				if err := a.Failed(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
		if admitted.Load() != 5 || refused.Load() != 59 {
			w.t.Errorf("%d attempts were admitted, %d refused", admitted.Load(), refused.Load())
		}
	})
}

func TestRightPasswordsAtOnceAllPass(t *testing.T) {
	each(t, func(w *world) {
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				a, no := w.admit(from(1), ada, ada.Email)
				if no != nil {
					w.t.Errorf("refused: %+v", no)
					return
				}
				time.Sleep(time.Millisecond)
				if err := a.Succeeded(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestAnAccountHasTwentyFailuresOverUnknownNetworksThenOneInTenSecondsThenTenAnHour(t *testing.T) {
	each(t, func(w *world) {
		next := attackers()
		for i := range 20 {
			if refused := w.fails(next(), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d: %+v", i, refused)
			}
		}
		for range 80 {
			w.waits(next(), ada, 10*time.Second)
		}
		w.succeeds(from(0), bob) // another account is not concerned
		for range 3 {
			w.waits(next(), ada, 6*time.Minute)
		}
		many := w.told(identity.ActionManyGuesses)
		if len(many) != 1 || many[0].TargetID != ada.ID || many[0].OrgID != ada.OrgID || many[0].Detail != "100 failures" {
			w.t.Errorf("told of 100 failures: %+v", many)
		}
		limits := w.told(identity.ActionThrottle)
		if len(limits) != 1 || limits[0].TargetID != ada.ID || limits[0].Detail != "account" {
			w.t.Errorf("told of the limit: %+v", limits)
		}
	})
}

// attackers returns clients of one network after another.
func attackers() func() identity.Actor {
	n := 1000
	return func() identity.Actor {
		n++
		return from(n)
	}
}

func TestAKnownNetworkCountsInItsOwnCounterOnly(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada)
		next := attackers()
		for range 100 { // the account is at its limit for all others
			w.guess(next(), ada, ada.Email)
			w.clock.Advance(10 * time.Second)
		}
		for i := range 60 { // and so is the network for all other accounts
			w.guess(from(1), identity.User{}, strconv.Itoa(i)+"@pico.example")
		}
		w.refused(next(), ada, "account")
		w.refused(from(1), identity.User{}, "network")
		for i := range 5 {
			if refused := w.fails(from(1), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d of the known network: %+v", i, refused)
			}
		}
		w.refused(from(1), ada, "account-network")
		w.clock.Advance(time.Second)
		w.succeeds(from(1), ada)
	})
}

// refused checks that an attempt is refused by that counter.
func (w *world) refused(by identity.Actor, user identity.User, counter string) {
	w.t.Helper()
	refused := w.fails(by, user, user.Email)
	if refused == nil || refused.Limit.Name != counter {
		w.t.Errorf("refused %+v, want by %s", refused, counter)
	}
}

func TestANetworkIsKnownForThirtyDays(t *testing.T) {
	each(t, func(w *world) {
		const day = 24 * time.Hour
		w.succeeds(from(1), ada)
		exhaust := func() {
			next := attackers()
			for range 21 {
				w.guess(next(), ada, ada.Email)
			}
		}
		w.clock.Advance(30*day - time.Minute)
		exhaust()
		w.succeeds(from(1), ada) // is written, since the last one is old
		w.clock.Advance(30 * day)
		exhaust()
		w.refused(from(1), ada, "account")
	})
}

func TestAnAttemptThatIsRefusedProlongsNothing(t *testing.T) {
	each(t, func(w *world) {
		next := attackers()
		for range 20 {
			w.guess(next(), ada, ada.Email)
		}
		for range 9 {
			w.refused(next(), ada, "account")
			w.clock.Advance(time.Second)
		}
		w.clock.Advance(time.Second)
		if refused := w.fails(next(), ada, ada.Email); refused != nil {
			w.t.Errorf("refused after the wait: %+v", refused)
		}
	})
}

func TestASuccessClearsItsNetworkOnly(t *testing.T) {
	each(t, func(w *world) {
		for range 5 {
			w.guess(from(1), ada, ada.Email)
			w.guess(from(2), ada, ada.Email)
		}
		for range 10 {
			w.guess(attackers()(), ada, ada.Email)
			w.clock.Advance(time.Minute)
		}
		w.succeeds(from(1), ada)
		for n, want := range map[int]int64{1: 0, 2: 5} {
			g, err := w.store.Guesses(w.t.Context(), store.ThrottleKey{Account: ada.ID, Network: from(n).Network})
			if err != nil || g.Network.Count != want || g.All.Count != 20 {
				w.t.Errorf("network %d: %+v, %v", n, g, err)
			}
		}
		for i := range 5 {
			if refused := w.fails(from(1), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d after a success: %+v", i, refused)
			}
		}
		w.refused(from(1), ada, "account-network")
	})
}

func TestCountersOfAccountsHoldAcrossReplicasAndRestarts(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada)
		other := w.replica()
		for i := range 5 {
			server := []*world{w, other}[i%2]
			if refused := server.fails(from(1), ada, ada.Email); refused != nil {
				w.t.Fatalf("failure %d: %+v", i, refused)
			}
		}
		w.refused(from(1), ada, "account-network")
		other.refused(from(1), ada, "account-network")
		next := attackers()
		for range 10 {
			w.guess(next(), ada, ada.Email)
			other.guess(next(), ada, ada.Email)
		}
		restarted := w.replica()
		restarted.refused(next(), ada, "account")
		restarted.refused(from(1), ada, "account-network")
		w.clock.Advance(time.Second)
		restarted.succeeds(from(1), ada) // the network is still known
	})
}

// divided makes as many attempts at each replica as it admits at once, which then all
// fail, and returns how many were told so; the others are refused.
func (w *world) divided(replicas []*world, each int, user identity.User, email string, from func() identity.Actor) (told int) {
	w.t.Helper()
	var admitted []*throttle.Attempt
	for range each {
		for _, replica := range replicas {
			a, refused := replica.admit(from(), user, email)
			if refused != nil {
				w.t.Fatalf("not admitted: %+v", refused)
			}
			admitted = append(admitted, a)
		}
	}
	for _, a := range admitted {
		if w.refusal(a.Failed(w.t.Context())) == nil {
			told++
		}
	}
	return told
}

func TestGuessesThatReplicasAdmitAtOnceDoNotExceedTheLimitTogether(t *testing.T) {
	each(t, func(w *world) {
		replicas := []*world{w, w.replica(), w.replica()}
		w.succeeds(from(1), ada)
		for name, c := range map[string]struct {
			user  identity.User
			email string
			from  func() identity.Actor
			free  int
			wait  time.Duration
		}{
			"an account":                        {bob, bob.Email, attackers(), 20, 10 * time.Second},
			"an address that no user has":       {identity.User{}, "absent@pico.example", attackers(), 20, 10 * time.Second},
			"an account from a known network":   {ada, ada.Email, func() identity.Actor { return from(1) }, 5, time.Second},
			"an unknown address of one network": {identity.User{}, "noone@pico.example", func() identity.Actor { return from(2) }, 5, time.Second},
		} {
			if n := w.divided(replicas, c.free, c.user, c.email, c.from); n != c.free {
				w.t.Errorf("%s: %d guesses at once, want %d", name, n, c.free)
			}
			w.clock.Advance(c.wait)
			if n := w.divided(replicas, 1, c.user, c.email, c.from); n != 1 {
				w.t.Errorf("%s: %d guesses after the wait, want 1", name, n)
			}
		}
	})
}

// Otherwise one replica would tell of the right password among guesses that the limit
// of all refuses.
func TestARightGuessIsRefusedOnceOtherReplicasUsedUpTheLimit(t *testing.T) {
	each(t, func(w *world) {
		other, next := w.replica(), attackers()
		w.succeeds(from(1), ada)
		for _, by := range []func() identity.Actor{next, func() identity.Actor { return from(1) }} {
			for range 20 {
				w.guess(by(), ada, ada.Email)
			}
			w.clock.Advance(time.Minute)
			wrong, _ := w.admit(by(), ada, ada.Email)
			right, _ := other.admit(by(), ada, ada.Email)
			w.ok(wrong.Failed(w.t.Context()))
			if w.refusal(right.Succeeded(w.t.Context())) == nil {
				w.t.Error("a guess more than the limit was right, and is told so")
			}
			right.Cancel()
			w.clock.Advance(time.Minute)
			other.succeeds(by(), ada)
		}
	})
}

func TestAnUnknownAddressIsRefusedLikeAnAccount(t *testing.T) {
	each(t, func(w *world) {
		unknown := identity.User{}
		next := attackers()
		try := func(by identity.Actor) {
			w.t.Helper()
			known, not := w.fails(by, ada, ada.Email), w.fails(by, unknown, "nobody@pico.example")
			if !cmp.Equal(known, not) {
				w.t.Errorf("refused %+v, an unknown address %+v", known, not)
			}
		}
		for range 8 {
			try(from(1))
		}
		w.clock.Advance(time.Second)
		for range 3 {
			try(from(1))
		}
		for range 30 {
			try(next())
		}
		for range 90 {
			w.clock.Advance(10 * time.Second)
			try(next())
		}
		other := w.replica()
		if refused := other.fails(next(), unknown, "NoBody@Pico.Example"); refused == nil || refused.RetryAfter < 4*time.Minute {
			w.t.Errorf("another replica: %+v", refused)
		}
		if n := len(w.told(identity.ActionThrottle)); n != 2 {
			w.t.Errorf("%d events are stored, want those of the account only", n)
		}
		if n := strings.Count(w.log.String(), `"msg":"throttle.limit"`); n != 4 {
			w.t.Errorf("%d events in the log, want those of both", n)
		}
	})
}

func TestASuccessWithoutFailuresIsWrittenOnceADay(t *testing.T) {
	each(t, func(w *world) {
		w.succeeds(from(1), ada)
		before := w.store.Stats().Transactions
		for range 600 { // a minute of a busy client
			w.succeeds(from(1), ada)
			w.clock.Advance(100 * time.Millisecond)
		}
		if n := w.store.Stats().Transactions - before; n != 0 {
			w.t.Errorf("%d transactions", n)
		}
		w.clock.Advance(24 * time.Hour)
		w.succeeds(from(1), ada)
		w.succeeds(from(1), ada)
		if n := w.store.Stats().Transactions - before; n != 1 {
			w.t.Errorf("a day later %d transactions", n)
		}
	})
}

func TestWhatCannotBeCountedIsAnError(t *testing.T) {
	w := newWorld(t, sqlite(t))
	a, _ := w.admit(from(1), ada, ada.Email)
	b, _ := w.admit(from(1), ada, ada.Email)
	w.ok(w.store.Close())
	if err := a.Failed(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a failure: %v", err)
	}
	if err := b.Succeeded(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a success: %v", err)
	}
}

func TestAnAttemptIsDecidedOnce(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.succeeds(from(1), ada)
	for range 10 {
		a, _ := w.admit(from(1), ada, ada.Email)
		a.Cancel()
		w.ok(a.Failed(t.Context()))
	}
	a, refused := w.admit(from(1), ada, ada.Email)
	if refused != nil {
		t.Fatalf("cancelled attempts count: %+v", refused)
	}
	w.ok(a.Failed(t.Context()))
	w.ok(a.Failed(t.Context()))
	g, err := w.store.Guesses(t.Context(), store.ThrottleKey{Account: ada.ID, Network: from(1).Network})
	if err != nil || g.Network.Count != 1 {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestOffNothingIsLimitedOrRemembered(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.Throttle = throttle.New(throttle.Config{Store: w.store, Now: w.clock.Now, Off: true})
	before := w.store.Stats().Transactions
	for range 200 {
		if w.fails(from(1), ada, ada.Email) != nil || w.Registration(t.Context(), from(1)) != nil || w.UnknownToken(t.Context(), from(1)) != nil {
			t.Fatal("refused")
		}
	}
	w.succeeds(from(1), ada)
	if n := w.store.Stats().Transactions - before; n != 0 {
		t.Errorf("%d transactions", n)
	}
}
