package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// limited is a world whose Throttle has other limits.
func (w *world) limited(cfg throttle.Config) {
	cfg.Store, cfg.Now = w.store, w.clock.Now
	w.Throttle = throttle.New(cfg)
}

// Each sign-in is an event and a session: a user who signs in without pause would fill the
// database as fast as passwords are hashed.
func TestSignInsOfAUserAreLimitedToADay(t *testing.T) {
	each(t, func(w *world) {
		w.limited(throttle.Config{SignIns: 20})
		for n := range 20 {
			w.succeeds(from(n%3), ada)
		}
		a, refused := w.admit(from(7), ada, ada.Email) // before it is hashed, so it does not tell whether the password is right
		if refused == nil || refused.Limit != (fault.Limit{Name: "sign-ins", Quota: 20, Window: 24 * time.Hour}) || a != nil {
			w.t.Fatalf("refused %+v", refused)
		}
		w.succeeds(from(0), bob)
		if got := w.told(identity.ActionThrottle); len(got) != 1 || got[0].Detail != "sign-ins ada" {
			w.t.Errorf("told %+v", got)
		}
		w.clock.Advance(refused.RetryAfter)
		w.succeeds(from(0), ada)
	})
}

func TestSignInsOfADayAreTwentyThousand(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for range 20_000 {
		w.succeeds(from(1), ada)
	}
	if _, refused := w.admit(from(1), ada, ada.Email); refused == nil || refused.Limit.Name != "sign-ins" {
		t.Errorf("refused %+v", refused)
	}
}

// A program that signs in again and again, such as a load test, must not lock its user out
// for the rest of the day.
func TestBeyondTheSignInsOfADayOneASecondPasses(t *testing.T) {
	each(t, func(w *world) {
		w.limited(throttle.Config{SignIns: 20})
		for range 20 {
			w.succeeds(from(1), ada)
		}
		for n := range 60 {
			_, refused := w.admit(from(n), ada, ada.Email)
			if refused == nil || refused.RetryAfter != time.Second {
				w.t.Fatalf("refused %+v", refused)
			}
			w.clock.Advance(time.Second)
			a, refused := w.admit(from(1), ada, ada.Email)
			if refused != nil {
				w.t.Fatalf("after a second: %+v", refused)
			}
			if _, refused := w.admit(from(1), ada, ada.Email); refused == nil {
				w.t.Fatal("two pass while the first one is hashed")
			}
			w.ok(a.Succeeded(w.t.Context()))
		}
	})
}

// A client that asks for codes again and again, such as a probe, must not stop its own
// users for the rest of the day.
func TestBeyondTheGrantsOfADayEachClientHasOneAMinute(t *testing.T) {
	each(t, func(w *world) {
		w.limited(throttle.Config{Grants: 100})
		_, _ = w.granted("ada", "greedy")
		_, _ = w.granted("ada", "calm")
		for range 60 {
			_, refused := w.granted("ada", "greedy")
			if refused.RetryAfter > time.Minute {
				w.t.Fatalf("refused for %s", refused.RetryAfter)
			}
			w.clock.Advance(refused.RetryAfter)
			for _, client := range []string{"greedy", "calm"} {
				if n, _ := w.granted("ada", client); n != 1 {
					w.t.Fatalf("%s has %d after a minute", client, n)
				}
			}
		}
	})
}

// fresh is an assertion that was not used before.
func fresh() error { return nil }

// A part of a window counts as many as its limit, however short the burst.
func TestALimitHoldsInABurst(t *testing.T) {
	const limit = 300_000
	w := newWorld(t, sqlite(t))
	for range limit {
		if err := w.Assertion(t.Context(), from(1), "app", fresh); err != nil {
			t.Fatal(err)
		}
	}
	if w.refusal(w.Assertion(t.Context(), from(1), "app", fresh)) == nil {
		t.Errorf("more than %d assertions at once", limit)
	}
}

// granted makes one client ask for codes of the user until it is refused.
func (w *world) granted(user, client string) (n int, last *fault.Error) {
	w.t.Helper()
	ended, cancel := context.WithCancel(w.t.Context())
	cancel() // a refusal does not wait
	for {
		if last = w.refusal(w.Grant(ended, from(n%5).AsUser(user), user, client)); last != nil {
			return n, last
		}
		n++
	}
}

func TestAClientDoesNotUseUpTheGrantsOfOthers(t *testing.T) {
	each(t, func(w *world) {
		w.limited(throttle.Config{Grants: 100})
		n, refused := w.granted("ada", "greedy")
		if n != 100 || refused.Limit != (fault.Limit{Name: "grants", Quota: 100, Window: 24 * time.Hour}) {
			w.t.Fatalf("%d, then %+v", n, refused)
		}
		for _, client := range []string{"calm", "another", ""} {
			if n, _ := w.granted("ada", client); n != 10 {
				w.t.Errorf("%q has %d", client, n)
			}
		}
		if n, _ := w.granted("bob", "greedy"); n != 100 {
			w.t.Errorf("another user has %d", n)
		}
		var told []string
		for _, ev := range w.told(identity.ActionThrottle) {
			told = append(told, ev.Detail)
		}
		if len(told) != 5 || told[4] != "grants ada greedy" {
			w.t.Errorf("told %q", told)
		}
		w.clock.Advance(27 * time.Hour) // a window is counted in parts of two hours
		if n, _ := w.granted("ada", "greedy"); n != 100 {
			w.t.Errorf("%d on the next day", n)
		}
	})
}

func TestGrantsOfADayAreFiveThousand(t *testing.T) {
	w := newWorld(t, sqlite(t))
	n := 0
	for range 9 {
		more, _ := w.granted("ada", "app")
		if more != 600 && n+more != 5000 {
			t.Fatalf("%d in a minute", more)
		}
		n += more
		w.clock.Advance(2 * time.Minute)
	}
	if n != 5000 {
		t.Errorf("%d in some minutes", n)
	}
	if more, _ := w.granted("ada", "calm"); more != 60 {
		t.Errorf("another client: %d in a minute", more)
	}
}

func TestGrantsAreNotLimitedWhereNothingIs(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.limited(throttle.Config{Grants: 1, Off: true})
	for range 10 {
		w.ok(w.Grant(t.Context(), from(1), "ada", "app"))
	}
}

func TestAssertionsOfAClientAreLimited(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.limited(throttle.Config{Assertions: 50})
	for i := range 50 {
		if err := w.Assertion(t.Context(), from(i), "app", fresh); err != nil {
			t.Fatal(err)
		}
	}
	refused := w.refusal(w.Assertion(t.Context(), from(51), "app", fresh))
	if refused == nil || refused.Limit != (fault.Limit{Name: "assertions", Quota: 50, Window: 5 * time.Minute}) {
		t.Fatalf("refused %+v", refused)
	}
	w.ok(w.Assertion(t.Context(), from(1), "other", fresh))
	w.clock.Advance(refused.RetryAfter)
	w.ok(w.Assertion(t.Context(), from(1), "app", fresh))
}

// A site with a /48 of IPv6 has 256 networks, a provider with a /32 65,536 sites.
func TestRegistrationsAreLimitedInWiderNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		network func(i int) string
		limit   int
		of      string
		other   string
	}{
		"IPv6 site":     {func(i int) string { return fmt.Sprintf("2001:db8:1:%x00::/56", i%256) }, 3000, "registrations-site", "2001:db8:2::/56"},
		"IPv6 provider": {func(i int) string { return fmt.Sprintf("2001:db8:%x::/56", i) }, 20_000, "registrations-provider", "2001:db9::/56"},
		"IPv4 provider": {func(i int) string { return fmt.Sprintf("198.51.%d.0/24", i%256) }, 20_000, "registrations-provider", "198.52.0.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sqlite(t))
			for i := range c.limit {
				if err := w.Registration(t.Context(), identity.Actor{Network: c.network(i)}); err != nil {
					t.Fatalf("registration %d: %v", i, err)
				}
			}
			if refused := w.refusal(w.Registration(t.Context(), identity.Actor{Network: c.network(c.limit)})); refused == nil || refused.Limit.Name != c.of {
				t.Errorf("beyond the limit: %+v", refused)
			}
			w.ok(w.Registration(t.Context(), identity.Actor{Network: c.other}))
		})
	}
}

// administrator stores a user of the role and returns them as an actor.
func (w *world) administrator(role identity.Role, org string) identity.Actor {
	w.t.Helper()
	id := store.NewID()
	u := identity.User{ID: id, Email: id + "@pico.example", EmailKey: id + "@pico.example", Role: role, OrgID: org, Status: identity.Active}
	w.ok(w.store.CreateUser(w.t.Context(), store.Act{Action: identity.ActionCreateUser, By: identity.Actor{Kind: identity.ActorSystem}}, u))
	by := from(1)
	return by.AsUser(id)
}

// The administrators of an organization have one limit together: one of them could make
// others. Those of another one, superadmins and the command line are not affected, and who
// may change nothing uses nothing up.
func TestChangesOfAnOrganizationAreLimitedToADay(t *testing.T) {
	each(t, func(w *world) {
		w.limited(throttle.Config{Changes: 20})
		one, two := w.administrator(identity.OrgAdmin, "here"), w.administrator(identity.OrgAdmin, "here")
		viewer, elsewhere := w.administrator(identity.Viewer, "here"), w.administrator(identity.OrgAdmin, "there")
		superadmin := w.administrator(identity.Superadmin, "here")
		for range 30 {
			w.ok(w.Change(w.t.Context(), viewer))
		}
		for range 10 {
			w.ok(w.Change(w.t.Context(), one))
			w.ok(w.newClient(two))
		}
		for _, by := range []identity.Actor{one, two} {
			refused := w.refusal(w.Change(w.t.Context(), by))
			if refused == nil || refused.Limit != (fault.Limit{Name: "changes", Quota: 20, Window: 24 * time.Hour}) {
				w.t.Fatalf("refused %+v", refused)
			}
		}
		for _, by := range []identity.Actor{elsewhere, superadmin, {Kind: identity.ActorSystem}, {}, from(2).AsUser("nobody")} {
			w.ok(w.Change(w.t.Context(), by))
			w.ok(w.newClient(by))
		}
		if got := w.told(identity.ActionThrottle); len(got) != 1 || got[0].Detail != "changes here" {
			w.t.Errorf("told %+v", got)
		}
	})
}

// Beyond the limit an administrator still suspends a user, but fills no disk.
func TestBeyondTheChangesOfADayOneASecondPasses(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.limited(throttle.Config{Changes: 5})
	by := w.administrator(identity.OrgAdmin, "here")
	for range 5 {
		w.ok(w.Change(t.Context(), by))
	}
	for range 60 {
		if refused := w.refusal(w.Change(t.Context(), by)); refused == nil || refused.RetryAfter != time.Second {
			t.Fatalf("refused %+v", refused)
		}
		w.clock.Advance(time.Second)
		w.ok(w.Change(t.Context(), by))
	}
}

func TestNewClientsOfAnOrganizationAreAThousandADayThenOneAMinute(t *testing.T) {
	w := newWorld(t, sqlite(t))
	by := w.administrator(identity.OrgAdmin, "here")
	for range 1000 {
		w.ok(w.newClient(by))
	}
	refused := w.refusal(w.newClient(by))
	if refused == nil || refused.Limit.Name != "clients" || refused.RetryAfter != time.Minute {
		t.Fatalf("refused %+v", refused)
	}
	w.ok(w.Change(t.Context(), by))
	w.clock.Advance(time.Minute)
	w.ok(w.newClient(by))
}

// A program that asks for its service token at each start uses nothing up, and neither does
// one that asks again although the limit is reached.
func TestAClientThatIsNotMadeUsesNothingUp(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.limited(throttle.Config{Changes: 2000})
	by := w.administrator(identity.OrgAdmin, "here")
	refused := errors.New("the audience is taken")
	for range 2500 {
		w.ok(w.NewClient(t.Context(), by, func() (bool, error) { return false, nil }))
		if err := w.NewClient(t.Context(), by, func() (bool, error) { return false, refused }); !errors.Is(err, refused) {
			t.Fatal(err)
		}
	}
	for range 1000 {
		w.ok(w.newClient(by))
	}
	for range 2500 {
		if got := w.refusal(w.newClient(by)); got == nil || got.Limit.Name != "clients" {
			t.Fatalf("refused %+v", got)
		}
	}
	for range 1000 {
		w.ok(w.Change(t.Context(), by))
	}
	if got := w.refusal(w.Change(t.Context(), by)); got == nil || got.Limit.Name != "changes" {
		t.Errorf("refused %+v", got)
	}
}

// newClient is NewClient for one that is made.
func (w *world) newClient(by identity.Actor) error {
	return w.NewClient(w.t.Context(), by, func() (bool, error) { return true, nil })
}

func TestChangesOfADayAreTwentyThousand(t *testing.T) {
	w := newWorld(t, sqlite(t))
	by := w.administrator(identity.OrgAdmin, "here")
	for range 20_000 {
		w.ok(w.Change(t.Context(), by))
	}
	if w.refusal(w.Change(t.Context(), by)) == nil {
		t.Error("one more passes")
	}
}
