package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

func (w *world) client(id string) oauth.Client {
	w.t.Helper()
	c, err := w.s.InsertClient(w.t.Context(), system("seed"), appClient(id), "", anyActor)
	w.ok(err)
	return c
}

func appClient(id string) oauth.Client {
	return oauth.Client{
		ID: id, Name: "App", Kind: oauth.KindWeb, RedirectURIs: []string{"https://app.example/cb"}, Consent: true,
		GrantTypes: []string{oauth.GrantCode, oauth.GrantRefresh}, Scopes: []string{"openid", "email"},
	}
}

// request is one of the client, from a network, for the browser with the secret of that
// hash.
func request(id, client, network, browser string) store.NewAuthorization {
	return store.NewAuthorization{
		ID: id, Network: network, Browser: browser,
		Request: oauth.AuthorizationRequest{
			Destination: oauth.Destination{ClientID: client, RedirectURI: "https://app.example/cb", ResponseMode: oauth.ModeQuery}, Scope: "openid email",
		},
	}
}

func (w *world) insert(n store.NewAuthorization) {
	w.t.Helper()
	_, err := w.s.InsertAuthorization(w.t.Context(), n)
	w.ok(err)
}

// isOpen reports whether the browser with the secret of that hash can go on with the request.
func (w *world) isOpen(id, browser string) bool {
	w.t.Helper()
	_, err := w.s.Authorization(w.t.Context(), store.AuthorizationRef{ID: id, BrowserHash: browser})
	if err != nil && !errors.Is(err, store.ErrNoAuthorization) {
		w.t.Fatal(err)
	}
	return err == nil
}

func anyone(store.Authorization) error { return nil }

// code issues a code named like its hash to the user, in a session of a browser that has
// the cookie.
func (w *world) code(u identity.User, client, cookie, hash string) store.BrowserSession {
	w.t.Helper()
	b := w.browse(u, cookie, false)
	_, err := w.s.IssueCodeAtOnce(w.t.Context(), store.Act{Action: "code"}, request("r-"+hash, client, "n", ""), b.Session.ID,
		store.NewCode{Hash: hash, ExpiresAt: w.clock.Now().Add(time.Minute), Ready: anyone})
	w.ok(err)
	return b
}

func (w *world) use(client, code, first string) (store.Subject, error) {
	f := store.NewFamily{ClientID: client, Granted: store.Granted{Scope: "openid email"}, ExpiresAt: w.clock.Now().Add(month), First: w.next(first)}
	c, err := w.s.Code(w.t.Context(), code)
	if err != nil && !errors.Is(err, store.ErrNoCode) {
		return store.Subject{}, err
	}
	return w.s.UseCode(w.t.Context(), identity.Actor{}, store.CodeUse{Hash: code, Code: c, May: anyone}, &f)
}

func TestARequestBelongsToOneBrowserForTenMinutes(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.insert(request("r", "app", "n", "mine"))
		if !w.isOpen("r", "mine") || w.isOpen("r", "other") || w.isOpen("r", "") || w.isOpen("s", "mine") {
			w.t.Error("another browser, or another request, can go on")
		}
		w.clock.Advance(store.AuthorizationLifetime - time.Second)
		if !w.isOpen("r", "mine") {
			w.t.Error("the request ended early")
		}
		w.clock.Advance(time.Second)
		if w.isOpen("r", "mine") {
			w.t.Error("the request has not expired")
		}
	})
}

func TestABrowserKeepsASecretThatThisServerMade(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		first := request("r1", "app", "n", "mine")
		first.Presented = "planted"
		kept, err := w.s.InsertAuthorization(w.t.Context(), first)
		if w.ok(err); kept || !w.isOpen("r1", "mine") {
			w.t.Errorf("kept a secret that no request belongs to: %t", kept)
		}
		second := request("r2", "app", "n", "fresh")
		second.Presented = "mine"
		kept, err = w.s.InsertAuthorization(w.t.Context(), second)
		if w.ok(err); !kept || !w.isOpen("r1", "mine") || !w.isOpen("r2", "mine") {
			w.t.Error("a second tab took the first one's request away")
		}
	})
}

func TestARequestWithoutABrowserIsGivenToOne(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.insert(request("r", "app", "n", ""))
		var given atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if _, err := w.s.BindAuthorization(w.t.Context(), "r", "", itoa(i)); err == nil {
					given.Add(1)
				}
			})
		}
		all.Wait()
		if given.Load() != 1 {
			w.t.Errorf("given to %d browsers", given.Load())
		}
		_, err := w.s.BindAuthorization(w.t.Context(), "unknown", "", "x")
		w.refused(err, fault.NotFound, "authorization_not_found")
	})
}

func TestANetworkBeyondItsRequestsLosesItsOldest(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.insert(request("other", "app", "m", "b"))
		for i := range 5 {
			n := request("r"+itoa(i), "app", "n", "b")
			n.PerNetwork = 3
			w.insert(n)
			w.clock.Advance(time.Millisecond)
		}
		for id, want := range map[string]bool{"r0": false, "r1": false, "r2": true, "r3": true, "r4": true, "other": true} {
			if w.isOpen(id, "b") != want {
				w.t.Errorf("%s: open is %t", id, !want)
			}
		}
	})
}

func TestRequestsInAllAreBounded(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		bounded := func(id string) error {
			n := request(id, "app", id, "b")
			n.InAll = 3
			_, err := w.s.InsertAuthorization(w.t.Context(), n)
			return err
		}
		for i := range 3 {
			w.ok(bounded("r" + itoa(i)))
		}
		w.refused(bounded("r3"), fault.Throttled, "rate_limited")
		w.clock.Advance(time.Minute)
		w.refused(bounded("r3"), fault.Throttled, "rate_limited")
		w.clock.Advance(store.AuthorizationLifetime)
		w.ok(bounded("r4"))
	})
}

func TestASignInGivesTheBrowserAnotherSecretForAllItsRequests(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		u := w.add("u", identity.Viewer, "default")
		w.insert(request("r1", "app", "n", "old"))
		w.insert(request("r2", "app", "n", "old"))
		w.insert(request("r3", "app", "n", "attacker"))
		b := w.browse(u, "cookie", false)
		ref := store.AuthorizationRef{ID: "r1", BrowserHash: "old", SessionID: b.Session.ID}
		w.ok(w.s.DecideAuthorization(w.t.Context(), ref, "new", func(a *store.Authorization) error {
			a.Decided = store.Decisions{SessionID: a.SessionID, SignedIn: true}
			return nil
		}))
		if w.isOpen("r1", "old") || !w.isOpen("r1", "new") || !w.isOpen("r2", "new") || !w.isOpen("r3", "attacker") {
			w.t.Error("the secrets were not replaced")
		}
		a, err := w.s.Authorization(w.t.Context(), store.AuthorizationRef{ID: "r1", BrowserHash: "new", SessionID: b.Session.ID})
		if w.ok(err); !a.Decided.SignedIn || a.User.ID != u.ID || a.AuthTime.IsZero() {
			w.t.Errorf("%+v", a)
		}
	})
}

func TestACodeIsSingleUseUnderConcurrency(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.code(w.add("u", identity.Viewer, "default"), "app", "cookie", "c")
		var used atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if _, err := w.use("app", "c", "t"+itoa(i)); err == nil {
					used.Add(1)
				}
			})
		}
		all.Wait()
		if used.Load() != 1 {
			w.t.Errorf("used %d times", used.Load())
		}
	})
}

// RFC 6749 section 4.1.2.
func TestRFC6749Section4_1_2ASecondUseEndsWhatWasIssued(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		b := w.code(w.add("u", identity.Viewer, "default"), "app", "cookie", "c")
		_, err := w.use("app", "c", "t")
		w.ok(err)
		w.clock.Advance(30 * time.Minute)
		_, err = w.use("app", "c", "t2")
		if !errors.Is(err, store.ErrCodeReuse) {
			w.t.Errorf("the second use: %v", err)
		}
		if ev := w.lastEvent(); ev.Action != identity.ActionCodeReuse || ev.Outcome != store.OutcomeRefused {
			w.t.Errorf("the last event is %+v", ev)
		}
		if err := w.refresh("app", "t", "t3"); !errors.Is(err, identity.ErrInvalidToken) {
			w.t.Errorf("the refresh token of the first use: %v", err)
		}
		_, err = w.use("app", "c", "t4")
		if !errors.Is(err, store.ErrNoCode) {
			w.t.Errorf("the third use: %v", err)
		}
		if ended := w.reason(b.User, b.Session.ID); ended != "" {
			w.t.Errorf("the session ended: %s", ended)
		}
	})
}

func TestACodeExpiresAfterItsLifetime(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.code(w.add("u", identity.Viewer, "default"), "app", "cookie", "c")
		w.clock.Advance(time.Minute)
		if _, err := w.use("app", "c", "t"); !errors.Is(err, store.ErrNoCode) {
			w.t.Errorf("an expired code: %v", err)
		}
	})
}

func TestACodeIsRefusedWhenWhatItWasIssuedForHasEnded(t *testing.T) {
	for name, end := range map[string]func(w *world, u identity.User, b store.BrowserSession) error{
		"session": func(w *world, u identity.User, b store.BrowserSession) error {
			return w.s.EndSession(w.t.Context(), act(u), b.Session.ID)
		},
		"user": func(w *world, u identity.User, _ store.BrowserSession) error {
			_, err := w.s.SetStatus(w.t.Context(), system("suspend"), u.ID, identity.Suspended)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				w.client("app")
				u := w.add("u", identity.Viewer, "default")
				b := w.code(u, "app", "cookie", "c")
				w.ok(end(w, u, b))
				if _, err := w.use("app", "c", "t"); !errors.Is(err, store.ErrNoCode) {
					w.t.Errorf("the code is accepted: %v", err)
				}
				c, err := w.s.Code(w.t.Context(), "c")
				if w.ok(err); c.Used {
					w.t.Error("a refused code is marked used")
				}
			})
		})
	}
}

func TestAConsentIsRememberedAndWithdrawn(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		w.client("other")
		u := w.add("u", identity.Viewer, "default")
		b := w.browse(u, "cookie", false)
		for i, scope := range []string{"openid", "openid email"} {
			n := request("r"+itoa(i), "app", "n", "b")
			n.Request.Scope = scope
			w.insert(n)
			ref := store.AuthorizationRef{ID: n.ID, BrowserHash: "b", SessionID: b.Session.ID}
			w.ok(w.s.Consent(w.t.Context(), store.Act{Action: identity.ActionConsent}, ref, anyoneMay))
		}
		a, err := w.s.Authorizing(w.t.Context(), "app", "cookie")
		if w.ok(err); a.Granted != "openid email" {
			w.t.Errorf("granted %q", a.Granted)
		}
		all, err := w.s.Consents(w.t.Context(), u.ID)
		if w.ok(err); len(all) != 1 || all[0].Client.Name != "App" || all[0].Scope != "openid email" {
			w.t.Errorf("%+v", all)
		}
		w.of(u, b.Session.ID, "app", "openid", "t0")
		w.of(u, b.Session.ID, "app", "openid offline_access", "o0")
		w.of(u, b.Session.ID, "other", "openid", "x0")
		w.ok(w.s.WithdrawConsent(w.t.Context(), store.Act{Action: "test", By: identity.Actor{}.AsClient("other", u.ID)}, "app"))
		for _, token := range []string{"t", "o"} {
			if err := w.refresh("app", token+"0", token+"1"); !errors.Is(err, identity.ErrInvalidToken) {
				w.t.Errorf("a token of the client is accepted: %v", err)
			}
		}
		w.ok(w.refresh("other", "x0", "x1"))
		if ended := w.reason(u, b.Session.ID); ended != "" {
			w.t.Errorf("the session ended: %s", ended)
		}
		w.notFound(w.s.WithdrawConsent(w.t.Context(), act(u), "app"))
	})
}

func TestTheConsentsOfAUserAreDeletedWithThem(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.client("app")
		u := w.add("u", identity.Viewer, "default")
		b := w.browse(u, "cookie", false)
		w.insert(request("r", "app", "n", "b"))
		ref := store.AuthorizationRef{ID: "r", BrowserHash: "b", SessionID: b.Session.ID}
		w.ok(w.s.Consent(w.t.Context(), store.Act{Action: identity.ActionConsent}, ref, anyoneMay))
		w.ok(w.s.DeleteUser(w.t.Context(), system("delete"), u.ID))
		if left := query("SELECT client_id FROM consents"); len(left) != 0 {
			w.t.Errorf("consents of %q are left", left)
		}
	})
}

func anyoneMay(*store.Authorization) error { return nil }

func TestPurgeKeepsOpenRequestsAndUsedCodes(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.client("app")
		u := w.add("u", identity.Viewer, "default")
		w.code(u, "app", "cookie", "unused")
		w.code(u, "app", "cookie2", "used")
		_, err := w.use("app", "used", "t")
		w.ok(err)
		w.insert(request("small", "app", "n", "b"))
		large := request("large", "app", "n", "b")
		large.Request.State = strings.Repeat("s", 3000)
		w.insert(large)
		for _, c := range []struct {
			after time.Duration
			want  []string
		}{
			{time.Minute, []string{"large", "r-used", "small"}},
			{store.AuthorizationLifetime, []string{"r-used", "small"}},
			{time.Hour, nil},
		} {
			w.clock.Advance(c.after)
			_, err := w.s.PurgeAuthorizations(w.t.Context(), 0)
			w.ok(err)
			if left := query("SELECT id FROM authorization_requests ORDER BY id"); !slices.Equal(left, c.want) {
				w.t.Errorf("%s later %q are left, want %q", c.after, left, c.want)
			}
		}
		for i := range 3 {
			w.insert(request(itoa(i), "app", "n", "b"))
		}
		w.clock.Advance(time.Hour)
		for _, want := range []int{2, 1, 0} {
			if purged, err := w.s.PurgeAuthorizations(w.t.Context(), 2); err != nil || purged != want {
				w.t.Errorf("%d requests were purged, want %d, %v", purged, want, err)
			}
		}
	})
}

// What is large of a request, such as a state of 10 KB, is not needed for its code.
func TestOfARequestWithACodeOnlyWhatTheExchangeNeedsIsStored(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.client("app")
		b := w.browse(w.add("u", identity.Viewer, "default"), "cookie", false)
		n := request("r", "app", "n", "mine")
		n.Request.State, n.Request.LoginHint, n.Request.Nonce, n.Request.CodeChallenge = strings.Repeat("s", 10_000), "u@example.com", "of the client", "c"
		w.insert(n)
		_, err := w.s.IssueCode(w.t.Context(), store.Act{Action: "code"}, store.AuthorizationRef{ID: "r", BrowserHash: "mine", SessionID: b.Session.ID},
			store.NewCode{Hash: "c", ExpiresAt: w.clock.Now().Add(time.Minute), Ready: anyone})
		w.ok(err)
		c, err := w.s.Code(w.t.Context(), "c")
		w.ok(err)
		if r := c.Request; r.State != "" || r.LoginHint != "" || r.Nonce != "of the client" || r.CodeChallenge != "c" || r.Scope != "openid email" || r.RedirectURI == "" {
			w.t.Errorf("of the request with a code %+v is left", r)
		}
		_, err = w.use("app", "c", "t")
		w.ok(err)
		c, err = w.s.Code(w.t.Context(), "c")
		w.ok(err)
		if r := c.Request; r.Nonce != "" || r.Scope != "" || r.CodeChallenge != "c" || r.ClientID != "app" || r.RedirectURI == "" || !c.Used {
			w.t.Errorf("of the request with a used code %+v is left", r)
		}
		if stored := query("SELECT request FROM authorization_requests"); len(stored[0]) > 200 {
			w.t.Errorf("%d bytes are stored", len(stored[0]))
		}
	})
}

// A browser learns where its request leads after it has ended, another one nothing.
func TestAnEndedRequestIsKnownToItsBrowser(t *testing.T) {
	onEach(t, func(w *world) {
		w.client("app")
		b := w.browse(w.add("u", identity.Viewer, "default"), "cookie", false)
		ref := func(id, browser string) store.AuthorizationRef {
			return store.AuthorizationRef{ID: id, BrowserHash: browser, SessionID: b.Session.ID}
		}
		for _, id := range []string{"code", "denied", "expired"} {
			n := request(id, "app", "n", "mine")
			n.Request.UILocales = []string{strings.Repeat("x", 36), "de", "fr", "es", "it"}
			w.insert(n)
		}
		_, err := w.s.IssueCode(w.t.Context(), store.Act{Action: "code"}, ref("code", "mine"), store.NewCode{Hash: "c", ExpiresAt: w.clock.Now().Add(time.Minute), Ready: anyone})
		w.ok(err)
		_, err = w.s.EndAuthorization(w.t.Context(), ref("denied", "mine"))
		w.ok(err)
		for id, after := range map[string]time.Duration{"code": 0, "denied": 0, "expired": store.AuthorizationLifetime} {
			w.clock.Advance(after)
			for _, browser := range []string{"mine", "other", ""} {
				_, err := w.s.Authorization(w.t.Context(), ref(id, browser))
				w.refused(err, fault.NotFound, "authorization_not_found")
				ended, own := errors.AsType[*store.EndedAuthorization](err)
				if own != (browser == "mine") || own && (ended.Client.Name != "App" || ended.RedirectURI == "" || ended.SignedIn != (id == "code") || !slices.Contains(ended.UILocales, "de")) {
					w.t.Errorf("%s in the browser %q: %+v", id, browser, ended)
				}
			}
		}
	})
}

// authorizeVerbs are the steps of everyVerb about authorization requests.
func authorizeVerbs(w *world) []step {
	ctx, s := w.t.Context(), w.s
	u := identity.User{ID: "a", EmailKey: "a", PasswordHash: "h", Role: identity.Viewer, OrgID: "default", Status: identity.Active}
	var b store.BrowserSession
	ref := func(id, browser string) store.AuthorizationRef {
		return store.AuthorizationRef{ID: id, BrowserHash: browser, SessionID: b.Session.ID}
	}
	code := func(hash string) store.NewCode {
		return store.NewCode{Hash: hash, ExpiresAt: w.clock.Now().Add(time.Minute), Ready: anyone}
	}
	insert := func(id, browser string) step {
		return step{"InsertAuthorization " + id, func() error {
			n := request(id, "app-a", "n", browser)
			n.PerNetwork, n.InAll, n.Presented = 9, 99, "presented"
			_, err := s.InsertAuthorization(ctx, n)
			return err
		}}
	}
	use := func(hash string) error {
		_, err := w.use("app-a", hash, "t-"+hash)
		if errors.Is(err, store.ErrCodeReuse) {
			return nil
		}
		return err
	}
	return []step{
		{"InsertUser for clients", func() error { return s.InsertUser(ctx, store.Act{Action: "register"}, u) }},
		{"InsertClient", func() error {
			_, err := s.InsertClient(ctx, system("seed"), appClient("app-a"), "", anyActor)
			return err
		}},
		{"StartBrowserSession", func() (err error) {
			b, err = s.StartBrowserSession(ctx, store.Act{Action: "login"}, w.proof(u), store.BrowserSignIn{CookieHash: "cookie-a"})
			return err
		}},
		insert("a1", "browser-a"), insert("a2", ""), insert("a3", "browser-a"),
		{"BindAuthorization", func() error { _, err := s.BindAuthorization(ctx, "a2", "browser-a", "other"); return err }},
		{"Authorizing", func() error {
			_, err := s.Authorizing(ctx, "app-a", "cookie-a")
			return err
		}},
		{"Authorization", func() error { _, err := s.Authorization(ctx, ref("a1", "browser-a")); return err }},
		{"DecideAuthorization", func() error { return s.DecideAuthorization(ctx, ref("a1", "browser-a"), "browser-b", anyoneMay) }},
		{"Consent", func() error {
			return s.Consent(ctx, store.Act{Action: identity.ActionConsent}, ref("a1", "browser-b"), anyoneMay)
		}},
		{"Consents", func() error { _, err := s.Consents(ctx, "a"); return err }},
		{"IssueCode", func() error {
			_, err := s.IssueCode(ctx, store.Act{Action: "code"}, ref("a1", "browser-b"), code("c1"))
			return err
		}},
		{"IssueCodeAtOnce", func() error {
			_, err := s.IssueCodeAtOnce(ctx, store.Act{Action: "code"}, request("a4", "app-a", "n", ""), b.Session.ID, code("c2"))
			return err
		}},
		{"Code", func() error { _, err := s.Code(ctx, "c1"); return err }},
		{"UseCode", func() error { return use("c1") }},
		{"UseCode again", func() error { return use("c1") }},
		{"EndAuthorization", func() error { _, err := s.EndAuthorization(ctx, ref("a2", "browser-b")); return err }},
		{"WithdrawConsent", func() error { return s.WithdrawConsent(ctx, act(u), "app-a") }},
		{"PurgeAuthorizations", func() error {
			w.clock.Advance(2 * time.Hour)
			_, err := s.PurgeAuthorizations(ctx, 10)
			return err
		}},
	}
}

func anyActor(identity.Principal, oauth.Client) error { return nil }
