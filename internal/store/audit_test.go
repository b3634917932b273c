package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// schemaSeven is a database of schema version 7.
func schemaSeven(t *testing.T, url string) {
	t.Helper()
	script := strings.NewReplacer("(0, 1), (1, 1);", "(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1);").Replace(gooseSQLite)
	if !strings.HasPrefix(url, "sqlite") {
		script = strings.Replace(goosePostgres, "(0, true), (1, true);",
			"(0, true), (1, true), (2, true), (3, true), (4, true), (5, true), (6, true), (7, true);", 1)
	}
	for _, name := range []string{"0001_schema", "0002_keys", "0003_key_life", "0004_key_ahead", "0005_sessions", "0006_key_algorithms", "0007_audit_actor"} {
		text, err := os.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		script += string(text)
	}
	storetest.Exec(t, url, script+"INSERT INTO organizations (id, created_at) VALUES ('default', '2026-11-21T12:00:00.000000Z');")
}

// What a process of the release with schema 7 has written, before the upgrade and
// during a rolling one.
const eventOfSeven = `INSERT INTO audit_events (id, at, action, outcome, actor_kind, actor_id, on_behalf_of, target_id, org_id, address, request_id, detail)
	VALUES ('%s', '2026-11-21T12:00:0%d.000000Z', 'login', 'success', 'user', 'u1', '', 'u1', 'default', '192.0.2.7', 'r', 'session s');`

func TestEventsOfThePreviousReleaseAreLinkedAndFound(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		schemaSeven(t, url)
		storetest.Exec(t, url, fmt.Sprintf(eventOfSeven, "a", 1)+fmt.Sprintf(eventOfSeven, "b", 2))
		s := storetest.OpenURL(t, url)
		if n, err := s.LinkEvents(t.Context(), 100, counted); n != 2 || err != nil {
			t.Errorf("%d linked, %v", n, err)
		}
		storetest.Exec(t, url, fmt.Sprintf(eventOfSeven, "0", 0))
		if n, err := s.LinkEvents(t.Context(), 100, counted); n != 1 || err != nil {
			t.Errorf("%d linked, %v", n, err)
		}
		chain, err := s.ReadChain(t.Context(), store.ChainStart, 100)
		if err != nil || len(chain.Events) != 3 || chain.Events[2].ID() != "0" || chain.Events[2].Seq != 3 || chain.Head != "3" {
			t.Errorf("%+v, %v", chain, err)
		}
		events, _, err := s.SearchEvents(t.Context(), identity.Actor{Kind: identity.ActorSystem}, store.EventFilter{ActorID: "u1"})
		if err != nil || len(events) != 3 || events[0].ID != "b" || events[2].ID != "0" {
			t.Errorf("%+v, %v", events, err)
		}
	})
}

// The cost of a search does not depend on the size of the log, whatever it is for.
func TestEachSearchUsesAnIndexInTheOrderOfThePage(t *testing.T) {
	for name, f := range map[string]store.EventFilter{
		"everything": {}, "organization": {OrgID: "acme"}, "actor": {ActorID: "ada"}, "target": {TargetID: "ada"}, "action": {Action: "login"},
		"address": {Address: "192.0.2.7"}, "refused": {Outcome: store.OutcomeRefused},
		"time": {From: time.Now().Add(-time.Hour), To: time.Now()}, "actor and time": {ActorID: "ada", From: time.Now()},
	} {
		log := &statements{seen: map[string]bool{}}
		s := storetest.Open(t, echoTo(log))
		if _, _, err := s.SearchEvents(t.Context(), identity.Actor{Kind: identity.ActorSystem}, f); err != nil {
			t.Fatal(err)
		}
		searched := false
		for statement := range log.seen {
			if !strings.Contains(statement, "FROM audit_events") {
				continue
			}
			searched = true
			plan, err := s.Explain(t.Context(), statement)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			if strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN") && name != "everything" && name != "refused" {
				t.Errorf("%s: %s\n%s", name, statement, text)
			}
		}
		if !searched {
			t.Errorf("%s: no statement was seen", name)
		}
	}
}

// On PostgreSQL each statement is committed by itself, so a crash may leave some.
func TestTheMigrationOfTheChainCanBeRepeated(t *testing.T) {
	url := storetest.EmptyPostgres(t)
	schemaSeven(t, url)
	storetest.Exec(t, url, "ALTER TABLE audit_events ADD COLUMN seq BIGINT; CREATE INDEX audit_events_by_org ON audit_events (org_id, at, id);")
	s := storetest.OpenURL(t, url)
	if _, err := s.ReadChain(t.Context(), store.ChainStart, 1); err != nil {
		t.Error(err)
	}
}

func TestAnEventWithoutAnOrganizationGetsThatOfItsTarget(t *testing.T) {
	onEach(t, func(w *world) {
		u, g := w.add("u", identity.Viewer, "acme"), w.group("g", "acme")
		service := w.service("s", identity.Viewer, "acme")
		w.client("app")
		for target, want := range map[string]string{u.ID: "acme", g.ID: "acme", service.ID: "acme", "acme": "acme", "app": "", "a key": ""} {
			w.ok(w.s.InsertEvent(w.t.Context(), store.Event{Action: "test", Outcome: store.OutcomeRefused, TargetID: target}))
			if got := w.lastEvent().OrgID; got != want {
				w.t.Errorf("%s: %q, not %q", target, got, want)
			}
			w.clock.Advance(time.Millisecond)
		}
	})
}
