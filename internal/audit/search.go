package audit

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// MaxLimit is the maximum length of a page.
const MaxLimit = store.MaxPage

// Filter narrows a search. Empty fields do not.
type Filter = store.EventFilter

// Search returns a page of the events that by may read, newest first, and the
// cursor of the next one; empty: this is the last.
func (l *Log) Search(ctx context.Context, by identity.Actor, f Filter) (events []Event, next string, err error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, "", fault.BadField("limit", fmt.Sprintf("limit must be from 1 to %d", MaxLimit))
	}
	for _, text := range []string{f.OrgID, f.ActorID, f.TargetID, string(f.Action), f.Outcome, f.Address} {
		if !identity.Storable(text) {
			return []Event{}, "", nil // no row has it
		}
	}
	rows, next, err := l.store.SearchEvents(ctx, by, f)
	if err != nil {
		return nil, "", fmt.Errorf("search the audit log: %w", err)
	}
	events = make([]Event, len(rows))
	for i, row := range rows {
		events[i] = eventOf(row)
	}
	return events, next, nil
}
