package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

func TestASessionNeedsTheProvedCredentialsAndAnActiveUser(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Operator, "acme")
		start := func(u identity.User) error {
			_, err := w.start(u, "f", w.clock.Now().Add(month), w.next("h"))
			return err
		}
		stale := u
		stale.CredentialsVersion--
		w.refused(start(stale), fault.Unauthenticated, "invalid_credentials")
		w.refused(start(identity.User{ID: "nobody"}), fault.Unauthenticated, "invalid_credentials")
		w.refused(start(identity.User{}), fault.Unauthenticated, "invalid_credentials")
		_, err := w.s.SetStatus(w.t.Context(), system("s"), u.ID, identity.Suspended)
		w.ok(err)
		w.refused(start(u), fault.Unauthenticated, "invalid_credentials")
		if !w.user(u.ID).LastLoginAt.IsZero() {
			w.t.Error("a refused login was recorded as one")
		}
		_, err = w.s.SetStatus(w.t.Context(), system("s"), u.ID, identity.Active)
		w.ok(err)
		g := w.login(u, "h")
		want := store.Subject{User: w.user(u.ID), Groups: []string{}, SessionID: "family-h", FamilyID: "family-h"}
		if diff := cmp.Diff(want, g); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		if !g.User.LastLoginAt.Equal(w.clock.Now()) {
			w.t.Error("the time of the login was not recorded")
		}
		if ev := w.lastEvent(); ev.Action != "login" || ev.ActorID != u.ID || ev.TargetID != u.ID || ev.OrgID != "acme" {
			w.t.Errorf("audit row: %+v", ev)
		}
	})
}

func TestRotationReturnsTheSuccessor(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "acme")
		w.login(u, "t0")
		_, err := w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Viewer)
		w.ok(err) // the same role ends nothing
		for i := range 5 {
			w.clock.Advance(6 * 24 * time.Hour) // each rotation extends the expiry
			g, err := w.rotate("t"+itoa(i), "t"+itoa(i+1))
			w.ok(err)
			if g.User.ID != u.ID || g.SessionID != "family-t0" {
				w.t.Errorf("grant: %+v", g)
			}
		}
		before := w.eventCount()
		_, err = w.rotate("unknown", "x")
		w.refused(err, fault.Unauthenticated, "invalid_token")
		if errors.Is(err, store.ErrReuse) || w.eventCount() != before {
			w.t.Error("an unknown token was treated as a used one")
		}
	})
}

func TestEitherHashOfATokenIsAccepted(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "keyed")
		_, err := w.s.RotateRefresh(w.t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"plain", "keyed"}}, w.next("t1"))
		w.ok(err)
		_, err = w.s.RotateRefresh(w.t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"plain", "keyed"}}, w.next("t2"))
		if !errors.Is(err, store.ErrReuse) {
			w.t.Errorf("got %v, want reuse", err)
		}
		for _, hashes := range [][]string{nil, {"a", "b", "c"}} {
			if _, err := w.s.RotateRefresh(w.t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: hashes}, w.next("t3")); fault.KindOf(err) != fault.Internal {
				w.t.Errorf("%v: %v", hashes, err)
			}
		}
	})
}

func TestReuseEndsTheFamilyForGood(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "acme")
		g, other := w.login(u, "a0"), w.login(u, "b0")
		_, err := w.rotate("a0", "a1")
		w.ok(err)
		before := w.eventCount()
		_, err = w.rotate("a0", "a2")
		w.refused(err, fault.Unauthenticated, "invalid_token")
		if !errors.Is(err, store.ErrReuse) || !errors.Is(err, identity.ErrInvalidToken) {
			w.t.Errorf("reuse is not distinguished: %v", err)
		}
		if got := w.reason(u, g.SessionID); got != store.EndReuse {
			w.t.Errorf("the family was ended by %q", got)
		}
		ev := w.lastEvent()
		want := store.Event{
			ID: ev.ID, At: w.clock.Now(), Action: identity.ActionReuse, Outcome: store.OutcomeRefused, TargetID: u.ID, OrgID: "acme",
			Address: "192.0.2.9", Detail: "family " + g.SessionID,
		}
		if diff := cmp.Diff(want, ev); diff != "" {
			w.t.Errorf("audit row (-want +got):\n%s", diff)
		}
		for _, hash := range []string{"a0", "a1", "a0"} { // the successor is invalid, and the log does not grow
			_, err = w.rotate(hash, "a9")
			w.refused(err, fault.Unauthenticated, "invalid_token")
			if errors.Is(err, store.ErrReuse) {
				w.t.Error("a reuse was counted again")
			}
		}
		if n := w.eventCount(); n != before+1 {
			w.t.Errorf("%d audit rows of one reuse", n-before)
		}
		_, err = w.rotate("b0", "b1")
		w.ok(err) // another session of the user continues
		if w.reason(u, other.SessionID) != "" {
			w.t.Error("another session was ended")
		}
	})
}

func TestRotationRefusesWhatHasEnded(t *testing.T) {
	end := map[string]func(w *world, u identity.User, g store.Subject){
		"logout": func(w *world, u identity.User, g store.Subject) {
			w.ok(w.s.EndSession(w.t.Context(), act(u), g.SessionID))
		},
		"logout by token": func(w *world, _ identity.User, _ store.Subject) {
			_, err := w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"t-logout by token"}})
			w.ok(err)
		},
		"role": func(w *world, u identity.User, _ store.Subject) {
			_, err := w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Operator)
			w.ok(err)
		},
		"suspension": func(w *world, u identity.User, _ store.Subject) {
			_, err := w.s.SetStatus(w.t.Context(), system("s"), u.ID, identity.Suspended)
			w.ok(err)
		},
		"suspension and back": func(w *world, u identity.User, _ store.Subject) {
			for _, status := range []identity.Status{identity.Suspended, identity.Active} {
				_, err := w.s.SetStatus(w.t.Context(), system("s"), u.ID, status)
				w.ok(err)
			}
		},
		"deletion": func(w *world, u identity.User, _ store.Subject) {
			w.ok(w.s.DeleteUser(w.t.Context(), system("s"), u.ID))
		},
		"reset": func(w *world, u identity.User, _ store.Subject) {
			w.ok(w.s.ResetPassword(w.t.Context(), system("s"), u.ID, "new"))
		},
		"change": func(w *world, u identity.User, _ store.Subject) {
			_, err := w.change(u, "", "", "t3-change")
			w.ok(err)
		},
		"idle expiry":     func(w *world, _ identity.User, _ store.Subject) { w.clock.Advance(week) },
		"absolute expiry": func(w *world, _ identity.User, _ store.Subject) { w.clock.Advance(3 * month) },
	}
	onEach(t, func(w *world) {
		for name, finish := range end {
			w.t.Log(name)
			u := w.add("u-"+name, identity.Viewer, "default")
			g, err := w.start(u, "f-"+name, w.clock.Now().Add(3*month), w.next("t-"+name))
			w.ok(err)
			finish(w, u, g)
			_, err = w.rotate("t-"+name, "t2-"+name)
			w.refused(err, fault.Unauthenticated, "invalid_token")
			if errors.Is(err, store.ErrReuse) {
				w.t.Errorf("%s: an unused token was treated as a used one", name)
			}
		}
	})
}

func TestNoTokenOutlivesItsFamily(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		_, err := w.start(u, "f", w.clock.Now().Add(10*24*time.Hour), w.next("t0"))
		w.ok(err)
		w.clock.Advance(6 * 24 * time.Hour)
		_, err = w.rotate("t0", "t1")
		w.ok(err)
		w.clock.Advance(4*24*time.Hour - time.Microsecond)
		_, err = w.rotate("t1", "t2")
		w.ok(err)
		w.clock.Advance(time.Microsecond)
		_, err = w.rotate("t2", "t3")
		w.refused(err, fault.Unauthenticated, "invalid_token")
	})
}

func TestRotateIsSingleUseUnderConcurrency(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		for round, n := range []int{8, 16, 64} {
			old, fresh := numbered("old", round), numbered("new", round)
			g := w.login(u, old)
			errs := race(n, func(i int) error {
				_, err := w.rotate(old, numbered(fresh, i))
				return err
			})
			won, reuse := 0, 0
			for _, err := range errs {
				switch {
				case err == nil:
					won++
				case errors.Is(err, store.ErrReuse):
					reuse++
				default:
					w.refused(err, fault.Unauthenticated, "invalid_token")
				}
			}
			if won != 1 || reuse != 1 {
				w.t.Fatalf("of %d rotations of one token %d succeeded and %d ended the family", n, won, reuse)
			}
			if got := w.reason(u, g.SessionID); got != store.EndReuse {
				w.t.Errorf("the family was ended by %q", got)
			}
		}
	})
}

// Model: a family has at most one valid token; a used one, presented again,
// leaves none.
func TestRotationKeepsOneValidTokenPerFamily(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
		run := 0
		rapid.Check(t, func(r *rapid.T) {
			run++
			user := w.add(numbered("p", run), identity.Viewer, "default")
			type family struct {
				id     string
				tokens []string // the last one is valid until the family ends
				valid  bool
			}
			var families []*family
			count := 0
			hash := func() string { count++; return numbered(numbered("h", run), count) }
			pick := func() *family { return rapid.SampledFrom(families).Draw(r, "family") }
			r.Repeat(map[string]func(*rapid.T){
				"login": func(*rapid.T) {
					h := hash()
					families = append(families, &family{id: w.login(user, h).FamilyID, tokens: []string{h}, valid: true})
				},
				"rotate": func(r *rapid.T) {
					if len(families) == 0 {
						r.Skip("no session")
					}
					f, next := pick(), hash()
					i := rapid.IntRange(0, len(f.tokens)-1).Draw(r, "token")
					g, err := w.rotate(f.tokens[i], next)
					switch live := i == len(f.tokens)-1; {
					case f.valid && live:
						if err != nil || g.SessionID != f.id {
							r.Fatalf("the valid token was refused: %v", err)
						}
						f.tokens = append(f.tokens, next)
					case f.valid:
						if !errors.Is(err, store.ErrReuse) {
							r.Fatalf("a used token: %v", err)
						}
						f.valid = false
					default:
						if !errors.Is(err, identity.ErrInvalidToken) || errors.Is(err, store.ErrReuse) {
							r.Fatalf("a token of an ended family: %v", err)
						}
					}
				},
				"logout": func(r *rapid.T) {
					if len(families) == 0 {
						r.Skip("no session")
					}
					f := pick()
					w.ok(w.s.EndSession(w.t.Context(), act(user), f.id))
					f.valid = false
				},
				"reset": func(*rapid.T) {
					w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), user.ID, user.PasswordHash))
					for _, f := range families {
						f.valid = false
					}
				},
				"": func(r *rapid.T) {
					for _, f := range families {
						if valid := w.reason(user, f.id) == ""; valid != f.valid {
							r.Fatalf("family %s valid: %v, want %v", f.id, valid, f.valid)
						}
					}
				},
			})
		})
	})
}

func TestLogoutEndsOnlyOnesOwnFamily(t *testing.T) {
	onEach(t, func(w *world) {
		u, thief := w.add("u", identity.Viewer, "default"), w.add("thief", identity.Superadmin, "default")
		g := w.login(u, "t")
		w.ok(w.s.EndSession(w.t.Context(), act(thief), g.SessionID))
		if w.reason(u, g.SessionID) != "" {
			w.t.Fatal("another user ended the session")
		}
		before := w.eventCount()
		for range 3 {
			w.ok(w.s.EndSession(w.t.Context(), act(u), g.SessionID))
		}
		if n := w.eventCount() - before; n != 1 {
			w.t.Errorf("%d audit rows of one logout", n)
		}
		if got := w.reason(u, g.SessionID); got != store.EndLogout {
			w.t.Errorf("ended by %q", got)
		}
		w.login(u, "t2")
		_, err := w.rotate("t2", "t3")
		w.ok(err)
		family, err := w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"t2"}}) // a used one is accepted
		w.ok(err)
		if family != "family-t2" || w.reason(u, family) != store.EndLogout || w.lastEvent().ActorID != u.ID {
			w.t.Errorf("logout by token: %q", family)
		}
		_, err = w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"t2"}})
		w.ok(err)
		_, err = w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"unknown"}})
		w.refused(err, fault.Unauthenticated, "invalid_token")
	})
}

func TestRevokedTokensAreListedUntilTheyExpire(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		v := w.add("v", identity.Viewer, "default")
		listed := func() []string {
			w.t.Helper()
			jtis, err := w.s.RevokedJTIs(w.t.Context())
			w.ok(err)
			slices.Sort(jtis)
			return jtis
		}
		if got := listed(); got == nil || len(got) != 0 {
			w.t.Errorf("at first: %#v", got)
		}
		g := w.login(u, "a0")
		_, err := w.rotate("a0", "a1")
		w.ok(err)
		own := w.login(u, "own")
		w.login(v, "v0")
		w.ok(w.s.EndSession(w.t.Context(), act(u), g.SessionID))
		if diff := cmp.Diff([]string{"jti-a0", "jti-a1"}, listed()); diff != "" {
			w.t.Errorf("after a logout (-want +got):\n%s", diff)
		}
		_, err = w.change(u, own.SessionID, "jti-own", "own2")
		w.ok(err)
		if diff := cmp.Diff([]string{"jti-a0", "jti-a1", "jti-own"}, listed()); diff != "" {
			w.t.Errorf("a change of password revokes every earlier access token (-want +got):\n%s", diff)
		}
		w.ok(w.s.DeleteUser(w.t.Context(), system("delete"), v.ID))
		w.ok(w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "new"))
		if diff := cmp.Diff([]string{"jti-a0", "jti-a1", "jti-own", "jti-own2", "jti-v0"}, listed()); diff != "" {
			w.t.Errorf("a change by the user protects from no later event (-want +got):\n%s", diff)
		}
		w.clock.Advance(15*time.Minute + 59*time.Second)
		if got := listed(); len(got) != 5 {
			w.t.Errorf("the list lacks a token that a verifier with a clock less than a minute behind accepts: %v", got)
		}
		w.clock.Advance(time.Second)
		if got := listed(); len(got) != 0 {
			w.t.Errorf("expired tokens are listed: %v", got)
		}
	})
}

func TestAnEndThatRevokesMoreReplacesOneThatRevokesLess(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		g := w.login(u, "t")
		_, err := w.s.End(w.t.Context(), store.EndExpiry, store.Of{User: u.ID, Session: g.SessionID})
		w.ok(err)
		steps := []struct {
			do   func() error
			want store.EndReason
		}{
			{func() error { return nil }, store.EndExpiry},
			{func() error {
				_, err := w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Operator)
				return err
			}, store.EndRoleChange},
			{func() error { return w.s.EndSession(w.t.Context(), act(u), g.SessionID) }, store.EndLogout},
			{func() error { return w.s.ResetPassword(w.t.Context(), system("s"), u.ID, "new") }, store.EndLogout},
		}
		for i, step := range steps {
			w.ok(step.do())
			if got := w.reason(u, g.SessionID); got != step.want {
				w.t.Errorf("step %d: ended by %q, want %q", i, got, step.want)
			}
		}
	})
}

func TestBearerAcceptsNoSessionOfAnotherUser(t *testing.T) {
	onEach(t, func(w *world) {
		u, v := w.add("u", identity.Viewer, "acme"), w.add("v", identity.Viewer, "default")
		g := w.login(v, "t")
		w.ok(w.s.EndSession(w.t.Context(), act(v), g.SessionID))
		read := identity.User{ID: u.ID, Role: u.Role, OrgID: u.OrgID, OrgStatus: u.OrgStatus, Status: u.Status}
		for _, session := range []string{"", "unknown", g.SessionID} {
			got := w.bearer(u, session, "jti-t")
			if got.Ended != "" || !cmp.Equal(got.User, read) {
				w.t.Errorf("session %q: %+v", session, got)
			}
		}
	})
}

// A suspension ends what the user has. The status decides on its own as well: another
// release, or a hand in the database, may have changed nothing else.
func TestTheStatusAloneRefusesOnEveryPath(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.t.Context()
		u := w.add("u", identity.Viewer, "acme")
		w.login(u, "unused")
		w.login(u, "used")
		graceful := store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"used"}, Grace: time.Minute}
		successor := w.next("successor")
		successor.ID, successor.Sealed = "successor", "sealed"
		_, err := w.exchange(graceful, successor)
		w.ok(err)
		_, err = w.exchange(graceful, w.next("once more"))
		w.ok(err)
		b := w.browse(u, "cookie", false)
		paths := map[string]func() error{
			"rotation":       func() error { _, err := w.rotate("unused", "next"); return err },
			"a repeated one": func() error { _, err := w.exchange(graceful, w.next("again")); return err },
			"sign-in":        func() error { _, err := w.start(u, "f", w.clock.Now().Add(week), w.next("first")); return err },
			"cookie":         func() error { _, err := w.s.BrowserSession(ctx, "cookie"); return err },
			"password":       func() error { _, err := w.change(u, b.Session.ID, "", "changed"); return err },
			"profile": func() error {
				_, err := w.s.UpdateOwn(ctx, act(u), map[string]string{"nickname": "Ada"}, nil)
				return err
			},
		}
		w.suspendOrg("acme")
		for name, path := range paths {
			if err := path(); fault.KindOf(err) != fault.Unauthenticated && !errors.Is(err, identity.ErrNoSession) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.rotate("unused", "next"); errors.Is(err, store.ErrReuse) {
			w.t.Errorf("the refused token was marked used: %v", err)
		}
	})
}
