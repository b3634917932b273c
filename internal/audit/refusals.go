package audit

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	// refusalEvery is for how long the table counts the refusals that are like one
	// that it has. The log has each of them; without a limit, a client that knows an
	// address could fill the disk with wrong passwords.
	refusalEvery = time.Minute

	// maxGroups limits the kinds of refusals that are stored apart in that time; of
	// what many networks do to many users the table has one count.
	maxGroups = 500
)

// refusals decides which refusals get a row. The first one of an action, a network
// and a target gets its own; further ones within the minute are counted in a second.
type refusals struct {
	mu     sync.Mutex
	groups map[string]*group
}

// group is what refusals have in common.
type group struct {
	since time.Time
	count int         // refusals without a row
	last  store.Event // of these
}

// groupOf is the name of the refusal's group.
func groupOf(ev store.Event, network string) string {
	return strings.Join([]string{string(ev.Action), string(ev.ActorKind), ev.ActorID, ev.TargetID, cmp.Or(network, ev.Address)}, " ")
}

// others is the group of what exceeds maxGroups.
const others = ""

// add counts the refusal and returns the rows that are due now: of the refusal
// itself, and of counts whose minute has passed.
func (r *refusals) add(name string, ev store.Event) (due []store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.groups[name]; g != nil && ev.At.Sub(g.since) < refusalEvery {
		g.repeat(ev)
		return nil
	}
	if len(r.groups) >= maxGroups || r.groups[name] != nil {
		due = r.over(ev.At)
	}
	if r.groups == nil {
		r.groups = map[string]*group{}
	}
	if len(r.groups) < maxGroups {
		r.groups[name] = &group{since: ev.At}
		return append(due, ev)
	}
	if r.groups[others] == nil {
		r.groups[others] = &group{since: ev.At}
	}
	r.groups[others].repeat(store.Event{Action: ev.Action, Outcome: ev.Outcome, Detail: "several networks and targets"})
	return due
}

// missed counts a refusal that got no row although it was due.
func (r *refusals) missed(name string, ev store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.groups[name]; g != nil {
		g.repeat(ev)
	}
}

// settle returns the rows of the counts whose minute has passed at the time; zero: of all.
func (r *refusals) settle(now time.Time) []store.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over(now)
}

func (r *refusals) over(now time.Time) (due []store.Event) {
	for name, g := range r.groups {
		if !now.IsZero() && now.Sub(g.since) < refusalEvery {
			continue
		}
		delete(r.groups, name)
		if g.count > 0 {
			due = append(due, g.row())
		}
	}
	return due
}

func (g *group) repeat(ev store.Event) {
	g.count++
	g.last = ev
}

// row is the row of the count. It has the address and the request of the last one.
func (g *group) row() store.Event {
	ev := g.last
	ev.ID, ev.At = "", time.Time{}
	ev.Detail = strings.TrimSuffix(fmt.Sprintf("repeated %d: %s", g.count, ev.Detail), ": ")
	return ev
}
