package login_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/login"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

var guesser = identity.Actor{Address: "198.51.100.7", Network: "198.51.100.0/24", RequestID: "req-2"}

func TestAThrottledLoginIsNotHashedAndLooksTheSameForEveryAccount(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		w := newWorld(r)
		w.user(t, "ada@pico.example", identity.Active)
		w.user(t, "sam@pico.example", identity.Suspended)
		var first error
		for _, try := range [][2]string{
			{"ada@pico.example", "wrong horse"}, {"unknown@pico.example", secret}, {"sam@pico.example", secret}, {"ada\x00", secret},
		} {
			before := w.hasher.Stats().Done
			for i := range 5 {
				if _, err := w.Password(t.Context(), guesser, try[0], try[1]); !errors.Is(err, identity.ErrInvalidCredentials) {
					t.Fatalf("%q, failure %d: %v", try, i, err)
				}
			}
			for _, password := range []string{try[1], secret} {
				_, err := w.Password(t.Context(), guesser, try[0], password)
				var f *fault.Error
				if !errors.As(err, &f) || f.Kind != fault.Throttled || f.RetryAfter != time.Second {
					t.Fatalf("%q: %v", try, err)
				}
				if first == nil {
					first = f
				}
				if diff := cmp.Diff(first, error(f)); diff != "" {
					t.Errorf("%q differs (-first +this):\n%s", try, diff)
				}
			}
			if done := w.hasher.Stats().Done - before; done != 5 {
				t.Errorf("%q: %d hashes", try, done)
			}
		}
		if got := w.Stats(); got.Throttled != 8 || got.WrongPassword != 5 || got.UnknownUser != 10 || got.Suspended != 5 {
			t.Errorf("stats: %+v", got)
		}
		r.Clock.Advance(time.Second)
		if _, err := w.Password(t.Context(), guesser, "ada@pico.example", secret); err != nil {
			t.Errorf("the right password after the wait: %v", err)
		}
	})
}

func TestConfirmingAPasswordAndLoggingInShareTheirLimit(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		w := newWorld(r)
		u := w.user(t, "ada@pico.example", identity.Active)
		for range 3 {
			if _, err := w.Confirm(t.Context(), guesser.AsUser(u.ID), u.ID, "wrong horse"); !errors.Is(err, login.ErrWrongPassword) {
				t.Fatal(err)
			}
		}
		for range 2 {
			if _, err := w.Password(t.Context(), guesser, u.Email, "wrong horse"); !errors.Is(err, identity.ErrInvalidCredentials) {
				t.Fatal(err)
			}
		}
		if _, err := w.Confirm(t.Context(), guesser.AsUser(u.ID), u.ID, secret); fault.KindOf(err) != fault.Throttled {
			t.Errorf("confirm: %v", err)
		}
		if _, err := w.Password(t.Context(), guesser, u.Email, secret); fault.KindOf(err) != fault.Throttled {
			t.Errorf("log in: %v", err)
		}
		r.Clock.Advance(time.Second)
		if _, err := w.Confirm(t.Context(), guesser.AsUser(u.ID), u.ID, secret); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		if _, err := w.Password(t.Context(), guesser, u.Email, secret); err != nil {
			t.Errorf("after a success: %v", err)
		}
	})
}

func TestGuessesAtOnceAreHashedFiveTimes(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		w := newWorld(r)
		u := w.user(t, "ada@pico.example", identity.Active)
		before := w.hasher.Stats().Done
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { _, _ = w.Password(t.Context(), guesser, u.Email, "wrong horse") })
		}
		all.Wait()
		if done := w.hasher.Stats().Done - before; done != 5 {
			t.Errorf("%d hashes", done)
		}
	})
}

func TestSixHundredLoginsAMinuteFromOneNetworkAreNotLimited(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		w := newWorld(r)
		u := w.user(t, "ada@pico.example", identity.Active)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				for range 100 {
					if _, err := w.Password(t.Context(), guesser, u.Email, secret); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}

// Each is an event and a session. The refusal comes before the hash, so it does not tell
// whether the password is right, and reauthentication counts as well.
func TestSignInsOfOneUserAreBoundedAndOthersSignIn(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		w := newWorld(r)
		u := w.user(t, "ada@pico.example", identity.Active)
		for range 2 {
			if _, err := w.Password(t.Context(), web, u.Email, secret); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Confirm(t.Context(), web, u.ID, secret); err != nil {
			t.Fatal(err)
		}
		before := w.hasher.Stats().Done
		for _, password := range []string{secret, "wrong horse"} {
			if _, err := w.Password(t.Context(), web, u.Email, password); fault.KindOf(err) != fault.Throttled {
				t.Errorf("a further sign-in: %v", err)
			}
		}
		if _, err := w.Confirm(t.Context(), web, u.ID, secret); fault.KindOf(err) != fault.Throttled {
			t.Errorf("a further reauthentication: %v", err)
		}
		if done := w.hasher.Stats().Done - before; done != 0 {
			t.Errorf("%d hashes for what is refused", done)
		}
		if _, err := w.Password(t.Context(), web, "unknown@pico.example", secret); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("another address: %v", err)
		}
	}, func(c *testrig.Config) { c.Throttle.SignIns = 3 })
}
