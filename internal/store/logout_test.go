package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

var errTaken = errors.New("taken")

// listener registers a client that is told of logouts at the address; empty: it is not.
func (w *world) listener(id, logoutURI string) {
	w.t.Helper()
	_, err := w.s.InsertClient(w.t.Context(), system("seed"), oauth.Client{ID: id, Name: id, BackchannelLogoutURI: logoutURI}, "",
		func(identity.Principal, oauth.Client) error { return nil })
	w.ok(err)
}

// atBrowsers is a user who is signed in at two browsers and by the JSON login. Two clients
// that are told of logouts have families of the first session, one of them two; a client
// that is not told has a family of it, too.
func (w *world) atBrowsers(name, org string) identity.User {
	w.t.Helper()
	u := w.add(name, identity.Viewer, org)
	first, second := w.browse(u, name+"-1", false), w.browse(u, name+"-2", false)
	w.login(u, name+"-json")
	w.of(u, first.Session.ID, "told", "openid", name+"-a")
	w.of(u, first.Session.ID, "told", "openid offline_access", name+"-b")
	w.of(u, first.Session.ID, "told too", "openid", name+"-c")
	w.of(u, first.Session.ID, "untold", "openid", name+"-d")
	w.of(u, second.Session.ID, "told", "openid", name+"-e")
	return u
}

// Every event that ends sessions, by the methods that do.
func TestEveryEndOfABrowserSessionQueuesItsLogouts(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.listener("told", "https://told.example/logout")
		w.listener("told too", "https://too.example/logout")
		w.listener("untold", "")
		id := func(cookie string) string {
			b, err := w.s.BrowserSession(w.t.Context(), cookie)
			w.ok(err)
			return b.Session.ID
		}
		first, both := []string{"1 told", "1 told too"}, []string{"1 told", "1 told too", "2 told"}
		for reason, c := range map[store.EndReason]struct {
			happen func(u identity.User, name string) error
			want   []string
		}{
			store.EndLogout: {func(_ identity.User, name string) error {
				_, _, err := w.s.EndBrowserSession(w.t.Context(), store.Act{Action: "logout"}, name+"-1")
				return err
			}, first},
			"logout elsewhere": {func(u identity.User, name string) error {
				return w.s.EndUserSession(w.t.Context(), system("end"), u.ID, id(name+"-1"))
			}, first},
			store.EndLogoutAll: {func(u identity.User, _ string) error {
				_, err := w.s.EndUserSessions(w.t.Context(), system("end"), u.ID)
				return err
			}, both},
			store.EndLimit: {func(u identity.User, name string) error {
				w.clock.Advance(2 * time.Minute)
				id(name + "-2") // used
				_, err := w.s.StartBrowserSession(w.t.Context(), store.Act{Action: "login"}, w.proof(w.user(u.ID)),
					store.BrowserSignIn{CookieHash: name + "-3", Limit: 2})
				return err
			}, first},
			store.EndExpiry: {func(identity.User, string) error {
				w.clock.Advance(day)
				_, err := w.s.EndExpired(w.t.Context(), 100)
				return err
			}, both},
			store.EndPasswordChange: {func(u identity.User, name string) error {
				act := store.Act{Action: "change", By: inSession(u, id(name+"-2"))}
				return w.s.ChangePasswordInBrowser(w.t.Context(), act, w.proof(w.user(u.ID)), "new", name+"-4")
			}, first},
			store.EndPasswordReset: {func(u identity.User, _ string) error {
				return w.s.ResetPassword(w.t.Context(), system("reset"), u.ID, "new")
			}, both},
			store.EndFactorRemoval: {func(u identity.User, name string) error {
				_, err := w.s.End(w.t.Context(), store.EndFactorRemoval, store.Of{User: u.ID, Session: id(name + "-2")})
				return err
			}, first},
			store.EndEmailChange: {func(u identity.User, name string) error {
				_, err := w.s.UpdateUser(w.t.Context(), system("update"), u.ID, store.UserChange{Email: name + "@new.example"})
				return err
			}, both},
			store.EndRoleChange: {func(u identity.User, _ string) error {
				_, err := w.s.SetRole(w.t.Context(), system("role"), u.ID, identity.Operator)
				return err
			}, both},
			store.EndOrgChange: {func(u identity.User, _ string) error {
				_, err := w.s.UpdateUser(w.t.Context(), system("update"), u.ID, store.UserChange{OrgID: "default"})
				return err
			}, both},
			store.EndSuspension: {func(u identity.User, _ string) error {
				_, err := w.s.SetStatus(w.t.Context(), system("status"), u.ID, identity.Suspended)
				return err
			}, both},
			store.EndDeletion: {func(u identity.User, _ string) error {
				return w.s.DeleteUser(w.t.Context(), system("delete"), u.ID)
			}, both},
			store.EndOrgSuspension: {func(u identity.User, _ string) error {
				suspended := identity.Suspended
				_, err := w.s.UpdateOrganization(w.t.Context(), system("suspend"), u.OrgID, nil, &suspended)
				return err
			}, both},
		} {
			name := strings.ReplaceAll(string(reason), " ", "-")
			u := w.atBrowsers(name, "org-"+name)
			ids := map[string]string{id(name + "-1"): "1", id(name + "-2"): "2"}
			if err := c.happen(u, name); err != nil {
				w.t.Errorf("%s: %v", reason, err)
				continue
			}
			got := query("SELECT session_id || ' ' || client_id FROM logout_deliveries WHERE user_id = '" + u.ID + "' AND next_at IS NOT NULL AND attempts = 0")
			for i, row := range got {
				session, client, _ := strings.Cut(row, " ")
				got[i] = ids[session] + " " + client
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				w.t.Errorf("%s (-want +got):\n%s", reason, diff)
			}
		}
	})
}

// The table above has a row for every event that ends sessions.
func TestEveryEventThatEndsSessionsIsTestedForItsLogouts(t *testing.T) {
	tested := []store.EndReason{
		store.EndLogout, store.EndLogoutAll, store.EndLimit, store.EndExpiry, store.EndPasswordChange, store.EndPasswordReset,
		store.EndFactorRemoval, store.EndEmailChange, store.EndRoleChange, store.EndOrgChange, store.EndSuspension, store.EndDeletion, store.EndOrgSuspension,
	}
	for _, reason := range store.EndReasons() {
		if reason.EndsSessions() != slices.Contains(tested, reason) {
			t.Errorf("%s: ends sessions: %t", reason, reason.EndsSessions())
		}
	}
}

func TestAnEndThatIsRolledBackTellsNoClient(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.listener("told", "https://told.example/logout")
		u := w.add("root", identity.Superadmin, "default")
		b := w.browse(u, "c", false)
		w.of(u, b.Session.ID, "told", "openid", "f")
		if _, err := w.s.SetStatus(w.t.Context(), system("status"), u.ID, identity.Suspended); err == nil {
			w.t.Fatal("the last superadmin was suspended")
		}
		if n := len(query("SELECT client_id FROM logout_deliveries")); n != 0 {
			w.t.Errorf("%d deliveries", n)
		}
	})
}

// A session that ended and ends again, more strictly, tells its clients once.
func TestOneEndTellsAClientOnce(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.listener("told", "https://told.example/logout")
		u := w.add("u", identity.Viewer, "acme")
		w.of(u, w.browse(u, "c", false).Session.ID, "told", "openid", "f")
		_, err := w.s.SetRole(w.t.Context(), system("role"), u.ID, identity.Operator)
		w.ok(err)
		w.clock.Advance(time.Second)
		w.ok(w.endAll(system("end"), u.ID))
		if n := len(query("SELECT client_id FROM logout_deliveries")); n != 1 {
			w.t.Errorf("%d deliveries", n)
		}
	})
}

func TestOnlyExpiredBrowserSessionsAreEnded(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		u := w.add("u", identity.Viewer, "default")
		w.login(u, "json")
		for i := range 5 {
			w.browse(u, "c"+itoa(i), i == 0)
		}
		w.clock.Advance(12 * time.Hour)
		w.browse(u, "later", false)
		w.clock.Advance(12 * time.Hour)
		for _, want := range []bool{true, true, false} {
			more, err := w.s.EndExpired(w.t.Context(), 2)
			if w.ok(err); more != want {
				w.t.Errorf("more: %t", more)
			}
		}
		if n := len(query("SELECT id FROM sessions WHERE ended_at IS NULL")); n != 3 {
			w.t.Errorf("%d sessions are left", n)
		}
		if n := len(query("SELECT id FROM sessions WHERE end_reason = 'expiry'")); n != 4 {
			w.t.Errorf("%d have expired", n)
		}
		w.clock.Advance(day + time.Second)
		_, _, err := w.s.Purge(w.t.Context(), 0, 0)
		w.ok(err)
		if n := len(query("SELECT id FROM sessions WHERE end_reason = 'expiry'")); n != 0 {
			w.t.Errorf("%d of these are still stored", n)
		}
	})
}

// queue queues deliveries to the clients, one each.
func (w *world) queue(clients ...string) {
	w.t.Helper()
	u := w.add("u"+itoa(w.eventCount()), identity.Viewer, "default")
	b := w.browse(u, u.ID, false)
	for _, c := range clients {
		w.of(u, b.Session.ID, c, "openid", c+b.Session.ID)
	}
	_, _, err := w.s.EndBrowserSession(w.t.Context(), store.Act{Action: "logout"}, u.ID)
	w.ok(err)
}

func TestADeliveryIsTakenByOneReplica(t *testing.T) {
	onEach(t, func(w *world) {
		w.listener("told", "https://told.example/logout")
		w.queue("told")
		taken := 0
		for _, err := range race(8, func(int) error {
			_, found, err := w.s.TakeLogout(w.t.Context(), "told", time.Minute)
			if found {
				return errTaken
			}
			return err
		}) {
			if err == errTaken { //nolint:errorlint // it is returned as it is
				taken++
				continue
			}
			w.ok(err)
		}
		if taken != 1 {
			w.t.Errorf("%d replicas took it", taken)
		}
		w.clock.Advance(time.Minute) // the one that took it has stopped
		d, found, err := w.s.TakeLogout(w.t.Context(), "told", time.Minute)
		if w.ok(err); !found || d.Attempts != 2 {
			w.t.Errorf("found %t, %+v", found, d)
		}
	})
}

func TestTheOutcomeOfADeliveryIsRecorded(t *testing.T) {
	onEach(t, func(w *world) {
		w.listener("told", "https://told.example/logout")
		w.listener("other", "https://other.example/logout")
		w.queue("told", "other")
		w.clock.Advance(time.Second)
		w.queue("told")
		due, err := w.s.DueLogouts(w.t.Context())
		w.ok(err)
		slices.SortFunc(due, func(a, b store.ClientLogouts) int { return strings.Compare(a.ClientID, b.ClientID) })
		if diff := cmp.Diff([]store.ClientLogouts{{ClientID: "other", Waiting: 1}, {ClientID: "told", Waiting: 2}}, due); diff != "" {
			w.t.Errorf("due (-want +got):\n%s", diff)
		}
		first, _, err := w.s.TakeLogout(w.t.Context(), "told", time.Minute)
		w.ok(err)
		w.ok(w.s.LogoutFailed(w.t.Context(), first, "status 503", w.clock.Now().Add(5*time.Second)))
		second, _, err := w.s.TakeLogout(w.t.Context(), "told", time.Minute)
		w.ok(err)
		if second.SessionID == first.SessionID {
			w.t.Error("one that is not due was taken")
		}
		w.ok(w.s.LogoutFailed(w.t.Context(), second, "status 400", time.Time{}))
		stale := second
		stale.Attempts = 7
		w.ok(w.s.LogoutFailed(w.t.Context(), stale, "of another attempt", w.clock.Now()))
		got, err := w.s.Logouts(w.t.Context(), "told")
		w.ok(err)
		want := store.ClientLogouts{ClientID: "told", Waiting: 1, GivenUp: 1, Problem: "status 400", Since: got.Since}
		if diff := cmp.Diff(want, got); diff != "" || got.Since.IsZero() {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		w.clock.Advance(5 * time.Second)
		again, found, err := w.s.TakeLogout(w.t.Context(), "told", time.Minute)
		if w.ok(err); !found || again.SessionID != first.SessionID || again.Attempts != 2 {
			w.t.Errorf("%t, %+v", found, again)
		}
		w.ok(w.s.LogoutDelivered(w.t.Context(), again))
		w.ok(w.s.ForgetLogouts(w.t.Context(), "other"))
		w.clock.Advance(week + time.Second)
		if removed, err := w.s.PurgeLogouts(w.t.Context(), 10); err != nil || removed != 1 {
			w.t.Errorf("purged %d, %v", removed, err)
		}
		for _, client := range []string{"told", "other"} {
			if got, err := w.s.Logouts(w.t.Context(), client); err != nil || got != (store.ClientLogouts{ClientID: client}) {
				w.t.Errorf("left %+v, %v", got, err)
			}
		}
	})
}

// A client without refresh tokens, or one whose tokens have expired, is told too: purges
// leave one family of it to each session in a browser, as long as that.
func TestAClientWhoseTokensExpiredLongAgoIsTold(t *testing.T) {
	onEachURL(t, func(w *world, query rows) {
		w.listener("told", "https://told.example/logout")
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "cookie", true).Session.ID
		for _, name := range []string{"a", "b", "c"} {
			w.of(u, session, "told", "openid", name)
		}
		w.of(u, session, "told too", "openid offline_access", "d")
		w.of(u, session, "none", "openid", "e")
		w.listener("told too", "https://too.example/logout")
		for range 10 {
			w.clock.Advance(day)
			_, err := w.s.BrowserSession(w.t.Context(), "cookie")
			w.ok(err)
			w.purgeAll()
		}
		if left := query("SELECT client_id FROM refresh_families ORDER BY client_id"); !slices.Equal(left, []string{"none", "told", "told too"}) {
			t.Errorf("families after ten days: %v", left)
		}
		_, _, err := w.s.EndBrowserSession(w.t.Context(), store.Act{Action: "logout"}, "cookie")
		w.ok(err)
		if told := query("SELECT client_id FROM logout_deliveries ORDER BY client_id"); !slices.Equal(told, []string{"told", "told too"}) {
			t.Errorf("told: %v", told)
		}
		w.clock.Advance(day + time.Minute)
		w.purgeAll()
		if left := query("SELECT id FROM refresh_families UNION ALL SELECT id FROM sessions"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// An idle family of offline_access that a purge left counts as the least recently used
// one: it takes no place of one that is in use.
func TestAFamilyWithoutTokensIsTheLeastRecentlyUsed(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.add("u", identity.Viewer, "default")
		session := w.browse(u, "cookie", true).Session.ID
		w.of(u, session, "app", "openid offline_access", "idle")
		for range 9 {
			w.clock.Advance(day)
			_, err := w.s.BrowserSession(w.t.Context(), "cookie")
			w.ok(err)
			w.purgeAll()
		}
		w.of(u, session, "app", "openid offline_access", "used")
		w.clock.Advance(time.Minute)
		w.ok(w.s.StartFamily(w.t.Context(), u, session, store.NewFamily{
			ID: "new", ClientID: "app", Granted: store.Granted{Scope: "offline_access"}, ExpiresAt: w.clock.Now().Add(month), First: w.next("new"), Limit: 2,
		}))
		w.ok(w.refresh("app", "used", "again"))
	})
}
