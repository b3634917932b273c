package store

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// The chain of audit events. A row is appended without a place in it; LinkEvents
// gives places in an order of its own, since neither ids nor times follow the order
// of commits when several replicas write. What a link is, and who signs the head and
// the anchor, is the business of package audit; here they are text.

// ChainEvent is a row of the audit log as it is linked: its columns as stored.
type ChainEvent struct {
	Seq     int64 // place in the chain, from 1; 0: not linked
	Link    string
	Columns []string // id, at and the further columns of eventColumns
}

// ID returns the id of the event.
func (ev ChainEvent) ID() string { return ev.Columns[0] }

// At returns the time of the event as stored.
func (ev ChainEvent) At() string { return ev.Columns[1] }

// Chain is a part of the chain in one state of the database.
type Chain struct {
	Head   string       // empty: nothing was ever linked
	Anchor string       // empty: nothing was ever purged
	Events []ChainEvent // in the order of the chain

	// At the end of the chain only.
	Unlinked  int      // events that wait for a link
	Misplaced []string // ids of events, at most limit of them, with a place that no server gives; they are not among Events
}

// ChainStart is a place before every event.
const ChainStart int64 = math.MinInt64

const chainColumns = "COALESCE(seq, 0), COALESCE(link, ''), " + eventColumns

// errHeadBehind is the refusal to give a place in the chain twice.
var errHeadBehind = fault.New(fault.Invalid, "audit_chain",
	"the head of the audit chain is missing, or is before events that are linked; run `pico-auth audit verify`")

func scanChainEvent(r scanner) (ev ChainEvent, err error) {
	ev.Columns = make([]string, strings.Count(eventColumns, ",")+1)
	dest := []any{countColumn{&ev.Seq}, linkedColumn{&ev.Link}}
	for i := range ev.Columns {
		dest = append(dest, linkedColumn{&ev.Columns[i]})
	}
	err = r.Scan(dest...)
	return ev, err
}

// linkedColumn scans a text of which the type counts: SQLite stores another one in a
// column of text if it is told to, and then no search for the text finds it.
type linkedColumn struct{ to *string }

// Scan implements sql.Scanner. What is no text differs from every text that was linked.
func (c linkedColumn) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*c.to = v
	case []byte:
		*c.to = string(v) + "\x00not text"
	default:
		*c.to = fmt.Sprintf("%v\x00not text", v)
	}
	return nil
}

// placed is true for a place in the chain that a server gives; SQLite stores any value
// there. It is true on PostgreSQL but for the place of ChainStart.
const placed = "(seq > $1 AND seq = CAST(seq AS BIGINT))"

// ReadChain returns at most limit events after the place.
func (s *Store) ReadChain(ctx context.Context, after int64, limit int) (c Chain, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		if c.Head, err = t.setting(settingAuditHead); err != nil {
			return err
		}
		if c.Anchor, err = t.setting(settingAuditAnchor); err != nil {
			return err
		}
		c.Events, err = collect(t, scanChainEvent, "SELECT "+chainColumns+" FROM audit_events WHERE "+placed+" ORDER BY seq LIMIT $2", after, limit)
		if err != nil || len(c.Events) == limit {
			return err
		}
		c.Misplaced, err = collect(t, scanText,
			"SELECT id FROM audit_events WHERE seq IS NOT NULL AND NOT "+placed+" ORDER BY id LIMIT $2", ChainStart, limit)
		if err != nil {
			return err
		}
		_, err = t.get([]any{&c.Unlinked}, "SELECT COUNT(*) FROM audit_events WHERE seq IS NULL")
		return err
	})
	return c, err
}

// AuditHead returns the head of the chain, empty when nothing was ever linked.
func (s *Store) AuditHead(ctx context.Context) (string, error) {
	head, _, err := s.setting(ctx, settingAuditHead)
	return head, err
}

// LinkEvents links at most batch events that have no link. link receives the head
// and the events, fills in Seq and Link of each and returns the next head; it may be
// called again when another transaction was first. n is the number of events.
func (s *Store) LinkEvents(ctx context.Context, batch int, link func(head string, events []ChainEvent) (string, error)) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.alone(settingAuditHead); err != nil {
			return err
		}
		events, err := collect(t, scanChainEvent, "SELECT "+chainColumns+" FROM audit_events WHERE seq IS NULL ORDER BY at, id LIMIT $1", batch)
		if n = len(events); err != nil || n == 0 {
			return err
		}
		head, err := t.setting(settingAuditHead)
		if err != nil {
			return err
		}
		next, err := link(head, events)
		if err != nil {
			return err
		}
		taken, err := t.get([]any{new(int64)}, "SELECT seq FROM audit_events WHERE seq >= $1 LIMIT 1", events[0].Seq)
		if err != nil {
			return err
		}
		if taken {
			return errHeadBehind
		}
		if err := t.setLinks(events, batch); err != nil {
			return err
		}
		return t.set(settingAuditHead, next)
	})
	return n, err
}

// setLinks stores the links. A full batch, of which there are thousands after an
// upgrade, is one statement: a round trip for each row would take PostgreSQL hours.
func (t *tx) setLinks(events []ChainEvent, batch int) error {
	if len(events) < batch {
		for _, ev := range events {
			if _, err := t.exec("UPDATE audit_events SET seq = $1, link = $2 WHERE id = $3", ev.Seq, ev.Link, ev.ID()); err != nil {
				return err
			}
		}
		return nil
	}
	rows, args := make([]string, len(events)), make([]any, 0, 3*len(events))
	for i, ev := range events {
		rows[i] = fmt.Sprintf("(CAST($%d AS TEXT), CAST($%d AS BIGINT), CAST($%d AS TEXT))", 3*i+1, 3*i+2, 3*i+3)
		args = append(args, ev.ID(), ev.Seq, ev.Link)
	}
	n, err := t.exec("WITH links(id, seq, link) AS (VALUES "+strings.Join(rows, ", ")+`)
		UPDATE audit_events SET seq = links.seq, link = links.link FROM links WHERE audit_events.id = links.id`, args...)
	if err == nil && n != int64(len(events)) {
		err = fmt.Errorf("%d of %d events are linked", n, len(events))
	}
	return err
}

// PurgeEvents deletes events from before the time, at most batch of them: first those
// without a link, then those of the chain from its begin without a gap. anchor receives the present anchor and the
// events of the chain that are deleted, and returns the anchor that remains.
func (s *Store) PurgeEvents(ctx context.Context, before time.Time, batch int, anchor func(anchor string, events []ChainEvent) (string, error)) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		if err := t.alone(settingAuditHead); err != nil {
			return err
		}
		unlinked, err := t.exec(`DELETE FROM audit_events WHERE id IN (
			SELECT id FROM audit_events WHERE seq IS NULL AND at < $1 ORDER BY at, id LIMIT $2)`, FormatTime(before), batch)
		if n = int(unlinked); err != nil || n > 0 {
			return err
		}
		n, err = t.purgeChain(FormatTime(before), batch, anchor)
		return err
	})
	return n, err
}

func (t *tx) purgeChain(before string, batch int, anchor func(string, []ChainEvent) (string, error)) (int, error) {
	events, err := collect(t, scanChainEvent, "SELECT "+chainColumns+" FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT $2", ChainStart, batch)
	if err != nil {
		return 0, err
	}
	old := 0
	for old < len(events) && events[old].At() < before {
		old++
	}
	if old == 0 {
		return 0, nil
	}
	present, err := t.setting(settingAuditAnchor)
	if err != nil {
		return 0, err
	}
	next, err := anchor(present, events[:old])
	if err != nil {
		return 0, err
	}
	if _, err := t.exec("DELETE FROM audit_events WHERE seq <= $1", events[old-1].Seq); err != nil {
		return 0, err
	}
	return old, t.set(settingAuditAnchor, next)
}

// RestartChain takes every event out of the chain, with the head and the anchor, so
// that a new chain begins. Only a superadmin may, and the act is an event of its own.
func (s *Store) RestartChain(ctx context.Context, act Act) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.permit(act.By, identity.MayConfigure); err != nil {
			return err
		}
		if err := t.alone(settingAuditHead); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE audit_events SET seq = NULL, link = NULL WHERE seq > $1", ChainStart); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM settings WHERE key IN ($1, $2)", settingAuditHead, settingAuditAnchor); err != nil {
			return err
		}
		return t.done(act, settingAuditHead, "")
	})
}
