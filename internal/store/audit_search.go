package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// EventFilter narrows the audit log. Empty fields do not.
type EventFilter struct {
	OrgID    string    // empty: of the organizations that the actor administers
	From, To time.Time // from the one until just before the other
	ActorID  string
	TargetID string
	Action   identity.Action
	Outcome  string
	Address  string
	Limit    int    // 0 or more than MaxPage: MaxPage
	Cursor   string // next of the previous page; empty: from the newest
}

const eventColumns = `id, at, action, outcome, actor_kind, actor_id, on_behalf_of, target_id, org_id, address, request_id, detail`

// SearchEvents returns a page of the audit log, newest first, and the cursor of the
// next one; empty: this is the last. Only administrators may; events without an
// organization, such as those of signing keys, are for superadmins only.
func (s *Store) SearchEvents(ctx context.Context, by identity.Actor, f EventFilter) (events []Event, next string, err error) {
	err = s.listing(ctx, func(t *tx) error {
		of, err := t.listed(by, f.OrgID, "organization")
		if err != nil {
			return err
		}
		where, args, err := f.condition(of)
		if err != nil {
			return err
		}
		size := pageSize(f.Limit)
		args = append(args, size+1) // one more shows whether there is a next page
		events, err = collect(t, scanEvent, "SELECT "+eventColumns+" FROM audit_events"+where+
			" ORDER BY at DESC, id DESC LIMIT $"+strconv.Itoa(len(args)), args...)
		if err == nil && len(events) > size {
			events = events[:size]
			next = newCursor(events[size-1].At, events[size-1].ID)
		}
		return err
	})
	return events, next, err
}

// condition is the WHERE clause of a search. The constant terms let the engines use
// the partial indexes.
func (f EventFilter) condition(of scope) (where string, args []any, err error) {
	var terms []string
	add := func(format string, values ...any) {
		places := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			places[i] = len(args)
		}
		terms = append(terms, fmt.Sprintf(format, places...))
	}
	if !of.all {
		add("org_id = $%d", of.org)
	}
	if !f.From.IsZero() {
		add("at >= $%d", FormatTime(f.From))
	}
	if !f.To.IsZero() {
		add("at < $%d", FormatTime(f.To))
	}
	if f.ActorID != "" {
		add("actor_id <> '' AND actor_id = $%d", f.ActorID)
	}
	if f.TargetID != "" {
		add("target_id <> '' AND target_id = $%d", f.TargetID)
	}
	if f.Action != "" {
		add("action = $%d", string(f.Action))
	}
	if f.Address != "" {
		add("address <> '' AND address = $%d", f.Address)
	}
	switch f.Outcome {
	case "":
	case OutcomeRefused:
		add("outcome = 'refused'")
	default:
		add("outcome = $%d", f.Outcome)
	}
	if f.Cursor != "" {
		at, id, ok := parseCursor(f.Cursor)
		if !ok {
			return "", nil, errBadCursor
		}
		add("(at, id) < ($%d, $%d)", at, id)
	}
	if len(terms) > 0 {
		where = " WHERE " + strings.Join(terms, " AND ")
	}
	return where, args, nil
}
