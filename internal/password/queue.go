package password

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// queue shares places and hashes at three levels: the networks from which a user has signed
// in and all others are two classes, a class has sites, and a site has networks. At each
// level the share that was served longest ago is next; every second hash of a class goes to
// the one that waits longest, so that new sites do not starve the others. When a place is
// missing, the share that has most gives it, and of those with as many the one served last.
//
// So a class has half of all if it wants that, and a site that keeps asking is served before
// another one of its class is served again, whatever others send. The caller holds the
// pool's lock.
type queue struct {
	jobs   []*job // oldest first
	shares [levels]map[shareName]*share
	hashes int // that have begun
}

// levels are the class, the site and the network. A site is a /48 of IPv6, which has 256
// networks; in IPv4 each network is one.
const levels = 3

// shareName is the class and, below it, the site or network in it: what a site sends as
// unknown is not held against its networks that are known.
type shareName struct {
	known bool
	name  string
}

// share is what one class, site or network has.
type share struct {
	name    shareName
	waiting int // jobs
	since   int // the number of the hash before it began to wait
	served  int // the number of its last hash; 0: none of those remembered
	hashes  int // of those remembered
}

// remembered is for how many hashes a share that was served and does not wait is kept:
// under attack, for some minutes. An attacker with fewer networks in a class than half of it
// never has them all count as not served.
const remembered = 5000

func (q *queue) len() int { return len(q.jobs) }

// push lets the job wait.
func (q *queue) push(j *job, network string, known bool) {
	for level, name := range [levels]string{"", identity.Around(network, 0, 48), network} {
		s := q.share(level, shareName{known, name})
		if s.waiting == 0 {
			s.since = q.hashes
		}
		s.waiting++
		j.shares[level] = s
	}
	q.jobs = append(q.jobs, j)
}

func (q *queue) share(level int, name shareName) *share {
	s := q.shares[level][name]
	if s == nil {
		if q.shares[level] == nil {
			q.shares[level] = map[shareName]*share{}
		}
		s = &share{name: name}
		q.shares[level][name] = s
	}
	return s
}

// pop takes the next job out; nil if none waits.
func (q *queue) pop() *job {
	if len(q.jobs) == 0 {
		return nil
	}
	next := slices.MinFunc(q.jobs, (*job).turn)
	q.hashes++
	for _, s := range next.shares {
		s.since, s.served = q.hashes, q.hashes
		s.hashes++
	}
	q.remove(next)
	if q.hashes%remembered == 0 {
		for _, shares := range q.shares {
			maps.DeleteFunc(shares, func(_ shareName, s *share) bool { return q.forgotten(s) })
		}
	}
	return next
}

// excess is the job that gives its place when there is one too many.
func (q *queue) excess() *job {
	last := q.jobs[0]
	for _, j := range q.jobs {
		if j.excess(last) >= 0 {
			last = j
		}
	}
	return last
}

// remove takes the job out, and reports whether it was still in.
func (q *queue) remove(j *job) bool {
	i := slices.Index(q.jobs, j)
	if i < 0 {
		return false
	}
	q.jobs = slices.Delete(q.jobs, i, i+1)
	for level, s := range j.shares {
		if s.waiting--; q.forgotten(s) {
			delete(q.shares[level], s.name)
		}
	}
	return true
}

func (q *queue) forgotten(s *share) bool {
	return s.waiting == 0 && s.served <= max(0, q.hashes-remembered)
}

// turn compares which of two jobs is next.
func (j *job) turn(other *job) int {
	class := j.shares[0]
	for level, s := range j.shares {
		o := other.shares[level]
		c := cmp.Compare(s.served, o.served)
		if level > 0 && class.hashes%2 == 1 {
			c = cmp.Compare(s.since, o.since)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// excess compares which of two jobs gives its place last.
func (j *job) excess(other *job) int {
	if j.shares == other.shares {
		return 0 // a flood is fast
	}
	for level, s := range j.shares {
		o := other.shares[level]
		if c := cmp.Or(cmp.Compare(s.waiting, o.waiting), cmp.Compare(s.served, o.served)); c != 0 {
			return c
		}
	}
	return 0
}
