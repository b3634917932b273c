package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

var (
	by      = identity.Actor{Kind: identity.ActorUser, ID: "ada", Address: "192.0.2.7", RequestID: "req-1"}
	unknown = identity.Actor{Address: "192.0.2.7", RequestID: "req-1"}
	system  = identity.Actor{Kind: identity.ActorSystem, ID: "root", OnBehalfOf: "ada"}
)

func TestMain(m *testing.M) { storetest.Main(m) }

// buffer is a log that can be written and read concurrently.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// records returns what was logged, without times.
func (b *buffer) records(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(b.buf.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		delete(r, "time")
		all = append(all, r)
	}
	return all
}

func newLog(s *store.Store) (*audit.Log, *buffer) {
	b := new(buffer)
	return audit.New(audit.Config{Store: s, Log: slog.New(slog.NewJSONHandler(b, nil))}), b
}

func rows(t *testing.T, s *store.Store) []store.Event {
	t.Helper()
	events, err := s.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestACommittedEventIsOneRecord(t *testing.T) {
	b := new(buffer)
	tell := audit.Writer(slog.New(slog.NewJSONHandler(b, nil)))
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		act := store.Act{Action: identity.ActionCreateUser, By: system, Detail: "viewer"}
		u := identity.User{ID: "bob", Email: "bob@pico.example", Role: identity.Viewer, OrgID: identity.DefaultOrg}
		if err := s.CreateUser(t.Context(), act, u); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{{
			"level": "INFO", "msg": "user.create", "audit": true, "outcome": "success", "actor_kind": "system", "actor_id": "root",
			"on_behalf_of": "ada", "target_id": "bob", "org_id": "default", "detail": "viewer",
		}}
		if diff := cmp.Diff(want, b.records(t)); diff != "" {
			t.Error(diff)
		}
		if got := rows(t, s); len(got) != 1 || got[0].Action != identity.ActionCreateUser || got[0].ActorID != "root" {
			t.Errorf("rows: %+v", got)
		}
		b.buf.Reset()
	}, func(c *store.Config) { c.Committed = tell })
}

func TestACommittedRefusalIsAWarning(t *testing.T) {
	b := new(buffer)
	audit.Writer(slog.New(slog.NewJSONHandler(b, nil)))(store.Act{Action: identity.ActionReuse, By: by}.Event(store.OutcomeRefused, "bob", "acme"))
	if got := b.records(t); len(got) != 1 || got[0]["level"] != "WARN" || got[0]["outcome"] != "refused" || got[0]["actor_kind"] != "user" {
		t.Errorf("records: %v", got)
	}
}

func TestFailedIsARecordAndARow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		log, b := newLog(s)
		ctx, cancel := context.WithCancel(t.Context())
		log.Failed(ctx, store.Act{Action: identity.ActionLogin, By: unknown, Detail: "wrong_password"}, "bob", "acme")
		cancel() // a cancelled request does not undo the record
		log.Flush()
		if got := b.records(t); len(got) != 1 || got[0]["level"] != "WARN" || got[0]["outcome"] != "refused" {
			t.Errorf("records: %v", got)
		}
		got := rows(t, s)
		if len(got) != 1 {
			t.Fatalf("rows: %+v", got)
		}
		if got[0].ID == "" || got[0].At.IsZero() {
			t.Errorf("row without id or time: %+v", got[0])
		}
		got[0].ID, got[0].At = "", got[0].At.Truncate(0)
		want := store.Event{
			At: got[0].At, Action: "login", Outcome: "refused", TargetID: "bob", OrgID: "acme",
			Address: by.Address, RequestID: by.RequestID, Detail: "wrong_password",
		}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUnauthenticatedClientsDoNotFillTheTable(t *testing.T) {
	s := storetest.Open(t)
	log, b := newLog(s)
	log.Failed(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown, Detail: "unknown_user"}, "", "")
	log.Flush()
	if len(b.records(t)) != 1 || len(rows(t, s)) != 0 {
		t.Errorf("%d records, %d rows", len(b.records(t)), len(rows(t, s)))
	}
}

func TestRefusedDistinguishesDecisionsFromAccidents(t *testing.T) {
	act := store.Act{Action: identity.ActionDeleteUser, By: by}
	orgAdmin := identity.Principal{Kind: identity.ActorUser, Role: identity.OrgAdmin, OrgID: "acme", Active: true}
	for name, c := range map[string]struct {
		err     error
		records int
		rows    int
	}{
		"done":        {nil, 0, 0}, // the store passes it on
		"forbidden":   {identity.ErrForbidden, 1, 1},
		"elsewhere":   {fmt.Errorf("delete: %w", identity.MayManage(orgAdmin, identity.Principal{OrgID: "other"})), 1, 1},
		"the last":    {store.ErrLastSuperadmin, 1, 1},
		"not found":   {fault.New(fault.NotFound, "not_found", "there is no such user"), 0, 0},
		"unavailable": {fault.New(fault.Unavailable, "unavailable", "the database is unavailable"), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t)
			log, b := newLog(s)
			log.Refused(t.Context(), act, "bob", c.err)
			log.Flush()
			if len(b.records(t)) != c.records || len(rows(t, s)) != c.rows {
				t.Errorf("%d records, %d rows", len(b.records(t)), len(rows(t, s)))
			}
		})
	}
}

func TestAFailureToStoreARefusalIsLogged(t *testing.T) {
	s := storetest.Open(t)
	log, b := newLog(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log.Failed(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown}, "bob", "")
	log.Flush()
	got := b.records(t)
	if len(got) != 2 || got[1]["level"] != "ERROR" {
		t.Errorf("records: %v", got)
	}
}

func TestAFloodOfRefusalsIsBoundedCountedAndEachIsLogged(t *testing.T) {
	s := storetest.Open(t)
	log, b := newLog(s)
	const flood = 2000
	var all sync.WaitGroup
	for i := range flood {
		all.Go(func() {
			log.Failed(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown}, strconv.Itoa(i), "")
		})
	}
	all.Wait()
	log.Close()
	if logged := len(b.records(t)); logged != flood {
		t.Errorf("%d logged", logged)
	}
	stored, counted := 0, 0
	for _, ev := range rows(t, s) {
		stored++
		counted += count(t, ev)
	}
	// Two rows for each of the 500 groups, and one for all others.
	if counted != flood || stored > 1001 {
		t.Errorf("%d rows count %d refusals", stored, counted)
	}
}

// count is how many refusals the row stands for.
func count(t *testing.T, ev store.Event) int {
	t.Helper()
	text, found := strings.CutPrefix(ev.Detail, "repeated ")
	if !found {
		return 1
	}
	text, _, _ = strings.Cut(text, ":")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("detail %q", ev.Detail)
	}
	return n
}

// A client that guesses without an end, with all addresses of its network, costs two
// rows a minute for each user.
func TestTheTableHasTheFirstRefusalAtOnceAndOneCountAMinute(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		log, b := newLog(s)
		clock := storetest.NewClock()
		audit.SetNow(log, clock.Now)
		refuse := func(action identity.Action, target, address string) {
			by := identity.Actor{Address: address, Network: address[:9]}
			log.Failed(t.Context(), store.Act{Action: action, By: by, Detail: "wrong_password"}, target, "")
			log.Flush()
		}
		for i := range 50 {
			refuse(identity.ActionLogin, "bob", "192.0.2.7"+strconv.Itoa(i%10))
			refuse(identity.ActionLogin, "bob", "198.51.100.1")
			refuse(identity.ActionLogin, "ada", "192.0.2.7")
			refuse(identity.ActionChangePassword, "bob", "192.0.2.7")
		}
		if stored := countRows(t, s); stored != 4 {
			t.Errorf("%d stored at once, want 4", stored)
		}
		log.Settle(t.Context())
		if stored := countRows(t, s); stored != 4 {
			t.Errorf("%d stored before the minute was over", stored)
		}
		clock.Advance(time.Minute)
		log.Settle(t.Context())
		log.Settle(t.Context())
		all := rows(t, s)
		repeated := 0
		for _, ev := range all {
			if ev.Detail == "repeated 49: wrong_password" && ev.Outcome == store.OutcomeRefused && ev.TargetID != "" && ev.Address != "" {
				repeated++
			}
		}
		if len(all) != 8 || repeated != 4 {
			t.Errorf("after a minute: %+v", all)
		}
		refuse(identity.ActionLogin, "bob", "192.0.2.7")
		refuse(identity.ActionLogin, "bob", "192.0.2.7")
		clock.Advance(time.Minute)
		refuse(identity.ActionLogin, "bob", "192.0.2.7") // stores the count although nothing called Settle
		if stored := countRows(t, s); stored != 11 {
			t.Errorf("%d stored, want 11", stored)
		}
		refuse(identity.ActionLogin, "bob", "192.0.2.7")
		log.Close() // a stop loses no count
		if stored := countRows(t, s); stored != 12 {
			t.Errorf("%d stored after the end, want 12", stored)
		}
		if logged := len(b.records(t)); logged != 204 {
			t.Errorf("%d logged, want all 204", logged)
		}
	})
}

func countRows(t *testing.T, s *store.Store) int {
	t.Helper()
	events, err := s.Events(t.Context(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

func TestWithoutALoggerRefusalsAreStillStored(t *testing.T) {
	s := storetest.Open(t)
	log := audit.New(audit.Config{Store: s})
	log.Failed(t.Context(), store.Act{Action: identity.ActionLogin, By: unknown}, "ada", "")
	log.Flush()
	if len(rows(t, s)) != 1 {
		t.Errorf("rows: %+v", rows(t, s))
	}
	if audit.Writer(nil) != nil {
		t.Error("Writer(nil) returns no function")
	}
}
