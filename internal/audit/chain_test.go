package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

func master(t *testing.T, fill byte) *seal.Master {
	t.Helper()
	m, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ledger is a database with a chain in it.
type ledger struct {
	*audit.Chain
	t     *testing.T
	url   string
	store *store.Store
	clock *storetest.Clock
	log   *buffer
}

func eachLedger(t *testing.T, test func(l *ledger)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) { test(newLedger(t, url)) })
}

func newLedger(t *testing.T, url string) *ledger {
	l := &ledger{t: t, url: url, clock: storetest.NewClock(), log: new(buffer)}
	l.store = storetest.OpenURL(t, url, storetest.WithClock(l.clock))
	l.use(master(t, 1))
	return l
}

func (l *ledger) use(m *seal.Master) {
	l.Chain = audit.NewChain(l.store, m, slog.New(slog.NewJSONHandler(l.log, nil)))
}

// add stores n events, a second apart.
func (l *ledger) add(n int) {
	l.t.Helper()
	for range n {
		l.clock.Advance(time.Second)
		ev := store.Event{
			Action: "login", Outcome: store.OutcomeRefused, ActorKind: "user", ActorID: "ada", OnBehalfOf: "eve", TargetID: "bob",
			OrgID: "acme", Address: "192.0.2.7", RequestID: "req", Detail: "wrong_password",
		}
		if err := l.store.InsertEvent(l.t.Context(), ev); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *ledger) link() {
	l.t.Helper()
	for more := true; more; {
		var err error
		if more, err = l.Link(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *ledger) verify(head string) audit.Report {
	l.t.Helper()
	report, err := l.Verify(l.t.Context(), head)
	if err != nil {
		l.t.Fatal(err)
	}
	return report
}

func (l *ledger) intact(events int64) audit.Report {
	l.t.Helper()
	r := l.verify("")
	if !r.OK || r.Verified+r.Former != events || r.Broken != 0 || len(r.Problems) != 0 {
		l.t.Errorf("want %d intact events: %+v", events, r)
	}
	return r
}

// broken fails unless the first problem is at the place and says so.
func (l *ledger) broken(what, head string, seq int64, text string) {
	l.t.Helper()
	r := l.verify(head)
	if r.OK || len(r.Problems) == 0 || r.Problems[0].Seq != seq || !strings.Contains(r.Problems[0].Message, text) {
		l.t.Errorf("%s: want %q at %d: %+v", what, text, seq, r)
	}
}

func (l *ledger) exec(statements ...string) {
	l.t.Helper()
	storetest.Exec(l.t, l.url, strings.Join(statements, ";\n")+";")
}

func (l *ledger) value(query string) string {
	l.t.Helper()
	return storetest.Rows(l.t, l.url, query)[0][0]
}

func (l *ledger) head() string { return l.value("SELECT value FROM settings WHERE key = 'audit_head'") }

func (l *ledger) anchor() string {
	return l.value("SELECT value FROM settings WHERE key = 'audit_anchor'")
}

func TestEveryEventIsLinkedAndVerified(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.intact(0)
		l.add(3)
		if r := l.intact(0); r.Unlinked != 3 {
			t.Errorf("before the link: %+v", r)
		}
		l.link()
		l.add(450) // some batches
		l.link()
		r := l.intact(453)
		if r.First != 1 || r.Unlinked != 0 || r.Head != l.head() {
			t.Errorf("%+v", r)
		}
		records := l.log.records(t)
		if len(records) != 2 || records[1]["head"] != r.Head || records[1]["msg"] != "audit events linked" {
			t.Errorf("the log has %v, the head is %s", records, r.Head)
		}
		l.link() // nothing is new
		if len(l.log.records(t)) != 2 {
			t.Errorf("logged again: %v", l.log.records(t))
		}
	})
}

// A row of the previous release has no kind of actor, and a row that was committed
// late has an id and a time before those that are linked.
func TestLateRowsAndThoseOfThePreviousReleaseAreLinked(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		l.exec("INSERT INTO audit_events (id, at, action, outcome, actor_id) VALUES ('0', '2020-01-01T00:00:00.000000Z', 'logout', 'success', 'system')")
		l.link()
		l.intact(4)
		if seq := l.value("SELECT seq FROM audit_events WHERE id = '0'"); seq != "4" {
			t.Errorf("the late row is at %s", seq)
		}
	})
}

func TestAChangeOfEachColumnIsNoticed(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(5)
		l.link()
		id := l.value("SELECT id FROM audit_events WHERE seq = 3")
		for _, table := range store.Tables() {
			if table.Name != "audit_events" {
				continue
			}
			for _, column := range table.Columns {
				before := l.value("SELECT " + column + " FROM audit_events WHERE seq = 3")
				switch column {
				case "seq":
					l.exec("UPDATE audit_events SET seq = 99 WHERE seq = 3")
					l.broken(column, "", 3, "missing")
					l.exec("UPDATE audit_events SET seq = NULL WHERE seq = 99")
					l.broken("no "+column, "", 3, "missing")
					l.exec("UPDATE audit_events SET seq = 3 WHERE seq IS NULL")
				case "link":
					l.exec("UPDATE audit_events SET link = NULL WHERE seq = 3")
					l.broken("no "+column, "", 3, "was changed")
					fallthrough
				default:
					l.exec("UPDATE audit_events SET " + column + " = '" + before + "x' WHERE seq = 3")
					l.broken(column, "", 3, "was changed")
					if got := l.verify("").Problems[0].EventID; column != "id" && got != id {
						t.Errorf("%s: the report names %q", column, got)
					}
					l.exec("UPDATE audit_events SET " + column + " = '" + before + "' WHERE seq = 3")
				}
				l.intact(5)
			}
		}
	})
}

// SQLite stores a value of any type in a column; a search for a text then finds nothing.
func TestAChangeOfATypeIsNoticed(t *testing.T) {
	l := newLedger(t, storetest.MigratedSQLite(t))
	l.add(5)
	l.link()
	for _, table := range store.Tables() {
		if table.Name != "audit_events" {
			continue
		}
		for _, column := range table.Columns {
			if column == "seq" {
				continue
			}
			l.exec("UPDATE audit_events SET " + column + " = CAST(" + column + " AS BLOB) WHERE seq = 3")
			l.broken(column, "", 3, "was changed")
			l.exec("UPDATE audit_events SET " + column + " = CAST(" + column + " AS TEXT) WHERE seq = 3")
			l.intact(5)
		}
	}
	for _, place := range []string{"'three'", "3.5", "x'33'"} {
		l.exec("UPDATE audit_events SET seq = " + place + " WHERE seq = 3")
		l.broken("the place "+place, "", 3, "missing")
		if r := l.verify(""); len(r.Problems) != 2 || r.Problems[1].EventID == "" || r.Broken != 1 {
			t.Errorf("the place %s: %+v", place, r)
		}
		l.exec("UPDATE audit_events SET seq = 3 WHERE seq = " + place)
	}
	l.intact(5)
}

func TestAnEventBeforeEveryPlaceIsNoticed(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(2)
		l.link()
		l.exec("INSERT INTO audit_events (id, at, action, outcome, seq, link) SELECT 'made up', at, action, outcome, -9223372036854775808, link FROM audit_events WHERE seq = 1")
		l.broken("a place before every other one", "", 0, "no server gives")
	})
}

func TestRowsThatAreRemovedMovedOrAddedAreNoticed(t *testing.T) {
	insert := func(id string, seq int) string {
		return fmt.Sprintf(`INSERT INTO audit_events (id, at, action, outcome, seq, link) VALUES ('%s', '2026-11-21T12:00:03.000000Z', 'login', 'success', %d, 'v1.x.y')`, id, seq)
	}
	for name, c := range map[string]struct {
		do   []string
		seq  int64
		text string
	}{
		"one in the middle":     {[]string{"DELETE FROM audit_events WHERE seq = 3"}, 3, "event 3 is missing"},
		"several":               {[]string{"DELETE FROM audit_events WHERE seq IN (3, 4, 5)"}, 3, "events 3 to 5 are missing"},
		"the first":             {[]string{"DELETE FROM audit_events WHERE seq <= 2"}, 1, "events 1 to 2 are missing"},
		"the tail":              {[]string{"DELETE FROM audit_events WHERE seq >= 7"}, 7, "the last events are missing: 7 to 8"},
		"all":                   {[]string{"DELETE FROM audit_events"}, 1, "the last events are missing: 1 to 8"},
		"removed and closed up": {[]string{"DELETE FROM audit_events WHERE seq = 3", "UPDATE audit_events SET seq = -seq WHERE seq > 3", "UPDATE audit_events SET seq = -seq - 1 WHERE seq < 0"}, 3, "was changed"},
		"swapped":               {[]string{"UPDATE audit_events SET seq = -3 WHERE seq = 3", "UPDATE audit_events SET seq = 3 WHERE seq = 4", "UPDATE audit_events SET seq = 4 WHERE seq = -3"}, 3, "was changed"},
		"swapped with links": {[]string{
			"UPDATE audit_events SET detail = 'x' WHERE seq = 3",
			"UPDATE audit_events SET seq = -3 WHERE seq = 3", "UPDATE audit_events SET seq = 3, link = (SELECT link FROM audit_events WHERE seq = -3) WHERE seq = 4",
			"UPDATE audit_events SET seq = 4 WHERE seq = -3",
		}, 3, "was changed"},
		"added in the middle": {[]string{"UPDATE audit_events SET seq = -seq WHERE seq > 3", "UPDATE audit_events SET seq = 1 - seq WHERE seq < 0", insert("x", 4)}, 4, "was changed"},
		"added at the end":    {[]string{insert("x", 9)}, 9, "was changed"},
		"added before":        {[]string{insert("x", 0)}, 0, "before the anchor"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLedger(t, func(l *ledger) {
				l.add(8)
				l.link()
				l.exec(c.do...)
				l.broken(name, "", c.seq, c.text)
				l.add(1)
				_, err := l.Link(t.Context()) // what follows does not heal it
				if r := l.verify(""); r.OK || r.Problems[0].Seq != c.seq {
					t.Errorf("then: %+v, %v", r, err)
				}
				if err != nil && !strings.Contains(err.Error(), "audit verify") {
					t.Errorf("the chain stops without advice: %v", err)
				}
				if err := l.Restart(t.Context(), system); err != nil {
					t.Fatal(err)
				}
				l.link()
				if r := l.verify(""); !r.OK || r.Verified == 0 {
					t.Errorf("after a restart: %+v", r)
				}
			})
		})
	}
}

func TestAHeadIsNeitherForgedNorTakenBack(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		old := l.head()
		third := l.value("SELECT link FROM audit_events WHERE seq = 3")
		l.add(3)
		l.link()
		head := l.head()
		set := func(value string) { l.exec("UPDATE settings SET value = '" + value + "' WHERE key = 'audit_head'") }
		for name, forged := range map[string]string{
			"nonsense": "nonsense", "another number": "5" + head[1:], "of an earlier event": "3:" + third + head[strings.LastIndex(head, ":"):],
			"an anchor": "3:" + third + ":" + third,
		} {
			set(forged)
			l.broken(name, "", 0, "the stored head does not match")
			if _, err := l.Link(t.Context()); err != nil {
				t.Errorf("%s: nothing is new, and still %v", name, err)
			}
		}
		l.add(1)
		if _, err := l.Link(t.Context()); err == nil || !strings.Contains(err.Error(), "audit verify") {
			t.Errorf("a forged head was continued: %v", err)
		}
		set(old)
		l.broken("an earlier head", "", 4, "after the stored head")
		l.exec("DELETE FROM settings WHERE key = 'audit_head'")
		l.broken("no head", "", 0, "the stored head is missing")
		if _, err := l.Link(t.Context()); err == nil {
			t.Error("a second chain was begun")
		}
	})
}

// Without a copy of a head elsewhere, the whole state of an earlier day looks right.
func TestACopiedHeadShowsThatTheDatabaseWasTakenBack(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		old := l.head()
		l.add(3)
		l.link()
		head := l.head()
		l.add(2)
		l.link()
		for _, good := range []string{old, head, l.head()} {
			if r := l.verify(good); !r.OK {
				t.Errorf("%s: %+v", good, r)
			}
		}
		l.exec("DELETE FROM audit_events WHERE seq > 3", "UPDATE settings SET value = '"+old+"' WHERE key = 'audit_head'")
		l.intact(3)
		l.broken("taken back", head, 4, "the last events are missing: 4 to 6, by the given head")
		l.add(5)
		l.link()
		l.intact(8)
		l.broken("taken back and continued", head, 6, "another one than at the time of the given head")
		l.broken("a forged copy", "7"+head[1:], 0, "the given head is not one that this server signed")
		l.broken("nonsense", "nonsense", 0, "the given head is not one that this server signed")
	})
}

func TestRetentionLeavesAnAnchor(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(4)
		l.link()
		early := l.head()
		l.add(400)
		l.link()
		head := l.head()
		l.add(2)
		cutoff := l.clock.Advance(time.Second)
		l.add(3)
		l.link()
		purge := func() {
			for more := true; more; {
				var err error
				if more, err = l.Purge(t.Context(), cutoff); err != nil {
					t.Fatal(err)
				}
			}
		}
		purge()
		if r := l.intact(3); r.Purged != 406 || r.First != 407 || r.Last != 409 {
			t.Errorf("%+v", r)
		}
		l.broken("a head of a deleted event", early, 0, "that retention removed")
		if r := l.verify(l.head()); !r.OK {
			t.Errorf("%+v", r)
		}
		first := l.anchor()
		purge() // nothing is due
		if l.anchor() != first {
			t.Error("the anchor moved")
		}
		l.exec("DELETE FROM audit_events WHERE seq = 407")
		l.broken("one more", "", 407, "event 407 is missing")
		l.exec("UPDATE settings SET value = '407" + first[3:] + "' WHERE key = 'audit_anchor'")
		l.broken("a forged anchor", "", 0, "the anchor, which says what retention removed, does not match")
		l.exec("UPDATE settings SET value = '" + head + "' WHERE key = 'audit_anchor'")
		l.broken("a head as anchor", "", 0, "the anchor, which says what retention removed, does not match")
		l.exec("DELETE FROM settings WHERE key = 'audit_anchor'")
		l.broken("no anchor", "", 1, "events 1 to 407 are missing")
	})
}

func TestRetentionMayRemoveEverythingAndTheChainGoesOn(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		if _, err := l.Purge(t.Context(), l.clock.Advance(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if r := l.intact(0); r.Purged != 3 || r.First != 0 {
			t.Errorf("%+v", r)
		}
		l.add(2)
		l.link()
		if r := l.intact(2); r.First != 4 {
			t.Errorf("%+v", r)
		}
		l.add(1)
		if _, err := audit.NewChain(l.store, nil, nil).Purge(t.Context(), l.clock.Advance(time.Hour)); err != nil {
			t.Errorf("what has no link needs no key to go: %v", err)
		}
		if _, err := audit.NewChain(l.store, nil, nil).Purge(t.Context(), l.clock.Advance(time.Hour)); err == nil {
			t.Error("linked events went without an anchor")
		}
		l.intact(2)
	})
}

func TestAPurgeOfABrokenChainIsLoggedAndStaysVisible(t *testing.T) {
	l := newLedger(t, storetest.MigratedSQLite(t))
	l.add(3)
	l.link()
	l.exec("UPDATE audit_events SET detail = 'x' WHERE seq = 2")
	if _, err := l.Purge(t.Context(), l.clock.Advance(time.Hour)); err != nil {
		t.Fatal(err)
	}
	records := l.log.records(t)
	if last := records[len(records)-1]; last["level"] != "ERROR" || !strings.Contains(fmt.Sprint(last["error"]), "event 2 ") {
		t.Errorf("%v", records)
	}
	l.broken("a purge", "", 0, "removed events that did not match")
	l.add(2)
	l.link()
	if _, err := l.Purge(t.Context(), l.clock.Now()); err != nil {
		t.Fatal(err)
	}
	l.broken("a later purge", "", 0, "removed events that did not match")
	if err := l.Restart(t.Context(), system); err != nil {
		t.Fatal(err)
	}
	l.link()
	if r := l.verify(""); !r.OK || r.Verified == 0 {
		t.Errorf("after a restart: %+v", r)
	}
}

// Who can write to the database can make an event look old, so that retention removes
// it and what was before it.
func TestATimeThatWasChangedDoesNotHideAnEvent(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(8)
		l.link()
		head := l.head()
		l.exec("UPDATE audit_events SET at = '2020-01-01T00:00:00.000000Z' WHERE seq <= 3")
		if _, err := l.Purge(t.Context(), l.clock.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		for _, copied := range []string{"", head} {
			l.broken("removed by retention", copied, 0, "removed events that did not match")
		}
	})
}

func TestAnotherMasterKeyNeitherVerifiesNorContinues(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		l.use(master(t, 2))
		if r := l.verify(""); r.OK || r.Verified != 0 || !strings.Contains(r.Problems[0].Message, "under another master key") {
			t.Errorf("%+v", r)
		}
		l.add(1)
		if _, err := l.Link(t.Context()); err == nil || !strings.Contains(err.Error(), "another master key") {
			t.Errorf("the chain was continued: %v", err)
		}
	})
}

func TestTheChainGoesOnUnderANewMasterKey(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		l.add(3)
		l.link()
		old := l.head()
		l.use(master(t, 2).After(master(t, 1)))
		l.add(3)
		l.link()
		if r := l.intact(6); r.Verified != 6 {
			t.Errorf("%+v", r)
		}
		if r := l.verify(old); !r.OK {
			t.Errorf("a head of the previous key: %+v", r)
		}
		l.use(master(t, 2)) // the previous key was removed
		if r := l.intact(6); r.Former != 3 || r.Verified != 3 {
			t.Errorf("%+v", r)
		}
		l.exec("DELETE FROM audit_events WHERE seq = 2")
		l.broken("a row of the previous key", "", 2, "missing")
		l.exec("UPDATE audit_events SET link = (SELECT link FROM audit_events WHERE seq = 1) WHERE seq = 5")
		if r := l.verify(""); len(r.Problems) < 2 || r.Problems[1].Seq != 5 {
			t.Errorf("a link of the previous key after the change: %+v", r)
		}
	})
}

// Two replicas link at the same time although a lease should prevent it.
func TestConcurrentLinksMakeOneChain(t *testing.T) {
	eachLedger(t, func(l *ledger) {
		other := audit.NewChain(l.store, master(t, 1), nil)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 20 {
					if err := l.store.InsertEvent(t.Context(), store.Event{Action: "login", Outcome: "success"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, c := range []*audit.Chain{l.Chain, other} {
			all.Go(func() {
				for range 20 {
					if _, err := c.Link(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		l.link()
		l.intact(80)
	})
}

func TestDigestsOfAddressesNeedTheMasterKey(t *testing.T) {
	one, again, other := audit.Digest(master(t, 1), "ada@example.com"), audit.Digest(master(t, 1), "ada@example.com"), audit.Digest(master(t, 2), "ada@example.com")
	if one != again || one == other || len(one) != 12 || one == audit.Digest(master(t, 1), "bob@example.com") {
		t.Errorf("%s, %s, %s", one, again, other)
	}
}

// A user types capitals, a space or another form of a letter, and the operator does not
// know which.
func TestEverySpellingOfAnAddressHasOneDigest(t *testing.T) {
	for one, others := range map[string][]string{
		"ada@example.com":         {"Ada@Example.COM", "ADA@EXAMPLE.COM", " ada@example.com "},
		"jos\u00e9@example.com":   {"jose\u0301@example.com", "JOS\u00c9@example.com"},
		"ada@b\u00fccher.example": {"ada@xn--bcher-kva.example", "ADA@B\u00dcCHER.example"},
		"my password":             {"my password"},
	} {
		for _, other := range others {
			if audit.Digest(master(t, 1), one) != audit.Digest(master(t, 1), other) {
				t.Errorf("%q and %q differ", one, other)
			}
		}
	}
	// 38 ms of a core for 15 KB of letters with marks, which no limit of logins counts.
	if long := strings.Repeat("a", 2000); audit.Digest(master(t, 1), long) == audit.Digest(master(t, 1), strings.ToUpper(long)) {
		t.Error("the key of a text is computed that is longer than every address")
	}
}

func TestACopyAndABackupKeepTheChain(t *testing.T) {
	l := newLedger(t, storetest.MigratedSQLite(t))
	l.add(3)
	l.link()
	if _, err := l.Purge(t.Context(), l.clock.Now()); err != nil { // all but the last
		t.Fatal(err)
	}
	l.add(1)
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := transfer.Backup(t.Context(), store.Config{URL: "sqlite:///" + filepath.ToSlash(l.store.Path())}, file); err != nil {
		t.Fatal(err)
	}
	dest := storetest.EmptyPostgres(t)
	if _, err := transfer.Copy(t.Context(), store.Config{URL: "sqlite:///" + filepath.ToSlash(file)}, dest, nil); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"sqlite:///" + filepath.ToSlash(file), dest} {
		copied := newLedger(t, url)
		if r := copied.intact(1); r.Purged != 2 || r.Unlinked != 1 {
			t.Errorf("%s: %+v", url, r)
		}
		copied.link()
		copied.intact(2)
	}
}
