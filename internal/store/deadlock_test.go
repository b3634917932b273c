package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// meeting is a PostgreSQL database in which two transactions meet in an order that the
// test chooses.
type meeting struct {
	*world
	url  string
	root identity.User // who ends the client app
	ada  identity.User // who signs in to it
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	url, clock := storetest.Postgres(t), storetest.NewClock()
	w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock)), clock: clock}
	m := &meeting{world: w, url: url, root: w.add("root", identity.Superadmin, "default"), ada: w.add("ada", identity.Viewer, "default")}
	w.confidential("app")
	return m
}

// hold locks the row of a user until it is released.
func (m *meeting) hold(u identity.User, mode string) (release func()) {
	return storetest.Hold(m.t, m.url, "BEGIN; SELECT 1 FROM users WHERE id = '"+u.ID+"' FOR "+mode)
}

// waiting waits until so many transactions wait for a lock.
func (m *meeting) waiting(n int) {
	m.t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(5 * time.Millisecond) {
		waiting := storetest.Rows(m.t, m.url, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		if len(waiting) == n {
			return
		}
	}
	m.t.Errorf("there are never %d transactions that wait", n)
}

// begin runs op beside the test; the result waits for its end.
func begin(op func() error) (result func() error) {
	done := make(chan error, 1)
	go func() { done <- op() }()
	return func() error { return <-done }
}

// undisturbed runs test, in which no transaction may be ended by PostgreSQL because two of
// them wait for each other.
func (m *meeting) undisturbed(test func()) {
	m.t.Helper()
	before := m.s.Stats().Retries
	test()
	deadlocks := column(storetest.Rows(m.t, m.url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
	if again := m.s.Stats().Retries - before; again != 0 || deadlocks[0] != "0" {
		m.t.Errorf("%d transactions were repeated, %s deadlocks", again, deadlocks[0])
	}
}

// endsBy are the ways to end the client app, by an administrator.
var endsBy = map[string]func(m *meeting, may store.ClientRule) error{
	"suspension": func(m *meeting, may store.ClientRule) error {
		_, err := m.s.UpdateClient(m.t.Context(), act(m.root), "app", store.ClientChange{Status: identity.Suspended}, may)
		return err
	},
	"deletion": func(m *meeting, may store.ClientRule) error {
		return m.s.DeleteClient(m.t.Context(), act(m.root), "app", may)
	},
	"revocation": func(m *meeting, may store.ClientRule) error {
		return m.s.RevokeClientTokens(m.t.Context(), act(m.root), "app", may)
	},
	"rotation": func(m *meeting, may store.ClientRule) error {
		_, err := m.s.AddClientSecret(m.t.Context(), act(m.root), "app", "hash", true, may)
		return err
	},
}

// An ending locks the codes of the client, and then the client; a code or a device that a
// user allows in between is exchanged before the ending comes to delete it.
func TestAnEndingAndAnExchangeThatItHasNotSeenDoNotDeadlock(t *testing.T) {
	for name, end := range endsBy {
		for what, of := range map[string]struct {
			allow    func(m *meeting)
			exchange func(m *meeting) error
		}{
			"code": {
				func(m *meeting) { m.code(m.ada, "app", "cookie", "code") },
				func(m *meeting) error { _, err := m.use("app", "code", "first"); return err },
			},
			"device": {
				func(m *meeting) { m.ok(m.decide(m.signedIn(m.ada, "session"), "DEVICE", true)) },
				func(m *meeting) error { _, err := m.redeem("app", "DEVICE", "first"); return err },
			},
		} {
			if name == "deletion" && what == "device" {
				continue // it locks devices before a user allows them, see below
			}
			t.Run(name+" of a "+what, func(t *testing.T) {
				m := newMeeting(t)
				m.device("DEVICE", "app")
				m.undisturbed(func() {
					releaseRoot := m.hold(m.root, "UPDATE")
					var releaseAda func()
					var once sync.Once // it is repeated after a deadlock
					ended := begin(func() error {
						return end(m, func(identity.Principal, oauth.Client) error { // the client is locked
							once.Do(func() {
								releaseAda()
								m.waiting(1)
							})
							return nil
						})
					})
					m.waiting(1)
					of.allow(m)
					releaseAda = m.hold(m.ada, "UPDATE")
					exchanged := begin(func() error { return of.exchange(m) })
					m.waiting(2)
					releaseRoot()
					m.ok(ended())
					if err := exchanged(); (err == nil) != (name == "revocation" || name == "rotation") {
						t.Errorf("the exchange: %v", err)
					}
				})
			})
		}
	}
}

// The deletion of a client locks its devices and then the client, and so does a user who
// allows one.
func TestTheDeletionOfAClientAndTheDecisionAboutADeviceDoNotDeadlock(t *testing.T) {
	for _, allow := range []bool{true, false} {
		m := newMeeting(t)
		m.device("DEVICE", "app")
		session := m.signedIn(m.ada, "session")
		m.undisturbed(func() {
			release := m.hold(m.root, "UPDATE")
			ended := begin(func() error { return m.s.DeleteClient(t.Context(), act(m.root), "app", everyActor) })
			m.waiting(1)
			decided := begin(func() error { return m.decide(session, "DEVICE", allow) })
			m.waiting(2)
			release()
			m.ok(ended())
			m.is(store.ErrNoUserCode, decided())
		})
	}
}

// A withdrawal locks the codes of the user, and then the user.
func TestAWithdrawalAndAnExchangeThatItHasNotSeenDoNotDeadlock(t *testing.T) {
	m := newMeeting(t)
	m.device("DEVICE", "app")
	m.ok(m.decide(m.signedIn(m.ada, "session"), "DEVICE", true)) // a consent
	b := m.browse(m.ada, "cookie", false)
	m.undisturbed(func() {
		release := m.hold(m.ada, "SHARE")
		withdrawn := begin(func() error { return m.s.WithdrawConsent(t.Context(), act(m.ada), "app") })
		m.waiting(1)
		_, err := m.s.IssueCodeAtOnce(t.Context(), store.Act{Action: "code"}, request("r", "app", "n", ""), b.Session.ID,
			store.NewCode{Hash: "code", ExpiresAt: m.clock.Now().Add(time.Minute), Ready: anyone})
		m.ok(err)
		exchanged := begin(func() error { _, err := m.use("app", "code", "first"); return err })
		m.waiting(2)
		release()
		m.ok(withdrawn())
		m.ok(exchanged())
	})
}

// A logout everywhere locks the sessions of a user as it finds them, and the end of those
// that have expired as they expired.
func TestALogoutEverywhereBesideTheEndOfExpiredSessionsDoesNotDeadlock(t *testing.T) {
	m := newMeeting(t)
	var ids []string
	for i, idle := range []string{"2020-01-02", "2099-01-01", "2020-01-01"} {
		ids = append(ids, m.browse(m.ada, "cookie "+itoa(i), false).Session.ID)
		storetest.Exec(t, m.url, "UPDATE sessions SET idle_expires_at = '"+idle+"' WHERE id = '"+ids[i]+"'")
	}
	m.undisturbed(func() {
		release := storetest.Hold(t, m.url, "BEGIN; SELECT 1 FROM sessions WHERE id = '"+ids[1]+"' FOR UPDATE")
		ended := begin(func() error { _, err := m.s.EndUserSessions(t.Context(), system("x"), m.ada.ID); return err })
		m.waiting(1) // it has the first one
		expired := begin(func() error { _, err := m.s.EndExpired(t.Context(), 10); return err })
		m.ok(expired())
		release()
		m.ok(ended())
	})
}

// An ending locks the codes of the last minutes as they are stored, and the purge those that
// have expired as they expired.
func TestAnEndingBesideThePurgeDoesNotDeadlock(t *testing.T) {
	for name, c := range map[string]struct {
		first string // the row that the ending locks first, and the purge last
		end   string
		purge func(m *meeting) (int, error)
	}{
		"codes":   {"authorization_requests WHERE code_hash = 'code 0'", "revocation", func(m *meeting) (int, error) { return m.s.PurgeAuthorizations(t.Context(), 0) }},
		"devices": {"device_codes WHERE user_code = 'DEVICE0'", "deletion", func(m *meeting) (int, error) { return m.s.PurgeDevices(t.Context(), 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting(t)
			for i := range 2 {
				m.code(m.ada, "app", "cookie "+itoa(i), "code "+itoa(i))
				m.device("DEVICE"+itoa(i), "app")
				before := m.clock.Now().Add(-time.Duration(i+1) * time.Second)
				storetest.Exec(t, m.url, "UPDATE authorization_requests SET purge_at = '"+store.FormatTime(before)+"' WHERE code_hash = 'code "+itoa(i)+"'")
				storetest.Exec(t, m.url, "UPDATE device_codes SET expires_at = '"+store.FormatTime(before.Add(-time.Hour))+"' WHERE user_code = 'DEVICE"+itoa(i)+"'")
			}
			m.undisturbed(func() {
				release := storetest.Hold(t, m.url, "BEGIN; SELECT 1 FROM "+c.first+" FOR UPDATE")
				ended := begin(func() error { return endsBy[c.end](m, everyActor) })
				m.waiting(1)
				n, err := c.purge(m)
				m.ok(err)
				if n != 1 {
					t.Errorf("%d are purged, want the one that is not locked", n)
				}
				release()
				m.ok(ended())
			})
		})
	}
}
