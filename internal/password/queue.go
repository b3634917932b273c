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
// A line is that of a /48 of IPv6: one site has 256 networks, and each would have a turn.
// One account that signs in from all of them makes them known, so those of known networks
// are the same. In its line the networks take turns, too.
//
// An attack from as many known networks as there are places, or more, takes each new place
// at once. So one of a line that was served more goes to another one, and a line that was
// not served recently has every second turn.
//
// The caller holds the pool's lock.
type queue struct {
	classes [2]class
	turn    int // the class that is served next, if it has a job
	served  served
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
	rare    bool      // the last one served was a rare line
}

// line is the jobs of the networks of one site, in rounds: each has one job of each
// network. It is dropped when it is empty.
type line struct {
	class *class
	site  string
	turn  *list.Element
	jobs  list.List // of *job, those of one round oldest first
	round int       // of a new job, if no other one of its network waits
	rare  bool      // it was not served recently
}

func (q *queue) len() int { return q.classes[0].waiting + q.classes[1].waiting }

// push appends the job to the line of its network.
func (q *queue) push(j *job, network string, known bool) {
	c := &q.classes[unknownNetworks]
	if known {
		c = &q.classes[knownNetworks]
	}
	site := siteOf(network)
	l := c.lines[site]
	if l == nil {
		l = &line{class: c, site: site, rare: q.served.of(site) == 0}
		l.turn = c.begin(l)
		if c.lines == nil {
			c.lines = map[string]*line{}
		}
		c.lines[site] = l
	}
	c.waiting++
	j.network, j.round, j.line = network, l.roundOf(network), l
	after := l.jobs.Back()
	for after != nil && after.Value.(*job).round > j.round {
		after = after.Prev()
	}
	if after == nil {
		j.place = l.jobs.PushFront(j)
	} else {
		j.place = l.jobs.InsertAfter(j, after)
	}
}

// begin gives a new line its turn: the last one, and a rare line the first one that is not
// beside that of another.
func (c *class) begin(l *line) *list.Element {
	before := c.rare
	for e := c.turns.Front(); l.rare && e != nil; e = e.Next() {
		other := e.Value.(*line).rare
		if !before && !other {
			return c.turns.InsertBefore(l, e)
		}
		before = other
	}
	return c.turns.PushBack(l)
}

// siteOf is the name of the line of a network.
func siteOf(network string) string { return identity.Around(network, 0, 48) }

// roundOf is the round of a new job of the network.
func (l *line) roundOf(network string) int {
	for e := l.jobs.Back(); e != nil; e = e.Prev() {
		if j := e.Value.(*job); j.network == network {
			return j.round + 1
		}
	}
	return l.round
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
		delete(l.class.lines, l.site)
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

// pop takes the next job out; its class and its line go to the end of their turns.
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
	l.round = j.round + 1
	l.class.rare, l.rare = l.rare, false
	q.served.add(l.site)
	q.remove(j)
	return j
}

// displaced is the job that gives its place to a new one of the network when all places
// are taken; nil if the new one is refused. The last of the longest line goes, if
// that is still longer than the network's own one afterwards. The other class gives
// a place if it has the larger part of them; to a known network it does so
// unconditionally: half of the places are kept for those. At last a network of the same
// site gives one, if it has more, or a line as long that was served more.
func (q *queue) displaced(network string, known bool) *job {
	own, other := &q.classes[unknownNetworks], &q.classes[knownNetworks]
	if known {
		own, other = other, own
	}
	mine := 1 // with the new one
	site := own.lines[siteOf(network)]
	if site != nil {
		mine += site.jobs.Len()
	}
	if own.waiting < other.waiting {
		if l := other.longest(); known || l.jobs.Len() > mine {
			return l.jobs.Back().Value.(*job)
		}
	}
	if l := own.longest(); l != nil && l.jobs.Len() > mine {
		return l.jobs.Back().Value.(*job)
	}
	if site != nil {
		if last := site.jobs.Back().Value.(*job); last.round > site.roundOf(network) {
			return last
		}
	}
	if l := own.mostServed(mine, &q.served); l != nil && q.served.of(l.site) > q.served.of(siteOf(network)) {
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

// mostServed is the line that was served most of those with as many jobs; nil if there is
// none.
func (c *class) mostServed(jobs int, served *served) (most *line) {
	for e := c.turns.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*line); l.jobs.Len() >= jobs && (most == nil || served.of(l.site) > served.of(most.site)) {
			most = l
		}
	}
	return most
}

// servedLast is how many hashes a generation of served counts: under attack, those of some
// ten seconds.
const servedLast = 500

// served is how many of the last hashes, 500 to 1,000, were those of each site. The zero
// value is empty.
type served struct {
	recent, older map[string]int
	n             int // in recent
}

func (s *served) add(site string) {
	if s.recent == nil || s.n == servedLast {
		s.older, s.recent, s.n = s.recent, map[string]int{}, 0
	}
	s.recent[site]++
	s.n++
}

func (s *served) of(site string) int { return s.recent[site] + s.older[site] }
