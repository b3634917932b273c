package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/token"
)

// revoked checks the list of revoked access tokens for pollers.
func (w *world) revoked(t *testing.T, want ...any) {
	t.Helper()
	got, err := w.RevokedJTIs(t.Context())
	w.must(t, err)
	if got == nil {
		t.Error("the list is nil")
	}
	names := []string{}
	for _, jti := range want {
		names = append(names, jti.(string))
	}
	if diff := cmp.Diff(names, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("revoked access tokens (-want +got):\n%s", diff)
	}
}

func TestLogoutByBearerEndsThisSessionOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		here, there := w.issue(t, u), w.issue(t, u)
		by := w.actor(t, here)
		w.must(t, w.End(t.Context(), by))
		w.must(t, w.End(t.Context(), by)) // a repetition is no error
		w.refuses(t, here.RefreshToken)
		w.rotate(t, there.RefreshToken)
		if _, err := w.Bearer(t.Context(), presented(by)); !faultIs(err, fault.Unauthenticated, "invalid_token") {
			t.Errorf("the access token is still accepted: %v", err)
		}
		if rows := w.events(t, identity.ActionLogout); len(rows) == 0 || rows[0].ActorID != u.ID {
			t.Errorf("audit rows: %+v", rows)
		}
	})
}

func TestLogoutByBearerCannotEndAnotherUsersSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		victim := w.issue(t, w.viewer(t))
		thief := w.issue(t, w.user(t, "eve@pico.example", identity.Superadmin, identity.DefaultOrg))
		by := w.actor(t, thief)
		by.SessionID = w.actor(t, victim).SessionID
		_ = w.End(t.Context(), by)
		w.rotate(t, victim.RefreshToken)
	})
}

func TestLogoutByRefreshTokenEndsItsSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		first := w.issue(t, u)
		second := w.rotate(t, first.RefreshToken)
		other := w.issue(t, u)
		w.must(t, w.EndByRefreshToken(t.Context(), web, second.RefreshToken))
		w.refuses(t, second.RefreshToken)
		w.rotate(t, other.RefreshToken)
		w.revoked(t, w.claims(t, first)["jti"], w.claims(t, second)["jti"])
	})
}

func TestLogoutByAnInvalidRefreshTokenIsRefused(t *testing.T) {
	w := open(t)
	for _, presented := range []string{"", "unknown", strings.Repeat("x", 1<<20)} {
		wantFault(t, w.EndByRefreshToken(t.Context(), web, presented), fault.Unauthenticated, "invalid_token")
	}
}

func TestLogoutWithAnAccessTokenOfTheOriginalRequiresTheRefreshToken(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	wantFault(t, w.End(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: u.ID}), fault.Invalid, "validation_failed")
}

func TestRevokedJTIsListUnexpiredAccessTokensOfEndedSessions(t *testing.T) {
	endings := map[string]func(t *testing.T, w *world, u identity.User, by identity.Actor){
		"logout": func(t *testing.T, w *world, _ identity.User, by identity.Actor) {
			w.must(t, w.End(t.Context(), by))
		},
		"suspension": func(t *testing.T, w *world, u identity.User, _ identity.Actor) {
			_, err := w.store.SetStatus(t.Context(), w.act(), u.ID, identity.Suspended)
			w.must(t, err)
		},
		"role change": func(t *testing.T, w *world, u identity.User, _ identity.Actor) {
			_, err := w.store.SetRole(t.Context(), w.act(), u.ID, identity.OrgAdmin)
			w.must(t, err)
		},
		"password reset": func(t *testing.T, w *world, u identity.User, _ identity.Actor) {
			w.must(t, w.store.ResetPassword(t.Context(), w.act(), u.ID, "another hash"))
		},
		"deletion": func(t *testing.T, w *world, u identity.User, _ identity.Actor) {
			w.must(t, w.store.DeleteUser(t.Context(), w.act(), u.ID))
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				u := w.viewer(t)
				bystander := w.user(t, "bob@pico.example", identity.Viewer, identity.DefaultOrg)
				w.issue(t, bystander)
				p := w.issue(t, u)
				w.revoked(t)
				end(t, w, u, w.actor(t, p))
				w.revoked(t, w.claims(t, p)["jti"])
				w.clock.Advance(16 * time.Minute) // a verifier's clock may be a minute behind
				w.revoked(t)
			})
		})
	}
}

// A change of password refuses and lists every earlier token of the user; the
// session that made it continues with the new tokens, and the access token that made
// it may read the profile.
func TestAChangeOfPasswordKeepsOnlyTheNewTokens(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		first, there := w.issue(t, u), w.issue(t, u)
		here := w.rotate(t, first.RefreshToken)
		by := w.actor(t, here)
		act := store.Act{Action: identity.ActionChangePassword, By: by}
		proof := identity.NewProof(u, w.clock.Now(), identity.MethodPassword)
		next, err := w.ChangePassword(t.Context(), act, proof, "another hash")
		w.must(t, err)
		for _, old := range []token.Pair{first, here, there} {
			_, err := w.bearer(t, old)
			wantFault(t, err, fault.Unauthenticated, "invalid_token")
			_, _, err = w.ProfileBearer(t.Context(), presented(w.actor(t, old)))
			if spared := old == here; spared && err != nil || !spared && err == nil {
				t.Errorf("the profile, by the token that made the change (%t): %v", spared, err)
			}
		}
		w.revoked(t, w.claims(t, first)["jti"], w.claims(t, here)["jti"], w.claims(t, there)["jti"])
		for _, old := range []token.Pair{here, there} {
			w.refuses(t, old.RefreshToken)
		}
		if sid := w.claims(t, next)["sid"]; sid != by.SessionID {
			t.Errorf("the session %s continues as %s", by.SessionID, sid)
		}
		if _, err := w.bearer(t, next); err != nil {
			t.Errorf("the new access token: %v", err)
		}
		later := w.rotate(t, next.RefreshToken)
		w.must(t, w.End(t.Context(), w.actor(t, later)))
		_, _, err = w.ProfileBearer(t.Context(), presented(by))
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
		w.refuses(t, later.RefreshToken)
	})
}

func TestBearerIsTheUserAsTheDatabaseHasThemNow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		u := w.viewer(t)
		by := presented(w.actor(t, w.issue(t, u)))
		for name, session := range map[string]string{
			"its session": by.SessionID, "no session": "", "a session that was purged": "purged",
		} {
			by.SessionID = session
			got, err := w.Bearer(t.Context(), by)
			if err != nil || got.ID != u.ID || got.Role != identity.Viewer {
				t.Errorf("%s: %q, %v", name, got.ID, err)
			}
		}
		by.UserID = "nobody"
		_, err := w.Bearer(t.Context(), by)
		wantFault(t, err, fault.Unauthenticated, "invalid_token")
	})
}

// The status decides even if nothing has ended the sessions.
func TestABearerNeedsAnActiveUserOfAnActiveOrganization(t *testing.T) {
	for u, want := range map[identity.User]bool{
		{ID: "u", Status: identity.Active, OrgStatus: identity.Active}:    true,
		{ID: "u", Status: identity.Suspended, OrgStatus: identity.Active}: false,
		{ID: "u", Status: identity.Active, OrgStatus: identity.Suspended}: false,
		{ID: "u"}: false,
	} {
		if token.Accepted(u) != want {
			t.Errorf("%+v: accepted is %t", u, !want)
		}
	}
}

func TestAnUnavailableDatabaseIsNoInvalidToken(t *testing.T) {
	w := open(t)
	u := w.viewer(t)
	p := w.issue(t, u)
	by := w.actor(t, p)
	w.must(t, w.store.Close())
	ctx := t.Context()
	ends := map[string]error{}
	_, ends["issue"] = w.Issue(ctx, web, u)
	_, ends["rotate"] = w.Rotate(ctx, web, p.RefreshToken)
	_, ends["bearer"] = w.Bearer(ctx, presented(by))
	_, ends["revoked"] = w.RevokedJTIs(ctx)
	_, ends["validate"] = w.ValidateServiceToken(ctx, web, "pico_svc_x")
	_, _, ends["create"] = w.CreateServiceToken(ctx, by, token.NewServiceToken{Name: "x"})
	_, ends["list"] = w.ServiceTokens(ctx, by, token.Filter{})
	ends["logout"] = w.End(ctx, by)
	ends["logout by refresh"] = w.EndByRefreshToken(ctx, web, p.RefreshToken)
	for act, err := range ends {
		if kind := fault.KindOf(err); kind != fault.Unavailable {
			t.Errorf("%s: kind %d, %v", act, kind, err)
		}
	}
	if got := w.Stats(); got != (token.Stats{Issued: 1}) {
		t.Errorf("stats: %+v", got)
	}
}
