package password

import (
	"container/list"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// queue holds the jobs that wait, in one line for each client network. The lines
// take turns, so that a network with a thousand requests delays another by one hash
// each turn, however many it sends. In one line, first come, first served.
//
// Networks from which a user has signed in and all others are two classes, which
// take turns first: an attack from many new networks leaves the known ones half of
// the hashes and half of the places.
//
// A line of unknown networks is that of a /48 of IPv6: one site has 256 networks, and
// each would have a turn.
//
// The caller holds the pool's lock.
type queue struct {
	classes [2]class
	turn    int // the class that is served next, if it has a job
}

// The classes. A job's class is that of its network when it came.
const (
	unknownNetworks = iota
	knownNetworks
)

// class is the lines of its networks.
type class struct {
	lines   map[string]*line
	turns   list.List // of *line, the next to be served first
	waiting int       // jobs in all lines
}

// line is the jobs of one network, oldest first. It is dropped when it is empty.
type line struct {
	class   *class
	network string
	turn    *list.Element
	jobs    list.List // of *job
}

func (q *queue) len() int { return q.classes[0].waiting + q.classes[1].waiting }

// push appends the job to the line of its network.
func (q *queue) push(j *job, network string, known bool) {
	c := &q.classes[unknownNetworks]
	if known {
		c = &q.classes[knownNetworks]
	}
	network = lineOf(network, known)
	l := c.lines[network]
	if l == nil {
		l = &line{class: c, network: network}
		l.turn = c.turns.PushBack(l)
		if c.lines == nil {
			c.lines = map[string]*line{}
		}
		c.lines[network] = l
	}
	c.waiting++
	j.line, j.place = l, l.jobs.PushBack(j)
}

// lineOf is the name of the line of a network.
func lineOf(network string, known bool) string {
	if known {
		return network
	}
	return identity.Around(network, 0, 48)
}

// remove takes the job out, and reports whether it was still in.
func (q *queue) remove(j *job) bool {
	l := j.line
	if l == nil {
		return false
	}
	l.jobs.Remove(j.place)
	l.class.waiting--
	if l.jobs.Len() == 0 {
		l.class.turns.Remove(l.turn)
		delete(l.class.lines, l.network)
	}
	j.line, j.place = nil, nil
	return true
}

// next is the job that pop returns; nil if none waits.
func (q *queue) next() *job {
	for i := range q.classes {
		if first := q.classes[(q.turn+i)%len(q.classes)].turns.Front(); first != nil {
			return first.Value.(*line).jobs.Front().Value.(*job)
		}
	}
	return nil
}

// pop takes the next job out; its class and its network go to the end of their
// turns.
func (q *queue) pop() *job {
	j := q.next()
	if j == nil {
		return nil
	}
	l := j.line
	if l.class == &q.classes[q.turn] {
		q.turn = (q.turn + 1) % len(q.classes)
	}
	l.class.turns.MoveToBack(l.turn)
	q.remove(j)
	return j
}

// displaced is the job that gives its place to a new one of the network when all places
// are taken; nil if the new one is refused. The newest of the longest line goes, if
// that is still longer than the network's own one afterwards. The other class gives
// a place if it has the larger part of them; to a known network it does so
// unconditionally: half of the places are kept for those.
func (q *queue) displaced(network string, known bool) *job {
	own, other := &q.classes[unknownNetworks], &q.classes[knownNetworks]
	if known {
		own, other = other, own
	}
	mine := 1 // with the new one
	if l := own.lines[lineOf(network, known)]; l != nil {
		mine += l.jobs.Len()
	}
	if own.waiting < other.waiting {
		if l := other.longest(); known || l.jobs.Len() > mine {
			return l.jobs.Back().Value.(*job)
		}
	}
	if l := own.longest(); l != nil && l.jobs.Len() > mine {
		return l.jobs.Back().Value.(*job)
	}
	return nil
}

// longest is the line with the most jobs, nil if there is none. There are at most as many
// lines as places.
func (c *class) longest() (longest *line) {
	for e := c.turns.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*line); longest == nil || l.jobs.Len() > longest.jobs.Len() {
			longest = l
		}
	}
	return longest
}
