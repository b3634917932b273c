package authorize_test

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var system = identity.Actor{Kind: identity.ActorSystem}

// Anyone can start a sign-in at a client. However many networks do so without pause, the
// requests that are stored are bounded, and others refresh; make bench measures how fast.
func TestAFloodOfRequestsIsBoundedAndLetsRefreshesThrough(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		const most = 1000
		r := testrig.New(t, url)
		requests := authorize.New(authorize.Config{
			Store: r.Store, Audit: r.Audit, Throttle: r.Throttle, Issuer: testrig.Issuer, MaxOpen: most, Now: r.Clock.Now,
		})
		c, _, err := r.Clients.Create(t.Context(), system, oauth.Settings{"redirect_uris": []string{"https://app.example/cb"}, "require_pkce": false})
		if err != nil {
			t.Fatal(err)
		}
		idle := refreshes(t, r)

		var refused atomic.Int64
		var flood sync.WaitGroup
		stop := make(chan struct{})
		for attacker := range 2 {
			flood.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					time.Sleep(500 * time.Microsecond) // the writer is attacked, not the cores
					by := identity.Actor{Network: fmt.Sprintf("2001:db8:%x:%x::/56", attacker, i/100)}
					if _, err := requests.Begin(t.Context(), by, params(c), authorize.Browser{}); err != nil {
						if fault.KindOf(err) != fault.Throttled {
							t.Error(err)
							return
						}
						refused.Add(1)
					}
				}
			})
		}
		for refused.Load() == 0 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		during := refreshes(t, r)
		close(stop)
		flood.Wait()

		if n := len(storetest.Rows(t, url, "SELECT id FROM authorization_requests")); n != most {
			t.Errorf("%d requests are stored, want %d", n, most)
		}
		t.Logf("refreshes: %s, during the flood %s; %d requests refused", idle, during, refused.Load())
	})
}

func params(c oauth.Client) url.Values {
	return url.Values{
		"client_id": {c.ID}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
	}
}

// refreshes signs a new user in, refreshes often and returns the 95th percentile of how
// long one takes.
func refreshes(t *testing.T, r *testrig.Rig) time.Duration {
	t.Helper()
	email := fmt.Sprintf("u%d@pico.example", time.Now().UnixNano())
	u, err := r.Directory.CreateUser(t.Context(), system, directory.NewUser{Email: email, Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	u, err = r.Store.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := r.Sessions.Start(t.Context(), identity.Actor{}, identity.NewProof(u, r.Clock.Now(), identity.MethodPassword))
	if err != nil {
		t.Fatal(err)
	}
	took := make([]time.Duration, 100)
	for i := range took {
		start := time.Now()
		if pair, err = r.Tokens.Rotate(t.Context(), identity.Actor{}, pair.RefreshToken); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[95]
}
