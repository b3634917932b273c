package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

func TestASessionKeepsHowAndWhereItStarted(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		proof := identity.NewProof(u, w.clock.Now().Add(-time.Minute), identity.MethodPassword)
		start := store.Act{Action: "login", By: identity.Actor{Address: "192.0.2.7", UserAgent: "curl/8"}}
		_, err := w.s.StartSession(w.t.Context(), start, proof, w.family("s", w.clock.Now().Add(month), w.next("t")))
		w.ok(err)
		at := func(d time.Duration) string { return w.clock.Now().Add(d).Format("2006-01-02T15:04:05.000000Z") }
		want := []string{strings.Join([]string{
			u.ID, at(0), at(-time.Minute), "pwd", "urn:pico-auth:acr:1", at(0), "192.0.2.7", "curl/8", at(week), at(month), "", "",
		}, "|")}
		got := query(`SELECT user_id || '|' || created_at || '|' || auth_time || '|' || amr || '|' || acr || '|' || last_used_at || '|' || address || '|' ||
			user_agent || '|' || idle_expires_at || '|' || expires_at || '|' || COALESCE(ended_at, '') || '|' || COALESCE(end_reason, '')
			FROM sessions WHERE id = 's'`)
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestTheLastUseIsWrittenOnceAMinute(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "t0")
		w.ok(w.s.StartFamily(w.t.Context(), u, "family-t0", store.NewFamily{
			ID: "offline", ClientID: identity.FirstPartyClient, Granted: store.Granted{Scope: "offline_access"}, ExpiresAt: w.clock.Now().Add(month), First: w.next("o0"),
		}))
		started := w.clock.Now()
		const format = "2006-01-02T15:04:05.000000Z"
		used := func() string {
			return query("SELECT last_used_at || ' ' || idle_expires_at FROM sessions WHERE id = 'family-t0'")[0]
		}
		stamp := func(at time.Time) string { return at.Format(format) + " " + at.Add(week).Format(format) }
		for i, step := range []struct {
			after time.Duration // since the start
			want  time.Duration
		}{{30 * time.Second, 0}, {59 * time.Second, 0}, {60 * time.Second, 60 * time.Second}, {90 * time.Second, 60 * time.Second}, {time.Hour, time.Hour}} {
			w.clock.Advance(started.Add(step.after).Sub(w.clock.Now()))
			_, err := w.rotate("t"+itoa(i), "t"+itoa(i+1))
			w.ok(err)
			if got, want := used(), stamp(started.Add(step.want)); got != want {
				w.t.Errorf("after %v: %s, want %s", step.after, got, want)
			}
		}
		w.clock.Advance(time.Hour)
		_, err := w.rotate("o0", "o1")
		w.ok(err)
		if got, want := used(), stamp(started.Add(time.Hour)); got != want {
			w.t.Errorf("a rotation of a family of offline_access counted as a use of the session: %s, want %s", got, want)
		}
		w.clock.Advance(time.Second) // the new refresh token lives longer than the one before
		_, err = w.change(w.user(u.ID), "family-t0", "", "changed")
		w.ok(err)
		if got, want := used(), w.clock.Now().Format(format)+" "+w.clock.Now().Add(week).Format(format); got != want {
			w.t.Errorf("after a change of password: %s, want %s", got, want)
		}
	})
}

// A refresh token is valid for its client only. Another client's request does not
// mark it used and ends no family, whether it was used or not.
func TestARefreshTokenIsBoundToItsClient(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "json")
		w.ok(w.s.StartFamily(w.t.Context(), u, "family-json", store.NewFamily{
			ID: "app-family", ClientID: "app", ExpiresAt: w.clock.Now().Add(month), First: w.next("app0"),
		}))
		rotate := func(client, use, next string) error {
			_, err := w.s.RotateRefresh(w.t.Context(), identity.Actor{}, store.PresentedRefresh{ClientID: client, Hashes: []string{use}}, w.next(next))
			return err
		}
		wrong := func(err error) {
			w.t.Helper()
			w.refused(err, fault.Unauthenticated, "invalid_token")
			if errors.Is(err, store.ErrReuse) {
				w.t.Error("treated as reuse")
			}
		}
		wrong(rotate(identity.FirstPartyClient, "app0", "x1"))
		wrong(rotate("app", "json", "x2"))
		_, err := w.s.EndSessionByToken(w.t.Context(), store.Act{Action: "logout"}, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"app0"}})
		wrong(err)
		w.ok(rotate("app", "app0", "app1"))
		w.ok(rotate(identity.FirstPartyClient, "json", "json1"))
		wrong(rotate(identity.FirstPartyClient, "app0", "x3")) // used now
		wrong(rotate("app", "json", "x4"))
		w.ok(rotate("app", "app1", "app2"))
		w.ok(rotate(identity.FirstPartyClient, "json1", "json2"))
	})
}

// No session that starts or is refreshed concurrently with an event that ends
// everything outlives it: either it came first and was ended, or it is refused.
func TestNothingOutlivesAConcurrentEnd(t *testing.T) {
	ends := map[string]func(w *world, u identity.User) error{
		"suspension": func(w *world, u identity.User) error {
			_, err := w.s.SetStatus(w.t.Context(), system("s"), u.ID, identity.Suspended)
			return err
		},
		"reset": func(w *world, u identity.User) error {
			return w.s.ResetPassword(w.t.Context(), system("s"), u.ID, "new")
		},
		"role": func(w *world, u identity.User) error {
			_, err := w.s.SetRole(w.t.Context(), system("s"), u.ID, identity.Operator)
			return err
		},
		"deletion": func(w *world, u identity.User) error { return w.s.DeleteUser(w.t.Context(), system("s"), u.ID) },
		"session end": func(w *world, u identity.User) error {
			return w.s.EndUserSession(w.t.Context(), system("s"), u.ID, "family-live-"+u.DisplayName)
		},
		"logout": func(w *world, u identity.User) error {
			return w.s.EndSession(w.t.Context(), act(u), "family-live-"+u.DisplayName)
		},
		"change": func(w *world, u identity.User) error {
			_, err := w.change(u, "", "", "changed-"+u.DisplayName)
			return err
		},
		"change in the session that refreshes": func(w *world, u identity.User) error {
			_, err := w.change(u, "family-live-"+u.DisplayName, "", "changed-"+u.DisplayName)
			return err
		},
	}
	onEach(t, func(w *world) {
		for name, end := range ends {
			for round := range 12 {
				u := w.add(numbered(name, round), identity.Viewer, "default")
				w.login(u, "live-"+u.DisplayName)
				u = w.user(u.ID)
				var started, rotated error
				race(3, func(i int) error {
					switch i {
					case 0:
						w.ok(end(w, u))
					case 1:
						_, started = w.start(u, "started-"+u.DisplayName, w.clock.Now().Add(month), w.next("started-"+u.DisplayName))
					case 2:
						_, rotated = w.rotate("live-"+u.DisplayName, "rotated-"+u.DisplayName)
					}
					return nil
				})
				w.outlived(name, u, started, rotated)
			}
		}
	})
}

// outlived checks the results of a login and a refresh concurrent with the end.
func (w *world) outlived(end string, u identity.User, started, rotated error) {
	w.t.Helper()
	for what, err := range map[string]error{"started": started, "rotated": rotated} {
		if err != nil && fault.KindOf(err) != fault.Unauthenticated {
			w.t.Errorf("%s concurrently with %s: %v", what, end, err)
		}
		hash := what + "-" + u.DisplayName
		_, again := w.rotate(hash, hash+"-2")
		switch {
		case what == "started" && (end == "logout" || end == "session end" || end == "role") && err == nil:
			// Another session than the ended one; after a change of role, one that
			// started later.
		case again == nil:
			w.t.Errorf("%s concurrently with %s, and still valid", what, end)
		}
	}
}

// Of concurrent changes of a password one succeeds, and leaves one session.
func TestOneOfConcurrentChangesOfPasswordSucceeds(t *testing.T) {
	onEach(t, func(w *world) {
		for round := range 10 {
			u := w.add(numbered("u", round), identity.Viewer, "default")
			g := w.login(u, "t-"+u.DisplayName)
			u = w.user(u.ID)
			won := 0
			for _, err := range race(4, func(i int) error {
				_, err := w.change(u, g.SessionID, "", numbered("c-"+u.DisplayName, i))
				return err
			}) {
				if err == nil {
					won++
				} else {
					w.refused(err, fault.Conflict, "password_changed")
				}
			}
			if won != 1 {
				w.t.Fatalf("%d of four changes succeeded", won)
			}
		}
	})
}
