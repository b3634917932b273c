package authorize_test

import (
	"errors"
	"fmt"
	"maps"
	"sync"
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

// attack is a user who is signed in, and a client.
type attack struct {
	*testrig.Rig
	t      *testing.T
	url    string
	by     identity.Actor // the user in their browser
	in     authorize.Browser
	client oauth.Client
}

const most = 10 // grants of a user in a day

func onEach(t *testing.T, test func(a *attack)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		a := &attack{t: t, url: url, Rig: testrig.New(t, url, func(c *testrig.Config) { c.Throttle.Grants = most })}
		u, err := a.Directory.CreateUser(t.Context(), system, directory.NewUser{Email: "ada@pico.example", Password: "correct horse battery"})
		a.ok(err)
		u, err = a.Store.UserByID(t.Context(), u.ID)
		a.ok(err)
		cookie, s, err := a.Sessions.StartBrowser(t.Context(), identity.Actor{}, identity.NewProof(u, a.Clock.Now(), identity.MethodPassword), "", false)
		a.ok(err)
		a.in = authorize.Browser{SessionID: s.Session.ID, CookieHash: cookie.Hash()}
		a.by = identity.Actor{Network: "192.0.2.0/24"}.AsUser(u.ID)
		a.by.SessionID = s.Session.ID
		a.client = a.register(oauth.Settings{"first_party": true})
		test(a)
	})
}

func (a *attack) ok(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *attack) register(more oauth.Settings) oauth.Client {
	a.t.Helper()
	s := oauth.Settings{"redirect_uris": []string{"https://app.example/cb"}, "require_pkce": false}
	maps.Copy(s, more)
	c, _, err := a.Clients.Create(a.t.Context(), system, s)
	a.ok(err)
	return c
}

// events is how many rows the audit log has of an action.
func (a *attack) events(action identity.Action) string {
	a.t.Helper()
	a.Audit.Flush()
	return storetest.Rows(a.t, a.url, "SELECT COUNT(*) FROM audit_events WHERE action = '"+string(action)+"'")[0][0]
}

// codes asks for n codes at once, as the scripts of a page do, and returns how many were
// issued. All others are refused as RFC 6749 section 4.1.2.1 has it.
func (a *attack) codes(c oauth.Client, n int) (issued int) {
	a.t.Helper()
	p := params(c)
	p.Set("prompt", "none")
	var all sync.WaitGroup
	var mu sync.Mutex
	for range n {
		all.Go(func() {
			next, err := a.Authorize.Begin(a.t.Context(), identity.Actor{Network: "192.0.2.0/24"}, p, a.in)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil || next.Response == nil:
				a.t.Errorf("%+v, %v", next, err)
			case next.Response.Params.Get("code") != "":
				issued++
			case next.Response.Params.Get("error") != "temporarily_unavailable" || next.Response.Params.Get("state") != "s" || next.Response.Params.Get("iss") != testrig.Issuer:
				a.t.Errorf("refused with %v", next.Response.Params)
			}
		})
	}
	all.Wait()
	return issued
}

// A client's page can make the browser of its user ask for codes without pause, and redeem
// none. Each is a row, and an event.
func TestCodesOfAUserAreBoundedAndOtherClientsServed(t *testing.T) {
	onEach(t, func(a *attack) {
		if n := a.codes(a.client, 3*most); n != most {
			t.Errorf("%d codes", n)
		}
		if got := a.events(identity.ActionAuthorize); got != fmt.Sprint(most) {
			t.Errorf("%s events", got)
		}
		if n := a.codes(a.register(oauth.Settings{"first_party": true}), 3); n != 1 {
			t.Errorf("another client gets %d codes, want a tenth", n)
		}
		if got := a.events(identity.ActionThrottle); got != "2" {
			t.Errorf("the limit is told %s times", got)
		}
		a.Clock.Advance(25 * time.Hour)
		for more := true; more; {
			var err error
			if more, err = a.Authorize.Purge(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
		}
		if left := storetest.Rows(t, a.url, "SELECT id FROM authorization_requests"); len(left) != 0 {
			t.Errorf("%d requests stay", len(left))
		}
	})
}

// What a user decides on our pages is an event too: consents that lead to no code, and
// devices.
func TestDecisionsOfAUserAreBounded(t *testing.T) {
	onEach(t, func(a *attack) {
		asks := a.register(oauth.Settings{"consent": true})
		device := a.register(oauth.Settings{"kind": "native", "grant_types": []string{oauth.GrantDevice}, "redirect_uris": []string{}, "require_pkce": true})
		var refused int
		for range most {
			p := params(asks)
			p.Set("prompt", "consent")
			next, err := a.Authorize.Begin(t.Context(), identity.Actor{Network: "192.0.2.0/24"}, p, a.in)
			a.ok(err)
			in := a.in
			in.Secret = next.Secret
			refused += a.throttled(a.Authorize.Consent(t.Context(), a.by, next.ID, in))
			codes, err := a.Authorize.StartDevice(t.Context(), identity.Actor{Network: "192.0.2.0/24"}, device, "openid", nil)
			a.ok(err)
			refused += a.throttled(a.Authorize.DecideDevice(t.Context(), a.by, codes.User, true))
		}
		if refused != most {
			t.Errorf("%d of %d are refused", refused, 2*most)
		}
		if consents, devices := a.events(identity.ActionConsent), a.events(identity.ActionDevice); consents != "5" || devices != "5" {
			t.Errorf("%s and %s events", consents, devices)
		}
	})
}

// throttled is 1 for a refusal of a limit, 0 for success.
func (a *attack) throttled(err error) int {
	a.t.Helper()
	if err == nil {
		return 0
	}
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Throttled || f.RetryAfter < time.Second {
		a.t.Errorf("refused with %v", err)
	}
	return 1
}
