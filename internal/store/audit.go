package store

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// InsertEvent writes an audit row by itself, for what no verb does: a login
// that failed. Verbs write their own.
func (s *Store) InsertEvent(ctx context.Context, ev Event) error {
	return s.write(ctx, func(t *tx) error { return t.insertEvent(ev) })
}

// Events returns the newest audit rows, newest first. limit 0 or more than
// MaxPage: MaxPage.
func (s *Store) Events(ctx context.Context, limit int) (events []Event, err error) {
	err = s.read(ctx, func(t *tx) error {
		events, err = collect(t, scanEvent, `SELECT id, at, action, outcome, actor_id, target_id, org_id, address, request_id, detail
			FROM audit_events ORDER BY at DESC, id DESC LIMIT $1`, pageSize(limit))
		return err
	})
	return events, err
}

func scanEvent(r scanner) (ev Event, err error) {
	err = r.Scan(&ev.ID, timeColumn{&ev.At}, &ev.Action, &ev.Outcome, &ev.ActorID, &ev.TargetID, &ev.OrgID,
		&ev.Address, &ev.RequestID, &ev.Detail)
	return ev, err
}

func (t *tx) insertEvent(ev Event) error {
	if ev.ID == "" {
		ev.ID = newID()
	}
	if ev.At.IsZero() {
		ev.At = t.now
	}
	_, err := t.exec(`INSERT INTO audit_events (id, at, action, outcome, actor_id, target_id, org_id, address, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		ev.ID, formatTime(ev.At), ev.Action, ev.Outcome, ev.ActorID, ev.TargetID, ev.OrgID, ev.Address, ev.RequestID, ev.Detail)
	return err
}

// done writes the audit row of an act that succeeded.
func (t *tx) done(act Act, targetID, orgID string) error {
	return t.insertEvent(act.event(OutcomeSuccess, targetID, orgID))
}

func (act Act) event(outcome, targetID, orgID string) Event {
	return Event{
		Action: act.Action, Outcome: outcome, ActorID: actorID(act.By), TargetID: targetID, OrgID: orgID,
		Address: act.By.Address, RequestID: act.By.RequestID, Detail: act.Detail,
	}
}

func actorID(by identity.Actor) string {
	if by.System {
		return ActorSystem
	}
	return by.UserID
}
