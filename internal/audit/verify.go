package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxProblems limits a report; Broken counts the events beyond it.
const maxProblems = 20

// Report is the result of a verification.
type Report struct {
	OK       bool      `json:"ok"`
	First    int64     `json:"first"`    // place of the first event of the chain; 0: there is none
	Last     int64     `json:"last"`     // place of the last one
	Purged   int64     `json:"purged"`   // events that retention removed, by the anchor
	Verified int64     `json:"verified"` // events whose link is right
	Former   int64     `json:"former"`   // events at the beginning that are linked under another master key and cannot be verified
	Broken   int64     `json:"broken"`   // events whose link is wrong
	Unlinked int       `json:"unlinked"` // events that wait for their link
	Head     string    `json:"head"`     // the stored one
	Problems []Problem `json:"problems"`
}

// Problem is one fault of the chain, the first one first.
type Problem struct {
	Seq     int64  `json:"seq,omitempty"` // place in the chain
	EventID string `json:"event_id,omitempty"`
	At      string `json:"at,omitempty"`
	Message string `json:"message"`
}

// Verify checks every link of the chain, the anchor and the stored head, and also a
// head that was copied from the log, unless that is empty.
func (c *Chain) Verify(ctx context.Context, copied string) (Report, error) {
	v := verifier{chain: c, report: Report{Problems: []Problem{}}, read: store.ChainStart, known: true}
	if copied != "" {
		head, err := c.parse(headLabel, copied)
		if err != nil {
			v.problem(Problem{Message: "the given head is not one that this server signed: " + reason(err)})
		}
		v.copied = head
	}
	for {
		part, err := c.store.ReadChain(ctx, v.read, verifyPage)
		if err != nil {
			return Report{}, fmt.Errorf("read the audit chain: %w", err)
		}
		v.begin(part)
		for _, ev := range part.Events {
			v.event(ev)
		}
		if len(part.Events) < verifyPage {
			v.end(part)
			return v.report, nil
		}
	}
}

// verifier walks along the chain. Its parts come from several states of the
// database: events are linked and purged concurrently.
type verifier struct {
	chain  *Chain
	report Report
	copied place // the head to compare; zero: none

	begun  bool
	read   int64 // the place up to which events were read
	at     place // of the last event, or the anchor
	known  bool  // the link of at is the one that the next event covers
	anchor place
	faulty bool // the anchor, for what retention removed
}

func (v *verifier) problem(p Problem) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, p)
	}
}

// begin reads the anchor of a part, which may have moved beyond what was read.
func (v *verifier) begin(part store.Chain) {
	anchor, faulty, err := v.chain.parseAnchor(part.Anchor)
	first := !v.begun
	v.begun = true
	if faulty && !v.faulty {
		v.faulty = true
		v.problem(Problem{Message: "retention removed events that did not match; the log of that time has the first one"})
	}
	switch {
	case errors.Is(err, seal.ErrOtherKey) && first && len(part.Events) > 0 && v.former(part.Events[0]):
		v.at = anchor // of the time of that key
	case err != nil && first:
		v.problem(Problem{Message: "the anchor, which says what retention removed, does not match: " + reason(err)})
		if len(part.Events) > 0 {
			v.at, v.known = place{seq: part.Events[0].Seq - 1}, false
		}
	case err == nil && anchor.seq > v.at.seq:
		v.at, v.known = anchor, true
	}
	if err == nil {
		v.anchor = anchor
	}
	v.report.Purged = v.anchor.seq
}

func (v *verifier) former(ev store.ChainEvent) bool {
	return errors.Is(v.chain.master.Verify(ev.Link, linkLabel), seal.ErrOtherKey)
}

// event checks one event.
func (v *verifier) event(ev store.ChainEvent) {
	v.read = ev.Seq
	of := Problem{Seq: ev.Seq, EventID: ev.ID(), At: ev.At()}
	if ev.Seq <= v.at.seq {
		of.Message = "the event is before the anchor: it was put back, or the anchor does not match"
		v.report.Broken++
		v.problem(of)
		return
	}
	if v.report.First == 0 {
		v.report.First = ev.Seq
	}
	if ev.Seq > v.at.seq+1 {
		v.missing(v.at.seq+1, ev.Seq-1)
		v.at, v.known = place{seq: ev.Seq - 1}, false
	}
	v.link(ev, of)
	v.at, v.known, v.report.Last = place{ev.Seq, ev.Link}, true, ev.Seq
	if ev.Seq == v.copied.seq && ev.Link != v.copied.link {
		of.Message = "the event is another one than at the time of the given head"
		v.problem(of)
	}
}

// link checks the link of an event. After a gap there is nothing to check it
// against; the gap is reported.
func (v *verifier) link(ev store.ChainEvent, of Problem) {
	if !v.known {
		return
	}
	switch err := v.chain.check(v.at, ev); {
	case err == nil:
		v.report.Verified++
	case errors.Is(err, seal.ErrOtherKey) && v.report.Verified == 0 && v.report.Broken == 0:
		v.report.Former++
	default:
		v.report.Broken++
		of.Message = "the event or its place was changed after it was linked: " + reason(err)
		v.problem(of)
	}
}

func (v *verifier) missing(from, to int64) {
	text := fmt.Sprintf("event %d is missing", from)
	if to > from {
		text = fmt.Sprintf("events %d to %d are missing", from, to)
	}
	v.problem(Problem{Seq: from, Message: text})
}

// end compares the last event with the stored head and the given one.
func (v *verifier) end(part store.Chain) {
	v.report.Head, v.report.Unlinked = part.Head, part.Unlinked
	for _, id := range part.Misplaced {
		v.report.Broken++
		v.problem(Problem{EventID: id, Message: "the event has a place in the chain that no server gives"})
	}
	head, err := v.chain.parse(headLabel, part.Head)
	switch {
	case err != nil:
		v.problem(Problem{Message: "the stored head does not match: " + reason(err)})
	case part.Head == "" && v.at.seq > 0:
		v.problem(Problem{Message: "the stored head is missing"})
	case head.seq > v.at.seq:
		v.tail(head.seq, "the stored head")
	case head.seq < v.at.seq:
		v.problem(Problem{Seq: head.seq + 1, Message: "there are events after the stored head"})
	case head != v.at && v.known:
		v.problem(Problem{Seq: head.seq, Message: "the last event is another one than at the time of the stored head"})
	}
	switch {
	case v.copied.seq > v.at.seq && v.copied.seq != head.seq:
		v.tail(v.copied.seq, "the given head")
	case v.copied.seq > 0 && v.copied.seq < v.anchor.seq:
		v.problem(Problem{Message: "the given head is of an event that retention removed; give a later one"})
	case v.copied.seq > 0 && v.copied.seq == v.anchor.seq && v.copied != v.anchor:
		v.problem(Problem{Message: "the anchor is another event than at the time of the given head"})
	}
	v.report.OK = len(v.report.Problems) == 0
}

func (v *verifier) tail(to int64, by string) {
	v.problem(Problem{Seq: v.at.seq + 1, Message: fmt.Sprintf("the last events are missing: %d to %d, by %s", v.at.seq+1, to, by)})
}

// reason explains a refused MAC to an operator.
func reason(err error) string {
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return "it is signed under another master key; if that was replaced, set auth.former_master_key"
	case errors.Is(err, errPlace):
		return err.Error()
	default:
		return "it was not signed by this server, or was changed"
	}
}
