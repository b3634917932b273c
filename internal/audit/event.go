package audit

import (
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Event is an audit event in the form of the API, of exports and of the stream.
type Event struct {
	ID         string             `json:"id" example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	At         time.Time          `json:"at"`
	Action     identity.Action    `json:"action" example:"user.set_role"`
	Outcome    string             `json:"outcome" enum:"success,refused"`
	ActorID    string             `json:"actor_id" doc:"Empty: not authenticated, or the server itself." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d10"`
	ActorKind  identity.ActorKind `json:"actor_kind" doc:"user, service_token, client, system, or empty: not authenticated." example:"user"`
	OnBehalfOf string             `json:"on_behalf_of,omitempty" doc:"The user for whom the actor acts."`
	TargetID   string             `json:"target_id" doc:"What was changed." example:"01981b5e-7a2c-7bb0-9c3e-2f5f4e1a9d11"`
	OrgID      string             `json:"org_id" doc:"Organization of the target." example:"default"`
	Address    string             `json:"address" doc:"Of the client; empty: the command line." example:"192.0.2.7"`
	RequestID  string             `json:"request_id" example:"4R6EZQ7WQ2X2CQ7Q5KQ5J5U2VE"`
	Detail     string             `json:"detail" doc:"Additional information about the action." example:"operator"`
}

func eventOf(ev store.Event) Event {
	return Event{
		ID: ev.ID, At: ev.At, Action: ev.Action, Outcome: ev.Outcome, ActorID: ev.ActorID, ActorKind: ev.ActorKind, OnBehalfOf: ev.OnBehalfOf,
		TargetID: ev.TargetID, OrgID: ev.OrgID, Address: ev.Address, RequestID: ev.RequestID, Detail: ev.Detail,
	}
}

// CSVHeader is the first line of an export.
func CSVHeader() string {
	return "\"id\",\"at\",\"action\",\"outcome\",\"actor_id\",\"actor_kind\",\"on_behalf_of\",\"target_id\",\"org_id\",\"address\",\"request_id\",\"detail\"\r\n"
}

// CSV returns the event as a line of an export (RFC 4180).
func (ev Event) CSV() string {
	var b strings.Builder
	for i, cell := range []string{
		ev.ID, store.FormatTime(ev.At), string(ev.Action), ev.Outcome, ev.ActorID, string(ev.ActorKind), ev.OnBehalfOf,
		ev.TargetID, ev.OrgID, ev.Address, ev.RequestID, ev.Detail,
	} {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strings.ReplaceAll(harmless(cell), `"`, `""`))
		b.WriteByte('"')
	}
	b.WriteString("\r\n")
	return b.String()
}

const (
	// formulaStarts begin a formula in some spreadsheet, the wide forms in Japanese ones.
	formulaStarts = "=+-@\uff1d\uff0b\uff0d\uff20"
	// cellEnds end a cell in some spreadsheet, even within quotes where another
	// separator is set.
	cellEnds = ",;|\t\r\n\"'"
)

// harmless puts an apostrophe before what a spreadsheet would run as a formula:
// names of service tokens, for one, are chosen by users.
func harmless(cell string) string {
	var b strings.Builder
	start := true
	for _, r := range cell {
		if start && strings.ContainsRune(formulaStarts, r) {
			b.WriteByte('\'')
		}
		start = strings.ContainsRune(cellEnds, r) || start && r == ' '
		b.WriteRune(r)
	}
	return b.String()
}
