package store_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// step is a method that succeeds when the steps before it did.
type step struct {
	name string
	do   func() error
}

// reuse is the step that reads once more after its commit, for what the Store remembers
// of ended families, and does without that if it fails.
const reuse = "RotateRefresh, reuse"

// A method whose statements fail, the first, the last or COMMIT itself, returns
// "unavailable", has changed nothing, and passes on no event; the next try succeeds
// without a cleanup in between.
func TestAMethodThatFailsAnywhereChangesNothing(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o, clock := new(told), storetest.NewClock()
		w := &world{t: t, s: storetest.OpenURL(t, url, storetest.WithClock(clock), o.option()), clock: clock}
		fuse := w.s.Fuse()
		for _, step := range everyVerb(w) {
			before, events := w.dump(), len(o.events) // and after each failure, since it must be the same
			for n := 0; ; n++ {
				fuse.Arm(n)
				err := step.do()
				if !fuse.Disarm() {
					w.ok(err)
					break
				}
				if err == nil && step.name == reuse {
					break
				}
				if fault.KindOf(err) != fault.Unavailable {
					w.t.Fatalf("%s, statement %d: %v", step.name, n, err)
				}
				if diff := cmp.Diff(before, w.dump()); diff != "" {
					w.t.Fatalf("%s, statement %d failed and left (-before +after):\n%s", step.name, n, diff)
				}
				if len(o.events) != events {
					w.t.Fatalf("%s, statement %d failed and passed on %+v", step.name, n, o.events[events:])
				}
				if n > 40 {
					w.t.Fatalf("%s does not end", step.name)
				}
			}
		}
		w.toldWhatIsStored(o)
	})
}

// toldWhatIsStored checks that rows and passed-on events are equal, except those
// that are in one place only.
func (w *world) toldWhatIsStored(o *told) {
	w.t.Helper()
	rows, err := w.s.Events(w.t.Context(), 0)
	w.ok(err)
	rows = slices.DeleteFunc(rows, func(ev store.Event) bool { return ev.Action == "x" }) // InsertEvent
	events := slices.DeleteFunc(slices.Clone(o.events), func(ev store.Event) bool { return ev.Action == identity.ActionRefresh })
	byID := func(a, b store.Event) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(rows, byID)
	slices.SortFunc(events, byID)
	if diff := cmp.Diff(rows, events); diff != "" || len(rows) < 20 {
		w.t.Errorf("%d rows (-stored +told):\n%s", len(rows), diff)
	}
}

func (w *world) dump() string {
	w.t.Helper()
	text, err := w.s.Dump(w.t.Context())
	w.ok(err)
	return text
}

func everyVerb(w *world) []step {
	ctx, s := w.t.Context(), w.s
	root := identity.User{ID: "root", EmailKey: "root", PasswordHash: "h"}
	u := identity.User{ID: "u", EmailKey: "u", PasswordHash: "h", Role: identity.Viewer, OrgID: "default", Status: identity.Active}
	other := identity.User{ID: "p", EmailKey: "p", PasswordHash: "h", Role: identity.Viewer, OrgID: "new-org"}
	as := store.Act{Action: "act", By: identity.Actor{Kind: identity.ActorUser, ID: "root"}}
	self := store.Act{Action: "act", By: identity.Actor{Kind: identity.ActorUser, ID: "u", SessionID: "f2", TokenID: "jti-t3"}}
	var group identity.Group
	name := "renamed"
	guessed := store.ThrottleKey{Account: "u", Network: "192.0.2.0/24"}
	start := func(family, hash string, version int64) func() error {
		return func() error {
			_, err := w.start(identity.User{ID: "u", CredentialsVersion: version}, family, w.clock.Now().Add(month), w.next(hash))
			return err
		}
	}
	change := func() error {
		next := w.family("f2b", w.clock.Now().Add(month), w.next("t3b"))
		_, err := s.ChangePassword(ctx, self, w.proof(u), "h2", next)
		return err
	}
	suspended, active := identity.Suspended, identity.Active
	return slices.Concat([]step{
		{"InsertFirstAdmin", func() error { _, err := s.InsertFirstAdmin(ctx, root); return err }},
		{"InsertUser", func() error { return s.InsertUser(ctx, store.Act{Action: "register"}, u) }},
		{"CreateUser", func() error { return s.CreateUser(ctx, as, other) }},
		{"UserByID", func() error { _, err := s.UserByID(ctx, "u"); return err }},
		{"UserByEmail", func() error { _, err := s.UserByEmail(ctx, "u"); return err }},
		{"Principal", func() error { _, err := s.Principal(ctx, as.By); return err }},
		{"Users", func() error { _, err := s.Users(ctx, as.By, store.ListFilter{}); return err }},
		{"Users, search", func() error { _, err := s.Users(ctx, as.By, store.ListFilter{Query: "p", Limit: 1}); return err }},
		{"Standing", func() error { _, err := s.Standing(ctx, as.By, "p"); return err }},
		{"UpdateUser", func() error {
			_, err := s.UpdateUser(ctx, as, "p", store.UserChange{Profile: map[string]string{"nickname": "P"}, OrgID: "default"})
			return err
		}},
		{"UpdateUser, address", func() error {
			_, err := s.UpdateUser(ctx, store.Act{Action: "act", By: system("").By}, "p", store.UserChange{Email: "p@example.org"})
			return err
		}},
		{"UpdateOwn", func() error {
			_, err := s.UpdateOwn(ctx, self, map[string]string{"display_name": "U"}, nil)
			return err
		}},
		{"CompleteUsers", func() error { _, err := s.CompleteUsers(ctx, "", 10); return err }},
		{"HasSuperadmin", func() error { _, err := s.HasSuperadmin(ctx); return err }},
		{"DefaultPasswordAdmin", func() error { _, _, err := s.DefaultPasswordAdmin(ctx); return err }},
		{"InsertGroup", func() (err error) { group, err = s.InsertGroup(ctx, as, identity.Group{Name: "g"}); return err }},
		{"UpdateGroup", func() error { _, err := s.UpdateGroup(ctx, as, group.ID, &name, nil); return err }},
		{"AddMember", func() error { return s.AddMember(ctx, as, group.ID, "u") }},
		{"Group", func() error { _, _, err := s.Group(ctx, as.By, group.ID, false); return err }},
		{"Groups", func() error { _, err := s.Groups(ctx, as.By, store.ListFilter{}); return err }},
		{"StartSession", start("f1", "t0", 0)},
		{"RotateRefresh", func() error { _, err := w.rotate("t0", "t1"); return err }},
		{"Bearer", func() error { _, err := s.Bearer(ctx, "u", "f1", "jti-t1"); return err }},
		{reuse, func() error {
			_, err := w.rotate("t0", "t2")
			if fault.KindOf(err) == fault.Unauthenticated {
				return nil
			}
			return err
		}},
		{"StartSession again", start("f2", "t3", 0)},
		{"RotateRefresh, after a minute", func() error {
			w.clock.Advance(time.Minute)
			_, err := w.rotate("t3", "t3a")
			return err
		}},
		{"ChangePassword", change},
		{"StartSession, third", start("f3", "t4", 1)},
		{"EndSession", func() error { return s.EndSession(ctx, self, "f3") }},
		{"StartSession, fourth", start("f4", "t5", 1)},
		{"EndSessionByToken", func() error {
			_, err := s.EndSessionByToken(ctx, self, store.PresentedRefresh{ClientID: identity.FirstPartyClient, Hashes: []string{"t5"}})
			return err
		}},
		{"Sessions", func() error { _, err := s.Sessions(ctx, as.By, "u", store.ListFilter{Limit: 1}); return err }},
		{"StartSession, fifth", start("f5", "t6", 1)},
		{"EndUserSession", func() error { return s.EndUserSession(ctx, as, "u", "f5") }},
		{"EndUserSessions", func() error { _, err := s.EndUserSessions(ctx, as, "u"); return err }},
		{"StartSession, sixth", start("f6", "t7", 1)},
		{"Reauthenticate", func() error {
			here := self
			here.By.SessionID = "f6"
			return s.Reauthenticate(ctx, here, w.proof(identity.User{ID: "u", CredentialsVersion: 1}))
		}},
		{"RevokedJTIs", func() error { _, err := s.RevokedJTIs(ctx); return err }},
		{"InsertServiceToken", func() error {
			_, _, err := s.InsertServiceToken(ctx, as, identity.ServiceToken{Name: "ci", Role: identity.Viewer}, "hash")
			return err
		}},
		{"ServiceTokenByHash", func() error { _, err := s.ServiceTokenByHash(ctx, []string{"hash"}); return err }},
		{"ServiceTokens", func() error { _, err := s.ServiceTokens(ctx, as.By, store.ListFilter{}); return err }},
		{"RevokeServiceToken", func() error { return s.RevokeServiceToken(ctx, as, "", "ci") }},
		{"DeleteOwn", func() error {
			p := identity.Actor{Kind: identity.ActorUser, ID: "p"}
			return s.DeleteOwn(ctx, store.Act{Action: "act", By: p}, w.proof(identity.User{ID: "p", CredentialsVersion: 1}))
		}},
		{"Guesses", func() error { _, err := s.Guesses(ctx, guessed); return err }},
		{"CountGuess", func() error {
			_, err := s.CountGuess(ctx, guessed, false, func(store.Guesses) ([]store.Event, error) {
				return []store.Event{as.Event("refused", "u", "default")}, nil
			})
			return err
		}},
		{"ForgetGuesses", func() error { return s.ForgetGuesses(ctx, "u", "192.0.2.0/24") }},
		{"RecordLimit", func() error { return s.RecordLimit(ctx, as) }},
		{"ThrottleSecret", func() error { _, err := s.ThrottleSecret(ctx); return err }},
		{"PurgeThrottle", func() error { _, err := s.PurgeThrottle(ctx, 10); return err }},
		{"SetRegistration", func() error { return s.SetRegistration(ctx, as, true) }},
		{"Registration", func() error { _, _, err := s.Registration(ctx); return err }},
		{"AdoptedKey", func() error { _, err := s.AdoptedKey(ctx); return err }},
		{"InsertEvent", func() error { return s.InsertEvent(ctx, store.Event{Action: "x"}) }},
		{"Events", func() error { _, err := s.Events(ctx, 1); return err }},
		{"SearchEvents", func() error {
			_, _, err := s.SearchEvents(ctx, as.By, store.EventFilter{ActorID: "root", Outcome: store.OutcomeRefused})
			return err
		}},
		{"LinkEvents", func() error { _, err := s.LinkEvents(ctx, 3, counted); return err }},
		{"LinkEvents again", func() error { _, err := s.LinkEvents(ctx, 100, counted); return err }},
		{"RestartChain", func() error { return s.RestartChain(ctx, store.Act{Action: "act", By: as.By}) }},
		{"LinkEvents, third", func() error { _, err := s.LinkEvents(ctx, 100, counted); return err }},
		{"ReadChain", func() error { _, err := s.ReadChain(ctx, store.ChainStart, 100); return err }},
		{"PurgeEvents", func() error {
			_, err := s.PurgeEvents(ctx, w.clock.Now().Add(-month), 100, func(string, []store.ChainEvent) (string, error) { return "anchor", nil })
			return err
		}},
		{"Ping", func() error { return s.Ping(ctx) }},
		{"StartSession, beyond the limit", func() error {
			f := w.family("f-limit", w.clock.Now().Add(month), w.sharing("l6", "part"))
			f.Limit = 1
			_, err := s.StartSession(ctx, store.Act{Action: "login"}, w.proof(identity.User{ID: "u", CredentialsVersion: 1}), f)
			return err
		}},
		{"RotateRefresh, with a grace", func() error {
			next := w.sharing("l7", "part")
			next.Sealed = "sealed"
			_, err := w.exchange(token("l6", "part"), next)
			return err
		}},
		{"RotateRefresh, again within the grace", func() error {
			p := token("l6", "part")
			p.Grace = time.Second
			_, err := w.exchange(p, w.sharing("l8", "part"))
			return err
		}},
		{"SetRole", func() error { _, err := s.SetRole(ctx, as, "u", identity.Superadmin); return err }},
		{"SetRole, down", func() error { _, err := s.SetRole(ctx, as, "u", identity.Viewer); return err }},
		{"SetStatus", func() error { _, err := s.SetStatus(ctx, as, "u", identity.Suspended); return err }},
		{"ResetPassword", func() error { return s.ResetPassword(ctx, as, "u", "h3") }},
		{"Purge", func() error {
			w.clock.Advance(time.Hour)
			_, _, err := s.Purge(ctx, 0, 2)
			return err
		}},
		{"Purge, all", func() error {
			w.clock.Advance(month)
			_, _, err := s.Purge(ctx, 0, 0)
			return err
		}},
		{"RemoveMember", func() error { return s.RemoveMember(ctx, as, group.ID, "u") }},
		{"DeleteGroup", func() error { return s.DeleteGroup(ctx, as, group.ID) }},
		{"DeleteUser", func() error { return s.DeleteUser(ctx, as, "u") }},
		{"InsertOrganization", func() error {
			_, err := s.InsertOrganization(ctx, as, identity.Organization{ID: "empty", Name: "Empty"})
			return err
		}},
		{"Organization", func() error { _, err := s.Organization(ctx, as.By, "empty"); return err }},
		{"Organizations", func() error { _, err := s.Organizations(ctx, as.By, store.ListFilter{}); return err }},
		{"UpdateOrganization", func() error { _, err := s.UpdateOrganization(ctx, as, "new-org", &name, &suspended); return err }},
		{"UpdateOrganization, again", func() error { _, err := s.UpdateOrganization(ctx, as, "new-org", nil, &active); return err }},
		{"DeleteOrganization", func() error { return s.DeleteOrganization(ctx, as, "empty") }},
	}, authorizeVerbs(w))
}

// counted is a chain without keys: its head is the number of its events.
func counted(head string, events []store.ChainEvent) (string, error) {
	n, _ := strconv.ParseInt(head, 10, 64) // empty: 0
	for i := range events {
		n++
		events[i].Seq, events[i].Link = n, "link "+strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10), nil
}
