package store

import (
	"context"
	"sync"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// InsertEvent writes an audit row in a transaction of its own, for what no method
// of the store does: a failed login. Other methods write their own rows.
// Config.Committed is not told. An event without an organization gets that of its
// target, whose administrators could not read it otherwise.
func (s *Store) InsertEvent(ctx context.Context, ev Event) error {
	return s.write(ctx, func(t *tx) error {
		if ev.OrgID == "" && ev.TargetID != "" {
			if err := t.orgOf(ev.TargetID, &ev.OrgID); err != nil {
				return err
			}
		}
		return t.insertEvent(ev)
	})
}

// orgOf reads the organization of what has the id; it stays empty for what has none.
func (t *tx) orgOf(id string, org *string) error {
	_, err := t.get([]any{org}, `SELECT org_id FROM users WHERE id = $1
		UNION ALL SELECT org_id FROM groups WHERE id = $1
		UNION ALL SELECT id FROM organizations WHERE id = $1
		UNION ALL SELECT org_id FROM service_tokens WHERE id = $1
		UNION ALL SELECT org_id FROM clients WHERE id = $1 LIMIT 1`, id)
	return err
}

// Events returns the newest audit rows, newest first. limit 0 or more than
// MaxPage: MaxPage.
func (s *Store) Events(ctx context.Context, limit int) (events []Event, err error) {
	err = s.read(ctx, func(t *tx) error {
		events, err = collect(t, scanEvent, "SELECT "+eventColumns+" FROM audit_events ORDER BY at DESC, id DESC LIMIT $1", pageSize(limit))
		return err
	})
	return events, err
}

func scanEvent(r scanner) (ev Event, err error) {
	err = r.Scan(&ev.ID, timeColumn{&ev.At}, (*string)(&ev.Action), &ev.Outcome, (*string)(&ev.ActorKind), &ev.ActorID, &ev.OnBehalfOf,
		&ev.TargetID, &ev.OrgID, &ev.Address, &ev.RequestID, &ev.Detail)
	if ev.ActorKind == "" { // written by the previous release
		switch ev.ActorID {
		case "":
		case "system":
			ev.ActorKind, ev.ActorID = identity.ActorSystem, ""
		default:
			ev.ActorKind = identity.ActorUser
		}
	}
	return ev, err
}

func (t *tx) insertEvent(ev Event) error {
	if ev.ID == "" {
		ev.ID = NewID()
	}
	if ev.At.IsZero() {
		ev.At = t.now
	}
	_, err := t.exec("INSERT INTO audit_events ("+eventColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		ev.ID, FormatTime(ev.At), string(ev.Action), ev.Outcome, string(ev.ActorKind), ev.ActorID, ev.OnBehalfOf, ev.TargetID, ev.OrgID,
		ev.Address, ev.RequestID, ev.Detail)
	return err
}

// done writes the audit row of an operation that succeeded.
func (t *tx) done(act Act, targetID, orgID string) error {
	return t.audit(act.Event(OutcomeSuccess, targetID, orgID))
}

// audit writes a row of the audit log. Config.Committed receives it after the
// commit.
func (t *tx) audit(ev Event) error {
	ev.ID, ev.At, ev.Trace = NewID(), t.now, t.trace
	t.events = append(t.events, ev)
	return t.insertEvent(ev)
}

// Event returns the audit event of the operation.
func (act Act) Event(outcome, targetID, orgID string) Event {
	return Event{
		Action: act.Action, Outcome: outcome,
		ActorKind: act.By.Kind, ActorID: act.By.ID, OnBehalfOf: act.By.OnBehalfOf,
		TargetID: targetID, OrgID: orgID,
		Address: act.By.Address, RequestID: act.By.RequestID, Detail: act.Detail,
	}
}

// outbox passes the events of committed transactions to Config.Committed, in
// the order of the commits. The callers of operations deliver their events and
// all events added before, so the writer never waits for the log, the queue is
// never longer than the number of callers, and a caller that has its response
// finds the event in the log.
type outbox struct {
	tell func(Event)

	delivering sync.Mutex // held while telling, so that no event overtakes another
	mu         sync.Mutex
	waiting    []Event
}

// add appends the events of one transaction to those of earlier ones. The
// caller, or the caller that waits for it, calls deliver.
func (o *outbox) add(events []Event) {
	if len(events) == 0 || o.tell == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, events...)
}

// deliver returns when every event added before the call was passed on.
func (o *outbox) deliver() {
	if o.tell == nil {
		return
	}
	o.delivering.Lock()
	defer o.delivering.Unlock()
	o.mu.Lock()
	events := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	for _, ev := range events {
		o.tell(ev)
	}
}
