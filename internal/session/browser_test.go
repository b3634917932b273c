package session_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
)

const day = 24 * time.Hour

// proved is another proof of the user.
func proved(t *testing.T, r *testrig.Rig, email string) identity.Proof {
	t.Helper()
	proof, err := r.Login.Password(t.Context(), web, email, secret)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func start(t *testing.T, r *testrig.Rig, proof identity.Proof, presented session.Cookie, stay bool) (session.Cookie, session.Browser) {
	t.Helper()
	cookie, b, err := r.Sessions.StartBrowser(t.Context(), web, proof, presented, stay)
	if err != nil {
		t.Fatal(err)
	}
	return cookie, b
}

// opens reports whether the cookie opens a session.
func opens(t *testing.T, r *testrig.Rig, cookie session.Cookie) bool {
	t.Helper()
	_, found, err := r.Sessions.Browser(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheCookieOpensTheSessionOfItsUser(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		u, proof := user(t, r, "ada@pico.example")
		cookie, started := start(t, r, proof, "", false)
		got, found, err := r.Sessions.Browser(t.Context(), cookie)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if diff := cmp.Diff(started, got); diff != "" {
			t.Errorf("(-started +read):\n%s", diff)
		}
		s, now := got.Session, r.Clock.Now().UTC().Truncate(time.Microsecond)
		want := identity.Session{
			ID: s.ID, CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(day), EndsAt: now.Add(14 * day),
			Address: web.Address, UserAgent: web.UserAgent, AuthTime: proof.Time().UTC().Truncate(time.Microsecond),
			Methods: []string{identity.MethodPassword}, ACR: identity.ACROneFactor,
		}
		if diff := cmp.Diff(want, s); diff != "" || got.User.ID != u.ID {
			t.Errorf("user %s (-want +got):\n%s", got.User.ID, diff)
		}
		for _, other := range []session.Cookie{"", "x", cookie[1:] + "x", session.Cookie(strings.Repeat("a", 1<<20))} {
			if opens(t, r, other) {
				t.Errorf("%.50s opens a session", string(other))
			}
		}
	})
}

func TestTheStoreHasNoCookie(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		r := testrig.New(t, url)
		_, proof := user(t, r, "ada@pico.example")
		cookie, _ := start(t, r, proof, "", false)
		if len(cookie) != 43 {
			t.Errorf("%d characters", len(cookie))
		}
		for _, row := range storetest.Rows(t, url, "SELECT cookie_hash FROM sessions") {
			if strings.Contains(row[0], string(cookie)) || len(row[0]) != 64 {
				t.Errorf("stored %s", row[0])
			}
		}
		if r.Audit.Flush(); strings.Contains(r.Log.String(), string(cookie)) {
			t.Error("the log has it")
		}
	})
}

func TestPrintingACookieRedactsIt(t *testing.T) {
	cookie := session.Cookie("hunter22")
	printed := fmt.Sprintf("%v %s %#v %+v", cookie, cookie, cookie, struct{ C session.Cookie }{cookie}) + slog.AnyValue(cookie).Resolve().String()
	if strings.Contains(printed, "hunter") {
		t.Error(printed)
	}
}

func TestABrowserSessionEndsWhenIdleAndForGood(t *testing.T) {
	for name, c := range map[string]struct {
		stay      bool
		idle, end time.Duration
	}{"plain": {false, day, 14 * day}, "stay signed in": {true, 7 * day, 90 * day}} {
		t.Run(name, func(t *testing.T) {
			testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
				_, proof := user(t, r, "ada@pico.example")
				cookie, b := start(t, r, proof, "", c.stay)
				if kept := session.CookieLifetime(b); c.stay && kept != c.end || !c.stay && kept != 0 {
					t.Errorf("the browser keeps the cookie for %s", kept)
				}
				began := r.Clock.Now()
				for step := c.idle - time.Second; r.Clock.Now().Sub(began)+step < c.end; {
					if r.Clock.Advance(step); !opens(t, r, cookie) {
						t.Fatalf("it ended after %s", r.Clock.Now().Sub(began))
					}
				}
				r.Clock.Advance(c.end - r.Clock.Now().Sub(began) - time.Second)
				if !opens(t, r, cookie) {
					t.Error("it ended before its absolute end")
				}
				if r.Clock.Advance(time.Second); opens(t, r, cookie) {
					t.Error("it opens after its absolute end")
				}
				idle, _ := start(t, r, proved(t, r, "ada@pico.example"), "", c.stay)
				if r.Clock.Advance(c.idle); opens(t, r, idle) {
					t.Error("it opens although it was not used")
				}
			})
		})
	}
}

func TestTheSettingsBoundABrowserSession(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		s := storetest.OpenURL(t, url, storetest.WithClock(clock), func(c *store.Config) {
			c.Browser = store.BrowserTimes{Idle: time.Hour, Max: 100 * day}
		})
		u := identity.User{ID: store.NewID(), Email: "a@b.example", EmailKey: "a@b.example", Role: identity.Viewer, OrgID: "default"}
		if err := s.CreateUser(t.Context(), store.Act{Action: "seed", By: system}, u); err != nil {
			t.Fatal(err)
		}
		for _, stay := range []bool{false, true} {
			b, err := s.StartBrowserSession(t.Context(), store.Act{Action: "login"}, identity.NewProof(u, clock.Now(), "pwd"),
				store.BrowserSignIn{CookieHash: fmt.Sprint(stay), Stay: stay})
			if err != nil {
				t.Fatal(err)
			}
			idle := map[bool]time.Duration{false: time.Hour, true: 7 * day}[stay]
			if now := clock.Now(); !b.Session.ExpiresAt.Equal(now.Add(idle)) || !b.Session.EndsAt.Equal(now.Add(100*day)) {
				t.Errorf("stay %t: ends at %s and %s", stay, b.Session.ExpiresAt, b.Session.EndsAt)
			}
		}
	})
}

// prompt=login, max_age: the same user keeps the session and its sid.
func TestSigningInAgainKeepsTheSession(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		_, proof := user(t, r, "ada@pico.example")
		first, before := start(t, r, proof, "", true)
		r.Clock.Advance(time.Hour)
		second, after := start(t, r, proved(t, r, "ada@pico.example"), first, false)
		if after.Session.ID != before.Session.ID || after.Session.AuthTime.Sub(before.Session.AuthTime) != time.Hour {
			t.Errorf("before %+v, after %+v", before.Session, after.Session)
		}
		if !after.Session.Stay || !after.Session.CreatedAt.Equal(before.Session.CreatedAt) {
			t.Errorf("after %+v", after.Session)
		}
		if opens(t, r, first) || !opens(t, r, second) {
			t.Error("the cookie was not replaced")
		}
		// The former cookie keeps nothing.
		_, third := start(t, r, proved(t, r, "ada@pico.example"), first, false)
		if third.Session.ID == before.Session.ID {
			t.Error("a former cookie continues the session")
		}
	})
}

func TestAnotherUserStartsAnotherSessionAndEndsTheFirst(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		_, ada := user(t, r, "ada@pico.example")
		bob, proof := user(t, r, "bob@pico.example")
		first, before := start(t, r, ada, "", false)
		second, after := start(t, r, proof, first, false)
		if after.Session.ID == before.Session.ID || after.User.ID != bob.ID || second == first {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if b, found, err := r.Sessions.Browser(t.Context(), first); err != nil || found {
			t.Errorf("the first session became %+v, %v", b, err)
		}
	})
}

func TestABrowserSessionNeedsAUserWhoMaySignIn(t *testing.T) {
	for name, happen := range map[string]func(r *testrig.Rig, id string) error{
		"suspended": func(r *testrig.Rig, id string) error {
			_, err := r.Directory.SetStatus(t.Context(), system, id, "suspended", "")
			return err
		},
		"password reset": func(r *testrig.Rig, id string) error {
			return r.Directory.ResetPassword(t.Context(), system, id, "battery staple")
		},
		"deleted": func(r *testrig.Rig, id string) error { return r.Directory.Delete(t.Context(), system, id, "") },
		"everywhere": func(r *testrig.Rig, id string) error {
			_, err := r.Sessions.EndAll(t.Context(), system, id)
			return err
		},
		"another session": func(*testrig.Rig, string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
				u, proof := user(t, r, "ada@pico.example")
				cookie, _ := start(t, r, proof, "", true)
				stale := proved(t, r, "ada@pico.example")
				if err := happen(r, u.ID); err != nil {
					t.Fatal(err)
				}
				if got, want := opens(t, r, cookie), name == "another session"; got != want {
					t.Errorf("opens: %t", got)
				}
				_, _, err := r.Sessions.StartBrowser(t.Context(), web, stale, cookie, false)
				if refused := fault.KindOf(err) == fault.Unauthenticated; refused != (name != "another session" && name != "everywhere") {
					t.Errorf("the earlier proof: %v", err)
				}
			})
		})
	}
}

func TestSigningOutEndsTheBrowserSession(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		u, proof := user(t, r, "ada@pico.example")
		cookie, b := start(t, r, proof, "", false)
		other, _ := start(t, r, proved(t, r, "ada@pico.example"), "", false)
		for range 2 {
			if _, err := r.Sessions.EndBrowser(t.Context(), web, cookie); err != nil {
				t.Fatal(err)
			}
		}
		if opens(t, r, cookie) || !opens(t, r, other) {
			t.Error("the wrong session ended")
		}
		page, err := r.Sessions.List(t.Context(), identity.Actor{}.AsUser(u.ID), u.ID, session.Filter{})
		if err != nil || len(page.Items) != 1 || page.Items[0].ClientID != "" || page.Items[0].ID == b.Session.ID {
			t.Errorf("listed %+v, %v", page.Items, err)
		}
		events, err := r.Store.Events(t.Context(), 1)
		if err != nil || events[0].Action != identity.ActionLogout || events[0].Detail != "session "+b.Session.ID || events[0].ActorID != u.ID {
			t.Errorf("audited %+v, %v", events, err)
		}
	})
}

func TestAPasswordChangeInABrowserLeavesItsSessionOnly(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		u, proof := user(t, r, "ada@pico.example")
		cookie, b := start(t, r, proof, "", false)
		other, _ := start(t, r, proved(t, r, "ada@pico.example"), "", false)
		pair, err := r.Sessions.Start(t.Context(), web, proved(t, r, "ada@pico.example"))
		if err != nil {
			t.Fatal(err)
		}
		by := web.AsUser(u.ID)
		by.SessionID = b.Session.ID
		next, err := r.Directory.ChangePasswordInBrowser(t.Context(), by, secret, "another long secret")
		if err != nil {
			t.Fatal(err)
		}
		if opens(t, r, cookie) || opens(t, r, other) || !opens(t, r, next) {
			t.Error("only the new cookie opens the session")
		}
		if _, err := r.Tokens.Rotate(t.Context(), web, pair.RefreshToken); err == nil {
			t.Error("the session of the JSON login continues")
		}
		if _, err := r.Login.Password(t.Context(), web, "ada@pico.example", "another long secret"); err != nil {
			t.Error(err)
		}
		if _, err := r.Sessions.EndBrowser(t.Context(), web, next); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Directory.ChangePasswordInBrowser(t.Context(), by, "another long secret", "a third long secret"); !errors.Is(err, identity.ErrInvalidToken) {
			t.Errorf("in an ended session: %v", err)
		}
	})
}

func TestTheLimitOfSessionsCountsThoseOfBrowsers(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		_, proof := user(t, r, "ada@pico.example")
		sessions := session.New(session.Config{Store: r.Store, Tokens: r.Tokens, Audit: r.Audit, Limit: 2, Now: r.Clock.Now})
		var cookies []session.Cookie
		for range 3 {
			cookie, _, err := sessions.StartBrowser(t.Context(), web, proof, "", false)
			if err != nil {
				t.Fatal(err)
			}
			cookies = append(cookies, cookie)
			r.Clock.Advance(time.Second)
		}
		if opens(t, r, cookies[0]) || !opens(t, r, cookies[1]) || !opens(t, r, cookies[2]) {
			t.Error("not the least recently used one ended")
		}
	})
}
