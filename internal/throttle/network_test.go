package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

func TestANetworkHasSixtyFailuresAMinuteAndAThousandAnHour(t *testing.T) {
	each(t, func(w *world) {
		start, admitted := w.clock.Now(), 0
		var last time.Duration
		for w.clock.Now().Sub(start) < time.Hour {
			minute := 0
			for i := 0; ; i++ {
				refused := w.fails(from(1), identity.User{}, strconv.Itoa(admitted+i)+"@pico.example")
				if refused != nil {
					last = refused.RetryAfter
					if want := (fault.Limit{Name: "network", Quota: 60, Window: time.Minute}); admitted+minute < 1000 && refused.Limit != want {
						t.Fatalf("the limit is %+v", refused.Limit)
					}
					break
				}
				minute++
			}
			if minute > 60 {
				t.Fatalf("%d failures in a minute", minute)
			}
			if admitted += minute; admitted == 1000 {
				break
			}
			w.clock.Advance(last)
		}
		if admitted != 1000 || w.clock.Now().Sub(start) > 20*time.Minute {
			t.Errorf("%d failures in %s", admitted, w.clock.Now().Sub(start))
		}
		w.clock.Advance(2 * time.Minute) // the minute has passed, the hour has not
		refused := w.fails(from(1), identity.User{}, "more@pico.example")
		if refused == nil || refused.Limit.Window != time.Hour || refused.Limit.Quota != 1000 || refused.RetryAfter < 30*time.Minute {
			t.Errorf("refused %+v", refused)
		}
		if refused := w.fails(from(2), identity.User{}, "more@pico.example"); refused != nil {
			t.Errorf("another network is refused: %+v", refused)
		}
		w.clock.Advance(refused.RetryAfter)
		if refused := w.fails(from(1), identity.User{}, "more@pico.example"); refused != nil {
			t.Errorf("refused after the wait: %+v", refused)
		}
	})
}

func TestBehindAProxyThatIsNotConfiguredANetworkHasTenTimesAsMany(t *testing.T) {
	w := newWorld(t, sqlite(t))
	by := from(1)
	by.UnknownProxy = true
	for i := range 600 {
		if refused := w.fails(by, identity.User{}, strconv.Itoa(i)+"@pico.example"); refused != nil {
			t.Fatalf("failure %d: %+v", i, refused)
		}
	}
	refused := w.fails(by, identity.User{}, "more@pico.example")
	if refused == nil || refused.Limit.Quota != 600 {
		t.Errorf("refused %+v", refused)
	}
}

func TestRegistrationsAreLimitedToAHundredAMinuteAndAThousandADay(t *testing.T) {
	w := newWorld(t, sqlite(t))
	registered := func(by identity.Actor) (n int, last *fault.Error) {
		for {
			if last = w.refusal(w.Registration(t.Context(), by)); last != nil {
				return n, last
			}
			n++
		}
	}
	for range 9 {
		n, refused := registered(from(1))
		if n != 100 || refused.Limit.Name != "registrations" || refused.RetryAfter > 65*time.Second {
			t.Fatalf("%d, then %+v", n, refused)
		}
		w.clock.Advance(refused.RetryAfter)
	}
	n, refused := registered(from(1))
	if n != 100 || refused.Limit.Window != 24*time.Hour || refused.RetryAfter < 23*time.Hour {
		t.Errorf("the tenth time %d, then %+v", n, refused)
	}
	if n, _ := registered(from(2)); n != 100 {
		t.Errorf("another network: %d", n)
	}
	w.clock.Advance(refused.RetryAfter)
	if n, _ := registered(from(1)); n != 100 {
		t.Errorf("a day later: %d", n)
	}
}

func TestChangesOfTheOwnProfileAreLimitedByUser(t *testing.T) {
	w := newWorld(t, sqlite(t))
	change := func(by identity.Actor) *fault.Error { return w.refusal(w.ProfileChange(t.Context(), by)) }
	changed := 0
	for range 10 {
		refused := change(from(changed).AsUser(ada.ID))
		for ; refused == nil; refused = change(from(changed).AsUser(ada.ID)) {
			changed++ // whatever the network
		}
		if refused.Limit.Name != "profile" {
			t.Fatalf("refused %+v", refused)
		}
		if refused := change(from(0).AsUser(bob.ID)); refused != nil {
			t.Errorf("another user is refused: %+v", refused)
		}
		w.clock.Advance(min(refused.RetryAfter, time.Hour))
	}
	if changed != 2000 {
		t.Errorf("%d changes in some hours, want the limit of a day", changed)
	}
}

func TestUnknownTokensAreLimitedApartFromLogins(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for i := range 60 {
		if err := w.UnknownToken(t.Context(), from(1)); err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if refused := w.refusal(w.UnknownToken(t.Context(), from(1))); refused == nil || refused.Limit.Name != "tokens" {
		t.Errorf("refused %+v", refused)
	}
	if refused := w.fails(from(1), ada, ada.Email); refused != nil {
		t.Errorf("a login of the network is refused: %+v", refused)
	}
	if err := w.UnknownToken(t.Context(), from(2)); err != nil {
		t.Errorf("another network is refused: %v", err)
	}
	if got := w.Stats(); got["tokens"] != 1 || got["network"] != 0 {
		t.Errorf("counted %v", got)
	}
}

func TestTheLimitOfANetworkIsToldOnceAnHour(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for range 3 {
		for i := range 70 {
			w.guess(from(1), identity.User{}, strconv.Itoa(i)+"@pico.example")
		}
		w.clock.Advance(2 * time.Minute)
	}
	if got := w.told(identity.ActionThrottle); len(got) != 1 || got[0].Detail != "network 10.0.1.0/24" || got[0].Address != from(1).Address {
		t.Errorf("told %+v", got)
	}
	w.clock.Advance(time.Hour)
	for i := range 70 {
		w.guess(from(1), identity.User{}, strconv.Itoa(i)+"@pico.example")
	}
	if got := w.told(identity.ActionThrottle); len(got) != 2 {
		t.Errorf("told %+v", got)
	}
}

// A refused authorization request costs a page: its answer waits, so that connections
// bound how many a network gets.
func TestTheAnswerToARefusedAuthorizationRequestWaits(t *testing.T) {
	w := newWorld(t, sqlite(t))
	var last error
	began := time.Now()
	for last == nil {
		began = time.Now()
		last = w.AuthorizationRequest(t.Context(), from(1))
	}
	if waited := time.Since(began); fault.KindOf(last) != fault.Throttled || waited < 250*time.Millisecond {
		t.Errorf("%v after %s", last, waited)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.AuthorizationRequest(gone, from(1)); fault.KindOf(err) != fault.Throttled {
		t.Errorf("%v after the request was cancelled", err)
	}
}

// A site with a /48 of IPv6 has 256 networks, a provider with a /32 65,536 sites.
func TestRequestsThatWaitAreLimitedInWiderNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		network func(i int) string
		limit   int
		quota   fault.Limit
		other   string
	}{
		"IPv6 site": {
			func(i int) string { return fmt.Sprintf("2001:db8:1:%x00::/56", i%256) }, 2000,
			fault.Limit{Name: "authorizations-site", Quota: 2000, Window: 10 * time.Minute},
			"2001:db8:2::/56",
		},
		"IPv6 provider": {
			func(i int) string { return fmt.Sprintf("2001:db8:%x::/56", i%1000) }, 5000,
			fault.Limit{Name: "authorizations-provider", Quota: 5000, Window: 10 * time.Minute},
			"2001:db9::/56",
		},
		"IPv4 provider": {
			func(i int) string { return fmt.Sprintf("198.51.%d.0/24", i%256) }, 5000,
			fault.Limit{Name: "authorizations-provider", Quota: 5000, Window: 10 * time.Minute},
			"198.52.0.0/24",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sqlite(t))
			for i := range c.limit {
				if err := w.WaitingRequest(t.Context(), identity.Actor{Network: c.network(i)}); err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
			}
			err := w.WaitingRequest(t.Context(), identity.Actor{Network: c.network(c.limit)})
			if refused, ok := errors.AsType[*fault.Error](err); !ok || refused.Limit != c.quota {
				t.Errorf("beyond the limit: %v", err)
			}
			if err := w.WaitingRequest(t.Context(), identity.Actor{Network: c.other}); err != nil {
				t.Errorf("another network: %v", err)
			}
			if err := w.AuthorizationRequest(t.Context(), identity.Actor{Network: c.network(0)}); err != nil {
				t.Errorf("a user who is signed in: %v", err)
			}
			w.clock.Advance(11 * time.Minute)
			if err := w.WaitingRequest(t.Context(), identity.Actor{Network: c.network(0)}); err != nil {
				t.Errorf("later: %v", err)
			}
		})
	}
}

// The store replaces the oldest requests of a network that has its share of the places.
func TestOneNetworkDoesNotUseUpWhatItsNeighboursMayHave(t *testing.T) {
	for name, c := range map[string]struct{ flood, neighbour string }{
		"IPv6 site":     {"2001:db8:1:100::/56", "2001:db8:1:200::/56"},
		"IPv4 provider": {"198.51.100.0/24", "198.51.101.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sqlite(t))
			ended, cancel := context.WithCancel(t.Context())
			cancel() // a refusal does not wait
			for range 60 {
				for range 110 {
					_ = w.WaitingRequest(ended, identity.Actor{Network: c.flood}) // 600 a minute pass
				}
				w.clock.Advance(10 * time.Second)
			}
			if err := w.WaitingRequest(t.Context(), identity.Actor{Network: c.neighbour}); err != nil {
				t.Errorf("a neighbour of a flood: %v", err)
			}
		})
	}
}

// What was refused holds no place, so it must not let its network pass.
func TestRefusedRequestsDoNotPassTheLimitOfASite(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for i := range 2000 {
		if err := w.WaitingRequest(t.Context(), identity.Actor{Network: fmt.Sprintf("2001:db8:1:%x00::/56", i%250)}); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // a refusal does not wait
	for range 25 {
		for i := range 110 {
			if err := w.WaitingRequest(ended, identity.Actor{Network: "2001:db8:1:ff00::/56"}); err == nil {
				t.Fatalf("request %d of a full site passes", i)
			}
		}
		w.clock.Advance(10 * time.Second)
	}
}
